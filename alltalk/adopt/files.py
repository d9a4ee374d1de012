"""Brings files of another folder into the home: linked or copied, never half, never over ours."""

from __future__ import annotations

import contextlib
import filecmp
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from alltalk.draft import Draft, remove_stale, storage_error

SMALL = 1_000_000
"""Bytes up to which a file is copied even where links are wanted: text such as a model's
config.json gets edited, and an edit here must not reach the other installation."""
BLOCK = 1 << 20
"""Bytes copied at a time."""

Placed = Literal["linked", "copied", "same", "differs"]


def files(folder: Path) -> Iterator[Path]:
    """Every file below `folder`, whole paths, sorted; none if it is not there.

    Links are followed, once: people keep models on another disk. One that leads nowhere counts as
    a file, so that somebody is told. Hidden names are left out.
    """
    seen: set[str] = set()
    for place, below, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(place)) in seen:
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if name[0] != "." and name != "__pycache__")
        found = (Path(place, name) for name in sorted(names) if name[0] != ".")
        yield from (path for path in found if path.is_file() or path.is_symlink())


def place(source: Path, target: Path, *, link: bool) -> Placed:
    """Make `target` the same file as `source`, unless another file is there already.

    `link`: without a copy where the file is large and the disk can do it. Raises StorageError when
    `target` cannot be written, OSError when `source` cannot be read.
    """
    if target.exists():
        return "same" if filecmp.cmp(source, target, shallow=True) else "differs"
    _make_room(target)
    if link and source.stat().st_size > SMALL and _linked(source.resolve(), target):
        return "linked"
    _copy(source, target)
    return "copied"


def _make_room(target: Path) -> None:
    """The folder for `target`, without what an interrupted run left there."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink():  # it leads nowhere: the installation it led to has moved
            target.unlink()
    except OSError as error:
        raise storage_error("make", target, error) from error
    remove_stale(target.parent)


def _linked(source: Path, target: Path) -> bool:
    """True when a link could be made.

    A hard link outlives the other installation and needs no right on Windows, but only reaches
    over one file system; a symbolic link reaches everywhere.
    """
    for make in (os.link, os.symlink):
        with contextlib.suppress(OSError):
            make(source, target)
            return True
    return False


def _copy(source: Path, target: Path) -> None:
    """Copy in blocks, with the time of the last change: a later run sees by it that both agree."""
    with source.open("rb") as original, Draft(target) as draft:
        while block := original.read(BLOCK):
            draft.write(block)
        draft.commit()
    times = source.stat()
    with contextlib.suppress(OSError):  # the content is there; comparing it again costs only time
        os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
