"""The files of one catalogue entry on disk: on their way, in their place, checked, removed.

Models lie together in one folder of their group. Hidden in it are `.partial/<name>`, where files
arrive, and `.installed/<name>.json`, which tells what was put in place. What is on its way is
called `….partial`, so that nobody takes it for a model.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from alltalk.draft import storage_error, write_whole
from alltalk.errors import DiskFull, NotFound
from alltalk.home import Home
from alltalk.models.catalogue import ModelEntry, ModelFile
from alltalk.models.partial import digest_of
from alltalk.models.unpack import unpack

RECORDS = ".installed"
"""Folder of what tells which models were put in place."""


class ModelState(StrEnum):
    """How much of a model is there."""

    ABSENT = "absent"
    PARTIAL = "partial"
    """Being fetched, or the fetching broke off."""
    DAMAGED = "damaged"
    """A file is missing or of another size."""
    INSTALLED = "installed"


@dataclass(frozen=True, slots=True)
class Known:
    """What a file in place should be."""

    size: int | None
    sha256: str


class InstalledModel:
    """One entry's files in a home. Blocking; what changes them is done under a claim."""

    def __init__(self, home: Home, entry: ModelEntry) -> None:
        base = home.root / entry.into
        self.entry = entry
        self.folder = base / entry.folder
        """Where the files are, or will be."""
        self.staging = base / ".partial" / entry.name
        self.claim_file = base / ".partial" / f"{entry.name}.lock"
        self._record = base / RECORDS / f"{entry.name}.json"

    @property
    def state(self) -> ModelState:
        """As far as names and sizes tell."""
        known = self._known()
        here = [self._fits(path, what) for path, what in known.items()]
        if here and all(here):
            return ModelState.INSTALLED
        if any((self.folder / path).exists() for path in known):
            return ModelState.DAMAGED
        if not known and self.entry.folder and self.folder.is_dir():
            return ModelState.INSTALLED  # unpacked by somebody else
        return ModelState.PARTIAL if self.staging.is_dir() else ModelState.ABSENT

    def has(self, file: ModelFile) -> bool:
        """True when the file is in place, and certain to be what was published."""
        known = self._recorded().get(file.path, Known(file.size, file.sha256))
        path = self.folder / file.path
        if file.unpack or not self._fits(file.path, known) or not (known.sha256 or file.md5):
            return False
        digest = digest_of(path)
        return digest.sha256 == known.sha256 if known.sha256 else digest.md5 == file.md5

    def staged(self, file: ModelFile) -> Path:
        """Where a file is brought to, as `<this>.partial`."""
        return self.staging / file.path

    def refuse_full_disk(self) -> None:
        """Raises DiskFull when what is still to come will not fit."""
        missing = sum(self._missing_bytes(file) for file in self.entry.files)
        self.staging.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.staging).free
        if missing > free:
            raise DiskFull(
                f"{self.entry.name} needs {missing / 1e6:,.0f} MB more, and {self.folder} has "
                f"{free / 1e6:,.0f} MB left. Free some space there."
            )

    def put_in_place(self) -> None:
        """Make the staged files a model, in one step where it has a folder of its own.

        Among the files of other models, the entry's last file comes last. Raises DownloadFailed,
        StorageError.
        """
        built = self.staging.with_name(f"{self.entry.name}.built")
        with _disk(self.folder):
            shutil.rmtree(built, ignore_errors=True)
            names = [name for file in self.entry.files for name in self._build(file, built)]
            self._move(built, names)
            self._write_record(names)
            shutil.rmtree(built, ignore_errors=True)
            shutil.rmtree(self.staging, ignore_errors=True)

    def remove(self) -> None:
        """Remove what was installed or is on its way; files of others stay. Raises NotFound."""
        state, known = self.state, self._known()
        if state is ModelState.ABSENT:
            raise NotFound(f"{self.entry.name} is not installed.")
        if not known and state is ModelState.INSTALLED:
            raise NotFound(f"AllTalk did not install {self.folder}. Remove that folder yourself.")
        with _disk(self.folder):
            for path in reversed(list(known)):
                (self.folder / path).unlink(missing_ok=True)
            self._remove_empty(known)
            shutil.rmtree(self.staging, ignore_errors=True)
            self._record.unlink(missing_ok=True)

    def faults(self) -> list[str]:
        """What is wrong with the files in place, a sentence each. Reads all of them."""
        md5s = {file.path: file.md5 for file in self.entry.files}
        found = (
            self._fault(path, known, md5s.get(path, "")) for path, known in self._known().items()
        )
        return [fault for fault in found if fault]

    def _fault(self, path: str, known: Known, md5: str) -> str:
        file = self.folder / path
        if not file.is_file():
            return f"{path} is missing."
        if not self._fits(path, known):
            return f"{path} has {file.stat().st_size} bytes instead of {known.size}."
        digest = digest_of(file)
        if known.sha256 not in ("", digest.sha256) or md5 not in ("", digest.md5):
            return f"{path} was changed: its SHA-256 is {digest.sha256}."
        return ""

    def _known(self) -> Mapping[str, Known]:
        """What should be in place: as it was installed, else as published."""
        return self._recorded() or {
            file.path: Known(file.size, file.sha256) for file in self.entry.files if not file.unpack
        }

    def _recorded(self) -> dict[str, Known]:
        try:
            files = json.loads(self._record.read_text(encoding="utf-8"))["files"]
            return {path: Known(each["size"], each["sha256"]) for path, each in files.items()}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return {}  # not installed by us, or the record is lost: the catalogue tells

    def _fits(self, path: str, known: Known) -> bool:
        file = self.folder / path
        return file.is_file() and known.size in (None, file.stat().st_size)

    def _missing_bytes(self, file: ModelFile) -> int:
        partial = self.staged(file).with_name(Path(file.path).name + ".partial")
        here = partial.stat().st_size if partial.is_file() else 0
        return max(0, (file.size or 0) - here)

    def _build(self, file: ModelFile, built: Path) -> Iterator[str]:
        """Bring one staged file to `built`; the paths of what came of it."""
        partial = self.staged(file).with_name(Path(file.path).name + ".partial")
        if file.unpack:
            before = set(_paths(built))
            unpack(partial, built)
            yield from sorted(set(_paths(built)) - before)
        elif partial.exists():
            target = built / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(partial, target)
            yield file.path
        else:
            yield file.path  # it is in place already

    def _move(self, built: Path, names: list[str]) -> None:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        if not self.folder.exists():
            os.rename(built, self.folder)
            return
        for name in names:
            if (built / name).exists():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(built / name, self.folder / name)

    def _write_record(self, names: list[str]) -> None:
        files = {
            name: {
                "size": (self.folder / name).stat().st_size,
                "sha256": digest_of(self.folder / name).sha256,
            }
            for name in names
        }
        text = json.dumps({"name": self.entry.name, "files": files}, indent=1, ensure_ascii=False)
        write_whole(self._record, text.encode())

    def _remove_empty(self, paths: Mapping[str, Known]) -> None:
        """Folders that held nothing else, the model's own among them."""
        if not self.entry.folder:
            return
        folders = {parent for path in paths for parent in (self.folder / path).parents}
        inside = [each for each in folders if each.is_relative_to(self.folder)]
        for folder in sorted(inside, key=lambda each: len(each.parts), reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()


def installed_in(folder: Path) -> object:
    """Another value once a model was installed among the files in `folder`, or removed there."""
    try:
        records = sorted((folder / RECORDS).glob("*.json"))
        return [(record.name, record.stat().st_mtime_ns) for record in records]
    except OSError:  # one went meanwhile
        return None


def _paths(folder: Path) -> list[str]:
    return [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise storage_error("write", folder, error) from error
