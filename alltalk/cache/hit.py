"""Hit: a kept answer in the hands of who reads it."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from alltalk.draft import storage_error

READ_BYTES = 256 * 1024


class Hit:
    """A kept answer, opened: eviction takes nothing from who reads it. Close it when heard."""

    def __init__(self, file: BinaryIO, size: int, made_s: float, content: bytes | None) -> None:
        self.size = size
        """Bytes."""
        self.made_s = made_s
        """When it was made, seconds since 1970."""
        self.content = content
        """All of it, where memory holds it: nothing has to be read then."""
        self._file = file

    def read(self, most: int = READ_BYTES) -> bytes:
        """The next bytes, at most `most`; none at the end. Blocks. Raises StorageError."""
        try:
            return self._file.read(most)
        except OSError as error:
            raise storage_error("read", Path(self._file.name), error) from error

    def close(self) -> None:
        """Read no more. May be called again."""
        self._file.close()

    def __enter__(self) -> Hit:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()  # a lane drops what it opened for a caller who has left
