"""Claims: what one task or process does, no other does at the same time."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from alltalk.draft import storage_error
from alltalk.errors import Refused

if sys.platform == "win32":
    import msvcrt

    def _lock(stream: BinaryIO) -> None:
        msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(stream: BinaryIO) -> None:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def claim(file: Path, refusal: str) -> Iterator[None]:
    """Hold `file` inside. The system lets go of it when the process dies, however it dies.

    The file itself stays: to remove it would let in two who opened it before and after.
    Raises Refused with the sentence `refusal` if it is held already, StorageError.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        stream = file.open("a+b")
    except OSError as error:
        raise storage_error("write", file, error) from error
    with stream:
        try:
            _lock(stream)
        except OSError:
            raise Refused(refusal) from None
        yield
