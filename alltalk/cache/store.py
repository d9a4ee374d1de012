"""A folder of finished answers: bounded in size and age, shared by threads, safe over restarts."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from alltalk.cache.hit import Hit
from alltalk.cache.recent import Recent
from alltalk.draft import Draft, remove_stale, storage_error
from alltalk.errors import StorageError

_NAME = re.compile(r"[0-9a-f]{64}\.[a-z0-9]+")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept, and how long."""

    ttl_s: float | None
    """Seconds from its making that an answer is served; None: for ever; 0: nothing is cached."""
    max_bytes: int
    """Of all files together."""
    memory_bytes: int = 16 * 1024 * 1024
    """Of those also held in memory."""

    @property
    def enabled(self) -> bool:
        """False: nothing is served and nothing kept."""
        return self.ttl_s is None or self.ttl_s > 0

    def expire(self, age_s: float) -> bool:
        """True for an answer too old to be served."""
        return self.ttl_s is not None and (age_s > self.ttl_s or not self.enabled)

    @property
    def small_bytes(self) -> int:
        """Longest answer that is held in memory."""
        return self.memory_bytes // 16


class Cache:
    """A folder of finished answers, named `<key><suffix>`, and the small ones in memory too.

    Safe to use from several threads. All methods block on the disk and belong in a lane, but for
    `get_small`, which the event loop may call. An answer is a file of its own, written whole or
    not at all, and survives a restart. When there is no room, what was not asked for the longest
    goes.

    A disk that refuses fails nobody: there is one warning, and answers go out uncached until a
    write succeeds again.
    """

    def __init__(
        self, folder: Path, limits: Limits, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Over what `folder` already holds; it need not exist. Blocks, as it reads the folder."""
        self.folder = folder
        self.limits = limits
        """Assign others at any time: calls that begin later keep to them, `sweep` makes room."""
        self._clock = clock
        self._files: Recent[_Kept] = Recent()
        self._contents: Recent[bytes] = Recent()
        self._used_s: dict[str, float] = {}  # uses that the disk does not know of yet
        self._refused = False
        # Two locks, so that the event loop never waits for the disk: `_index` guards the fields
        # above, for microseconds; `_disk` keeps files and index in step over slow system calls.
        self._index = threading.Lock()
        self._disk = threading.Lock()
        self.sweep()

    def get_small(self, key: str, suffix: str) -> bytes | None:
        """The answer, if memory has it. Takes microseconds."""
        name = key + suffix
        with self._index:
            kept = self._use(name)
            return None if kept is None or self._expired(kept) else self._contents.use(name)

    def holds(self, key: str, suffix: str) -> bool:
        """True where `get` is worth asking. Takes microseconds, uses nothing."""
        with self._index:
            kept = self._files.peek(key + suffix)
            return kept is not None and not self._expired(kept)

    def get(self, key: str, suffix: str) -> Hit | None:
        """The answer, opened, or None. One that is too old is deleted.

        So is one whose length another hand has changed; neither is served.
        """
        name = key + suffix
        with self._index:
            kept = self._use(name)
        if kept is None:
            return None
        if (content := self.get_small(key, suffix)) is not None:
            return Hit(io.BytesIO(content), kept.size, kept.made_s, content)
        hit = None if self._expired(kept) else self._open(name, kept)
        if hit is None:
            self._drop(name, kept)
        return hit

    def put(self, key: str, suffix: str, pieces: Iterable[bytes]) -> bool:
        """Keep `pieces`, end to end, as the answer; True when it is kept.

        Not kept is one larger than all may be together, or one that the disk refuses.
        """
        name, limits = key + suffix, self.limits
        assert _NAME.fullmatch(name), f"{name!r} is no key with a suffix"
        if not limits.enabled:
            return False
        try:
            with Draft(self.folder / name) as draft:
                size, content = _write(draft, pieces, limits)
                if size > limits.max_bytes:
                    return False
                with self._disk:
                    draft.commit()
                    self._unlink(self._add(name, _Kept(size, self._clock()), content))
        except StorageError as error:
            self._refuse(error)
            return False
        self._refused = False
        return True

    def sweep(self) -> int:
        """Read the folder anew, delete what is too old or too much; returns how many files.

        Also notes on the disk when each answer was last asked for, for the order after a restart:
        call it every few minutes and before the end.
        """
        with self._disk:
            try:
                found = self._scan()
            except OSError as error:
                self._refuse(storage_error("read", self.folder, error))
                return 0
            deleted = self._unlink(self._settle(found))
            self._note_use()
        if found:
            with contextlib.suppress(StorageError):
                remove_stale(self.folder)
        return deleted

    def clear(self) -> int:
        """Delete all answers; returns how many files."""
        with self._disk:
            with contextlib.suppress(OSError):  # then at least those that are known
                self._settle(self._scan())
            with self._index:
                names = list(self._files.items())
                for name in names:
                    self._forget(name)
            return self._unlink(names)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return self._files.size

    def __len__(self) -> int:
        """Number of answers."""
        return len(self._files)

    # The index. Callers hold `_index`.

    def _use(self, name: str) -> _Kept | None:
        """What is known of `name`, which now is the last one asked for."""
        if (kept := self._files.use(name)) is not None:
            self._used_s[name] = self._clock()
        return kept

    def _forget(self, name: str) -> None:
        self._files.pop(name)
        self._contents.pop(name)
        self._used_s.pop(name, None)

    def _remember(self, name: str, content: bytes) -> None:
        self._contents.add(name, content, len(content))
        self._contents.shrink(self.limits.memory_bytes)

    def _shrink(self) -> list[str]:
        """Forget what there is no room for; returns the names."""
        gone = self._files.shrink(self.limits.max_bytes)
        for name in gone:
            self._forget(name)
        return gone

    # The index and the files. Callers hold neither lock for `_open` and `_drop`, else `_disk`.

    def _open(self, name: str, kept: _Kept) -> Hit | None:
        """The file `name`; None when it is gone or was changed, which only another hand can do."""
        path, small = self.folder / name, kept.size <= self.limits.small_bytes
        try:
            content = path.read_bytes() if small else None
            file = path.open("rb") if content is None else io.BytesIO(content)
        except OSError:
            return None
        hit = Hit(file, kept.size, kept.made_s, content)
        if file.seek(0, os.SEEK_END) != kept.size:
            hit.close()
            return None
        file.seek(0)
        with self._index:
            if content is not None and self._files.peek(name) is kept:
                self._remember(name, content)
        return hit

    def _drop(self, name: str, kept: _Kept) -> None:
        """Delete the file `name`, unless a newer one has taken its place."""
        with self._disk:
            with self._index:
                if self._files.peek(name) is not kept:
                    return
                self._forget(name)
            self._unlink([name])

    def _add(self, name: str, kept: _Kept, content: bytes | None) -> list[str]:
        """Take in the file `name`; returns those to delete for it."""
        with self._index:
            self._forget(name)
            self._files.add(name, kept, kept.size)
            if content is not None:
                self._remember(name, content)
            return self._shrink()

    def _scan(self) -> dict[str, os.stat_result]:
        """The answers in the folder by name, the one not asked for the longest first."""
        found = {}
        with contextlib.suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                        found[entry.name] = entry.stat(follow_symlinks=False)
        return dict(sorted(found.items(), key=lambda item: _last_use_s(item[1])))

    def _settle(self, found: Mapping[str, os.stat_result]) -> list[str]:
        """Bring the index in line with `found` and the limits; returns the files to delete."""
        with self._index:
            known = self._files.items()
        new = {name: _Kept.of(stat) for name, stat in found.items() if name not in known}
        files = {**known, **new}
        gone = [name for name, kept in files.items() if name not in found or self._expired(kept)]
        with self._index:
            for name, kept in new.items():
                self._files.add(name, kept, kept.size)
            for name in gone:
                self._forget(name)
            self._contents.shrink(self.limits.memory_bytes)
            return gone + self._shrink()

    def _note_use(self) -> None:
        """As time of access, which file systems are often told not to keep themselves."""
        with self._index:
            used = [(name, at_s, self._files.peek(name)) for name, at_s in self._used_s.items()]
            self._used_s.clear()
        for name, at_s, kept in used:
            if kept is not None:
                with contextlib.suppress(OSError):  # it costs an answer its place in line, no more
                    os.utime(self.folder / name, (at_s, kept.made_s))

    def _unlink(self, names: Iterable[str]) -> int:
        deleted = 0
        for name in names:
            try:
                os.unlink(self.folder / name)
                deleted += 1
            except FileNotFoundError:
                pass
            except OSError as error:  # on Windows, somebody reads it: the next sweep finds it
                self._refuse(storage_error("delete", self.folder / name, error))
        return deleted

    def _refuse(self, error: StorageError) -> None:
        if not self._refused:
            _log.warning("Answers are not cached for now. %s", error)
        self._refused = True

    def _expired(self, kept: _Kept) -> bool:
        return self.limits.expire(self._clock() - kept.made_s)


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """What is known of a file without asking the disk."""

    size: int
    made_s: float

    @classmethod
    def of(cls, stat: os.stat_result) -> _Kept:
        return cls(stat.st_size, stat.st_mtime)


def _write(draft: Draft, pieces: Iterable[bytes], limits: Limits) -> tuple[int, bytes | None]:
    """The size of `pieces` once in `draft`, and what they are if small. Stops when too large."""
    size, small = 0, []
    for piece in pieces:
        size += len(piece)
        if size > limits.max_bytes:
            break
        draft.write(piece)
        if size <= limits.small_bytes:
            small.append(piece)
    return size, b"".join(small) if size <= limits.small_bytes else None


def _last_use_s(stat: os.stat_result) -> float:
    return max(stat.st_atime, stat.st_mtime)
