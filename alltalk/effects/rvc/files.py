"""The folder of RVC voices: a `.pth` file each, most of them in a folder of their own."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path, PurePosixPath

from alltalk.errors import RvcBaseMissing, StorageError, UnknownRvcVoice

BASE = ".base"
"""The folder, below that of the voices, of the models that all voices share."""


def list_voices(folder: Path) -> list[str]:
    """The voices below `folder` as `folder/file.pth`, sorted; nothing hidden, so no base files."""
    found = (file.relative_to(folder) for file in folder.rglob("*.pth") if file.is_file())
    return sorted(each.as_posix() for each in found if not _is_hidden(each.parts))


def voice_path(folder: Path, name: str) -> Path:
    """The file of the voice `name`, whichever way its slashes lean. Raises UnknownRvcVoice.

    Only what `list_voices` lists is found: nothing outside `folder`, nothing hidden.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    is_inside = bool(parts) and parts[0] != "/" and not _is_hidden(parts) and "\0" not in name
    path = folder.joinpath(*parts) if is_inside else folder
    if path.suffix != ".pth" or not path.is_relative_to(folder) or not _is_file(path):
        raise UnknownRvcVoice(name, list_voices(folder))
    return path


def index_of(path: Path) -> Path | None:
    """The index of the voice in `path`: the only `.index` of its folder, which with two has none.

    As AllTalk V2 chooses it.
    """
    found = [each for each in path.parent.glob("*.index") if not each.name.startswith(".")]
    return found[0] if len(found) == 1 else None


def find_embedder(base: Path, name: str) -> Path:
    """The folder or file of the embedder `name`: hubert or contentvec. Raises RvcBaseMissing."""
    for stem in (name, f"{name}_base"):
        for place in (base / stem, base / f"{stem}.pt"):
            if place.is_file() or (place / "config.json").is_file():
                return place
    raise RvcBaseMissing(
        f"Voice conversion needs the embedder {name!r}: install it with `alltalk models install "
        f"rvc`, or put {name}_base.pt, or a folder {name} of the transformers library, into "
        f"{base.parent.name}/{base.name}."
    )


def digest(path: Path) -> str:
    """SHA-256 of the voice in `path` and its index, 64 digits. Raises StorageError.

    Reads the files the first time only, and again once their size or time has changed.
    """
    index = index_of(path)
    whole = hashlib.sha256()
    for file in (path, *((index,) if index else ())):
        try:
            found = file.stat()
            whole.update(_content(file, found.st_size, found.st_mtime_ns).encode())
        except OSError as error:
            raise StorageError(f"{file} cannot be read: {error.strerror or error}.") from error
    return whole.hexdigest()


def _is_hidden(parts: tuple[str, ...]) -> bool:
    return any(part.startswith(".") for part in parts)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than any file's
        return False


@lru_cache(maxsize=1024)
def _content(file: Path, _size: int, _changed_ns: int) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
