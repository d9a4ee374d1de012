"""Memory: how much this process uses, and giving back what it needs no more."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from pathlib import Path


def give_back() -> None:
    """Collect garbage, and have the C library return what is free.

    Blocks for some hundred milliseconds. Elsewhere than on glibc it only collects.
    """
    gc.collect()
    trim()


def trim() -> None:
    """Have the C library return what is free, which holds up no other thread of Python's.

    glibc keeps freed memory for the next crowd; without this a server stays as large as its
    busiest minute, and as large as loading a model made it. Elsewhere it does nothing.
    """
    if sys.platform == "linux":
        malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if malloc_trim is not None:
            malloc_trim(0)


def used_bytes() -> int | None:
    """Memory of this process, as much of it as is its own or was read by it; None: unknown.

    Known on Linux.
    """
    return _used_by("self")


def used_by_children() -> int:
    """Memory of the processes that this one has started, bytes; 0 where that is unknown."""
    return sum(_used_by(pid) or 0 for pid in _children())


def _used_by(pid: str) -> int | None:
    try:  # proc_pid_statm(5): the second number is pages in memory
        pages = int(Path("/proc", pid, "statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _children() -> list[str]:
    pids: list[str] = []
    for path in Path("/proc/self/task").glob("*/children"):
        try:
            pids += path.read_text(encoding="ascii").split()
        except OSError:  # that thread has ended
            continue
    return pids
