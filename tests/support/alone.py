"""What only one test run does at a time, of all on this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _wait_for(stream) -> None:
        msvcrt.locking(stream.fileno(), msvcrt.LK_LOCK, 1)

else:
    import fcntl

    def _wait_for(stream) -> None:
        fcntl.flock(stream, fcntl.LOCK_EX)


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Hold `file` inside, once nobody else does. The system lets go of it if the process dies."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+b") as stream:
        _wait_for(stream)
        yield
