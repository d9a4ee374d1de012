"""Scratch: folders of ours among the system's temporary files, and sweeping those left behind."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
import weakref
from contextlib import ExitStack
from pathlib import Path

from alltalk.claims import claim
from alltalk.draft import storage_error
from alltalk.errors import Refused, StorageError

PREFIX = "alltalk-"
OWNER = ".owner"
"""The file in such a folder that its process holds for as long as it lives."""
YOUNG_S = 60.0
"""Until it is so old, a folder may have an owner that does not hold it yet."""


class Scratch:
    """A folder that only this user can read, until `close`.

        with closing(Scratch()) as scratch: ...scratch.path...

    One that nobody holds any more goes too. A process that is killed leaves it to `sweep`.
    """

    def __init__(self) -> None:
        """Raises StorageError."""
        try:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        except OSError as error:
            raise storage_error("write", Path(tempfile.gettempdir()), error) from error
        held = ExitStack()
        self._delete = weakref.finalize(self, _delete, self.path, held)
        held.enter_context(claim(self.path / OWNER, f"{self.path} is another's."))

    def close(self) -> None:
        """Delete it with all that is in it. More than once is once."""
        self._delete()


def sweep() -> int:
    """Delete the folders of processes that are gone; how many they were. What may be somebody
    else's stays.
    """
    folders = list(Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))
    return sum(_is_left(each) and _swept(each) for each in folders)


def _is_left(folder: Path) -> bool:
    """Whether this user made `folder` as a Scratch, some time ago."""
    try:
        place, owner = folder.lstat(), (folder / OWNER).lstat()
    except OSError:
        return False
    if not (stat.S_ISDIR(place.st_mode) and stat.S_ISREG(owner.st_mode)):
        return False
    is_mine = not hasattr(os, "getuid") or place.st_uid == owner.st_uid == os.getuid()
    return is_mine and time.time() - owner.st_mtime > YOUNG_S


def _swept(folder: Path) -> bool:
    """Whether `folder` had no owner any more, and could be deleted."""
    held = ExitStack()
    try:
        held.enter_context(claim(folder / OWNER, f"{folder} is in use."))
    except (Refused, StorageError):
        return False
    _delete(folder, held)
    return not folder.exists()


def _delete(folder: Path, held: ExitStack) -> None:
    """`folder` and all in it, which `held` holds until there is nothing left to hold."""
    with held:
        shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)  # Windows deletes no file that is held
