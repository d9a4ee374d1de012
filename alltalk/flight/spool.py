"""Spool: an answer while it is made, in memory as far as that reaches, then in a nameless file."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ParamSpec, Protocol, TypeVar

from alltalk.draft import storage_error
from alltalk.errors import ShuttingDown

P = ParamSpec("P")
R = TypeVar("R")

_log = logging.getLogger(__name__)


class Runner(Protocol):
    """Makes blocking calls in the order in which they are asked for, as a `Lane` does."""

    async def run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What `call` returns or raises; ShuttingDown when it takes no more."""
        ...


class Spool:
    """The pieces of an answer. One writes, many read, each at its own pace.

    A disk that refuses ends no answer: there is a warning, and the rest lies in memory.
    """

    def __init__(self, lane: Runner, folder: Path, memory_bytes: int) -> None:
        self._lane = lane
        self._room = memory_bytes
        self._file = _File(folder)
        self._spilled = False
        self._pieces: list[bytes | _Span] = []

    async def append(self, piece: bytes) -> None:
        """Add `piece` at the end."""
        stored: bytes | _Span = piece
        if len(piece) > self._room:
            self._spilled = True  # known here first, so that `close` comes after in the lane
            stored = await self._lane.run(self._file.write, piece)
        else:
            self._room -= len(piece)
        self._pieces.append(stored)

    async def piece(self, number: int) -> bytes:
        """Piece `number`, from 0. Raises StorageError."""
        stored = self._pieces[number]
        return stored if isinstance(stored, bytes) else await self._lane.run(self._get, stored)

    async def close(self) -> None:
        """Give memory and file back; nothing is read any more."""
        self._pieces.clear()
        if not self._spilled:
            return
        try:
            await self._lane.run(self._file.close)
        except ShuttingDown:
            self._file.close()

    def __len__(self) -> int:
        """Pieces so far."""
        return len(self._pieces)

    def __iter__(self) -> Iterator[bytes]:
        """The pieces; on any thread, but it blocks. Raises StorageError."""
        return (self._get(stored) for stored in self._pieces)

    def _get(self, stored: bytes | _Span) -> bytes:
        return stored if isinstance(stored, bytes) else self._file.read(stored)


@dataclass(frozen=True, slots=True)
class _Span:
    """Where in the file a piece lies, bytes."""

    start: int
    length: int


class _File:
    """A file that is gone when it is closed, whatever happens. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._end = 0
        self._refused = False
        self._lock = threading.Lock()

    def write(self, piece: bytes) -> bytes | _Span:
        """Where `piece` now lies; itself, once the disk refuses."""
        with self._lock:
            if self._refused:
                return piece
            try:
                self._append(piece)
            except OSError as error:
                self._refused = True
                why = storage_error("write to", self._folder, error)
                _log.warning("A long answer is held in memory. %s", why)
                return piece
            self._end += len(piece)
            return _Span(self._end - len(piece), len(piece))

    def read(self, span: _Span) -> bytes:
        """The piece that lies there. Raises StorageError, and ShuttingDown after `close`."""
        with self._lock:
            if self._file is None:
                raise ShuttingDown("The answer is not kept any longer.")
            try:
                self._file.seek(span.start)
                return self._file.read(span.length)
            except OSError as error:
                raise storage_error("read from", self._folder, error) from error

    def close(self) -> None:
        """Delete it. What is written later is not stored."""
        with self._lock:
            self._refused = True
            if self._file is not None:
                self._file.close()
                self._file = None

    def _append(self, piece: bytes) -> None:
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            # Unbuffered: what the disk refuses is to be known now, and not again when it closes.
            self._file = tempfile.TemporaryFile(  # noqa: SIM115 - `close` closes it
                dir=self._folder, buffering=0
            )
        self._file.seek(self._end)
        rest = memoryview(piece)
        while rest:
            rest = rest[self._file.write(rest) :]
