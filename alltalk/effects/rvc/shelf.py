"""The shelf: RVC voices put into `rvc_models/` and taken out of it, whole or not at all."""

from __future__ import annotations

import lzma
import secrets
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from alltalk.draft import storage_error
from alltalk.effects.rvc.files import index_of, voice_path
from alltalk.errors import BadInput, NameTaken, TooLarge, UnsafeName
from alltalk.home import safe_name

MOST_MEMBERS = 1000
"""Files of an archive."""
_HALF_MADE = "trained_"
"""How the name of an index begins that a training left half-made; the whole one is beside it."""
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class NewRvcVoice:
    """A voice as it is sent: an archive, or its `.pth` and perhaps its `.index`."""

    name: str
    """Empty: that of its file."""
    files: Sequence[tuple[str, BinaryIO]]
    overwrite: bool = False


class Shelf:
    """Blocking; used from one thread."""

    def __init__(self, folder: Path, largest_bytes: Callable[[], int]) -> None:
        """`folder` is rvc_models/; `largest_bytes` of one file, unpacked."""
        self._folder, self._largest = folder, largest_bytes

    def add(self, new: NewRvcVoice, check: Callable[[Path, Path | None], None]) -> str:
        """Keep `new` once `check` finds nothing wrong with its `.pth` and `.index`; its name.

        Raises BadInput for what is no single voice, UnsafeName, NameTaken, TooLarge, StorageError,
        and what `check` raises. The archive's folders do not matter, and nothing in it but one
        voice and its index is unpacked.
        """
        with _opened(new.files) as members:
            voice = _voice_of(members)
            index = _index_of(members)
            name = safe_name(new.name.strip() or PurePosixPath(voice.path).stem)
            target = self._folder / name
            self._refuse_taken(name, target, overwrite=new.overwrite)
            staging = self._folder / f".{secrets.token_hex(8)}.upload"
            try:
                staging.mkdir(parents=True)
                file = self._copy(voice, staging / f"{name}.pth")
                found = self._copy(index, staging / f"{name}.index") if index else None
            except OSError as error:
                shutil.rmtree(staging, ignore_errors=True)
                raise storage_error("write", target, error) from error
            except BaseException:
                shutil.rmtree(staging, ignore_errors=True)
                raise
        try:
            check(file, found)
            self._place(staging, target)
        except OSError as error:
            raise storage_error("write", target, error) from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return f"{name}/{name}.pth"

    def remove(self, name: str) -> str:
        """Delete the voice `name`, its index, and its folder where nothing else is in it.

        Raises UnknownRvcVoice, StorageError.
        """
        path = voice_path(self._folder, name)
        others = [each for each in path.parent.glob("*.pth") if each != path]
        index = None if others else index_of(path)
        try:
            path.unlink()  # first: an index alone is no voice
            if index is not None:
                index.unlink()
            if path.parent != self._folder and not any(path.parent.iterdir()):
                path.parent.rmdir()
        except OSError as error:
            raise storage_error("delete", path, error) from error
        return path.relative_to(self._folder).as_posix()

    def _refuse_taken(self, name: str, target: Path, *, overwrite: bool) -> None:
        """Only a folder that holds one voice is replaced by another."""
        if name.startswith("."):
            raise UnsafeName(name, "names that begin with a dot are AllTalk's own")
        if not target.exists():
            return
        if not overwrite:
            raise NameTaken(name)
        if not target.is_dir() or len(list(target.glob("*.pth"))) > 1:
            raise BadInput(f"{name} is not the folder of one voice. Choose another name.")

    def _copy(self, member: _Member, target: Path) -> Path:
        """Unpack `member`; it may say any size, so what comes is counted."""
        limit, size = self._largest(), 0
        with member.open() as source, target.open("wb") as sink:
            while block := source.read(_BLOCK):
                size += len(block)
                if size > limit:
                    raise TooLarge(size, limit)
                sink.write(block)
        return target

    def _place(self, staging: Path, target: Path) -> None:
        """Put the folder `staging` where `target` is, or was."""
        if target.exists():
            old = staging.with_suffix(".old")
            target.rename(old)
            try:
                staging.rename(target)
            except OSError:
                old.rename(target)
                raise
            shutil.rmtree(old, ignore_errors=True)
        else:
            staging.rename(target)


@dataclass(frozen=True, slots=True)
class _Member:
    """A file that was sent, by itself or in an archive."""

    path: str
    open: Callable[[], IO[bytes]]


@contextmanager
def _opened(files: Sequence[tuple[str, BinaryIO]]) -> Iterator[list[_Member]]:
    """All files that were sent, those of archives too. Raises BadInput, UnsafeName."""
    archives: list[zipfile.ZipFile] = []
    members: list[_Member] = []
    try:
        for name, file in files:
            if not name.lower().endswith(".zip"):
                members.append(_Member(name, lambda file=file: file))  # type: ignore[misc]
                continue
            archive = zipfile.ZipFile(file)
            archives.append(archive)
            members += [_member(archive, each) for each in archive.infolist() if not each.is_dir()]
            if len(members) > MOST_MEMBERS:
                raise BadInput(f"The archive has more than {MOST_MEMBERS} files.")
        yield members
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, EOFError) as error:
        raise BadInput(f"The archive cannot be unpacked: {error}") from error
    finally:
        for archive in archives:
            archive.close()


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    parts = info.filename.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or ":" in parts[0]:
        raise UnsafeName(info.filename, "it leads out of the archive")
    return _Member("/".join(parts), lambda: archive.open(info))


def _named(members: Sequence[_Member], suffix: str) -> list[_Member]:
    """Those with that ending; what an archiver of a Mac adds to each file is none."""
    found = [each for each in members if each.path.lower().endswith(suffix)]
    return [each for each in found if not PurePosixPath(each.path).name.startswith("._")]


def _voice_of(members: Sequence[_Member]) -> _Member:
    found = _named(members, ".pth")
    if len(found) != 1:
        names = ", ".join(PurePosixPath(each.path).name for each in found[:5])
        told = f"has {len(found)} voices ({names})" if found else "has no voice (.pth) in it"
        raise BadInput(f"What was sent {told}. Send one .pth, or a zip with one, and its .index.")
    return found[0]


def _index_of(members: Sequence[_Member]) -> _Member | None:
    found = _named(members, ".index")
    whole = [e for e in found if not PurePosixPath(e.path).name.startswith(_HALF_MADE)]
    if len(whole) > 1:
        raise BadInput(f"What was sent has {len(whole)} indexes. Send the one of the voice.")
    return whole[0] if whole else None
