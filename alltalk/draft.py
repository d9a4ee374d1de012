"""A file that appears whole or not at all, and what to say when the disk refuses."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from alltalk.errors import DiskFull, StorageError

_DRAFT = re.compile(r"\..+\.[0-9a-f]{8}\.partial", re.DOTALL)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "this user has no right to",
    errno.EPERM: "this user has no right to",
    errno.EFBIG: "it would be larger than a file may be",
    errno.ENOTDIR: "a part of its path is not a folder",
}


class Draft:
    """A file being written beside its final place, under a name that nobody asks for.

        with Draft(path) as draft:
            draft.write(header)
            draft.write(samples)
            draft.overwrite(4, true_size)
            draft.commit()

    Until `commit` a reader finds the old file, or none; leaving without it, or with an
    exception, leaves nothing behind. Two drafts of one path do not meet: the last commit stays.
    """

    def __init__(self, path: Path, *, private: bool = False) -> None:
        self.path = path
        """Where the file will be."""
        self._private = private
        self._place = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
        self._file: BinaryIO | None = None

    def __enter__(self) -> Draft:
        """Make the file, and its folder where missing. Raises StorageError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._place, flags, 0o600 if self._private else 0o666)
            self._file = os.fdopen(handle, "wb")
        except OSError as error:
            raise storage_error("write", self.path, error) from error
        return self

    def write(self, content: bytes) -> None:
        """Append `content`. Raises StorageError."""
        assert self._file is not None, "a draft is written inside its with block, before commit"
        try:
            self._file.write(content)
        except OSError as error:
            raise storage_error("write", self.path, error) from error

    def overwrite(self, offset: int, content: bytes) -> None:
        """Put `content` over what was written from byte `offset` on. Raises StorageError."""
        assert self._file is not None, "a draft is written inside its with block, before commit"
        try:
            self._file.seek(offset)
            self._file.write(content)
            self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise storage_error("write", self.path, error) from error

    def settle(self) -> None:
        """Bring what was written to the disk, where it may not fit. Raises StorageError."""
        assert self._file is not None, "a draft is settled inside its with block, before commit"
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise storage_error("write", self.path, error) from error

    def commit(self) -> Path:
        """Put the file in its place, with the rights of the one it replaces. Raises StorageError.

        A private one is its owner's alone, whatever was there. The content is on the disk before
        the name is: a power cut leaves the old file or the new one.
        """
        assert self._file is not None, "a draft is committed once, inside its with block"
        self.settle()
        try:
            self._file.close()
            if not self._private:
                with contextlib.suppress(FileNotFoundError):
                    shutil.copymode(self.path, self._place)
            _replace(self._place, self.path)
        except OSError as error:
            raise storage_error("write", self.path, error) from error
        self._file = None
        return self.path

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is None:
            return
        with contextlib.suppress(OSError):  # closing flushes, which a full disk refuses again
            self._file.close()
        with contextlib.suppress(OSError):  # what cannot be removed now, `remove_stale` will
            self._place.unlink()
        self._file = None


def write_whole(path: Path, content: bytes, *, private: bool = False) -> None:
    """Make `content` the file at `path` in one step. Raises StorageError; the old one then stays.

    `private`: nobody but its owner may read it.
    """
    with Draft(path, private=private) as draft:
        draft.write(content)
        draft.commit()


def is_draft(name: str) -> bool:
    """True for a name that only a draft has."""
    return _DRAFT.fullmatch(name) is not None


def remove_stale(folder: Path, older_than_s: float = 3600.0) -> int:
    """Remove drafts in `folder` that a crash left behind; how many. Raises StorageError."""
    removed = 0
    try:
        for entry in list(os.scandir(folder)):
            with contextlib.suppress(FileNotFoundError):
                if is_draft(entry.name) and time.time() - entry.stat().st_mtime > older_than_s:
                    os.unlink(entry.path)
                    removed += 1
    except OSError as error:
        raise storage_error("clean", folder, error) from error
    return removed


def storage_error(verb: str, path: Path, error: OSError) -> StorageError:
    """`error` as a sentence: what could not be done to `path`, and why. A full disk is DiskFull."""
    reason = _REASONS.get(error.errno or 0) or (error.strerror or str(error)).lower()
    kind = DiskFull if error.errno in _FULL else StorageError
    return kind(f"Could not {verb} {path}: {reason}.")


def _replace(source: Path, target: Path) -> None:
    """Rename over `target`.

    Windows refuses while somebody reads the old file: a few tries outlast a short reader.
    A file that is mounted by itself, as containers like to, cannot be renamed over at all; it is
    written in place, which alone of all is not atomic.
    """
    for wait_s in (0.02, 0.05, 0.1, 0.2, 0.4) if sys.platform == "win32" else ():
        with contextlib.suppress(PermissionError):
            return os.replace(source, target)
        time.sleep(wait_s)
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        shutil.copyfile(source, target)
        source.unlink()
