"""Finished files: their names, how they come to be, and when they go."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Container
from pathlib import Path
from typing import BinaryIO

from alltalk.draft import Draft, remove_stale, storage_error
from alltalk.errors import NotFound, UnsafeName
from alltalk.home import safe_name
from alltalk.speech import FORMATS

SUFFIXES = frozenset({format.suffix for format in FORMATS.values()} | {".vorbis"})
"""Endings of files that are ours; `.vorbis` is what V2 called an ogg file."""


class Outputs:
    """The folder of finished files. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """Absolute. Assign another at any time: files that are begun later lie there."""
        self.served = Served()
        self._lock = threading.Lock()
        self._second = 0
        self._taken: set[str] = set()

    def prepare(self) -> None:
        """Make the folder and remove what a crash left half-written. Raises StorageError."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error("make", self.folder, error) from error
        remove_stale(self.folder)

    def name(self, stem: str, *, timestamp: bool, suffix: str, combined: bool = False) -> str:
        """A file name as V2 forms it: `<stem>_<unix seconds><5 hex digits>_combined.wav`.

        `timestamp` asks for the time and the digits, which no other file of this server shares;
        without them the same stem names the same file. `combined` marks narrated speech;
        `suffix` comes with its dot. Raises UnsafeName.
        """
        parts = [stem]
        if timestamp:
            parts.append(self._stamp())
        if combined:
            parts.append("combined")
        return safe_name("_".join(parts) + suffix)

    def create(self, name: str) -> Draft:
        """A draft of the file `name`. Raises UnsafeName."""
        return Draft(self.folder / _audio_name(name))

    def write(self, name: str, content: bytes) -> Path:
        """Make `content` the file `name`, whole or not at all. Raises UnsafeName, StorageError."""
        with self.create(name) as draft:
            draft.write(content)
            return draft.commit()

    def path(self, name: str) -> Path:
        """The finished file `name`. Raises NotFound: also for what is no sound of ours."""
        try:
            path = self.folder / _audio_name(name)
        except UnsafeName:
            raise NotFound(f"There is no file {name[:80]!r}.") from None
        if not path.is_file():
            raise NotFound(f"There is no file {name[:80]!r}.")
        return path

    def open(self, name: str) -> tuple[BinaryIO, Callable[[], None]]:
        """The finished file `name`, and what is to be called when it has been read.

        Until then `clean` leaves it. Raises NotFound.
        """
        path = self.path(name)
        done = self.served.begin(name)
        try:
            return path.open("rb"), done
        except OSError as error:
            done()
            raise NotFound(f"There is no file {name[:80]!r}.") from error

    def clean(self, days: float, in_use: Container[str] = ()) -> list[str]:
        """Delete finished files older than `days`, unless their name is `in_use`; the names.

        Folders, links and files that are no sound stay. A file that cannot be deleted keeps none
        of the others: StorageError is raised at the end.
        """
        deleted: list[str] = []
        refused: OSError | None = None
        for name in self._older_than(time.time() - days * 86400):
            if name in in_use:
                continue
            try:
                os.unlink(self.folder / name)
                deleted.append(name)
            except FileNotFoundError:
                continue
            except OSError as error:
                refused = error
        if refused is not None:
            raise storage_error("delete", Path(refused.filename), refused) from refused
        return deleted

    def _older_than(self, oldest: float) -> list[str]:
        """Names of our files last changed before `oldest`, seconds since 1970."""
        found = []
        try:
            for entry in os.scandir(self.folder):
                with contextlib.suppress(FileNotFoundError):
                    if not entry.is_file(follow_symlinks=False) or not _is_audio(entry.name):
                        continue
                    if entry.stat(follow_symlinks=False).st_mtime < oldest:
                        found.append(entry.name)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise storage_error("read", self.folder, error) from error
        return found

    def _stamp(self) -> str:
        """The second and five random digits, never the same twice."""
        with self._lock:
            if (now := int(time.time())) != self._second:
                self._second, self._taken = now, set()
            while (digits := secrets.token_hex(3)[:5]) in self._taken:
                pass
            self._taken.add(digits)
            return f"{now}{digits}"


class Served:
    """Names of files that somebody is reading. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers: Counter[str] = Counter()

    def begin(self, name: str) -> Callable[[], None]:
        """Count a reader of `name`; what is returned ends that, once."""
        with self._lock:
            self._readers[name] += 1

        def end() -> None:
            with self._lock:
                self._readers[name] -= 1
                if not self._readers[name]:
                    del self._readers[name]

        return end

    def __contains__(self, name: object) -> bool:
        return name in self._readers


def _is_audio(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith(".")


def _audio_name(name: str) -> str:
    """`name` if it is a file name of sound; so a misplaced folder gives nothing else away."""
    if not _is_audio(safe_name(name)):
        raise UnsafeName(name, f"it does not end in one of {', '.join(sorted(SUFFIXES))}")
    return name
