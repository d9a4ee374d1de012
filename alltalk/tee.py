"""Tee: a stream that is also kept as a file, once it was heard to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from alltalk.draft import Draft
from alltalk.encode import wav_header
from alltalk.errors import StorageError
from alltalk.serving.lane import Lane
from alltalk.speech import AudioFormat

logger = logging.getLogger(__name__)

BLOCK = 256 * 1024
"""Bytes that are written at once: a hop to a lane for each piece would cost more than the piece."""


async def teed(
    sound: AsyncGenerator[bytes], draft: Draft, format: AudioFormat, lane: Lane
) -> AsyncGenerator[bytes]:
    """`sound` as it comes; at its end `draft` holds all of it, a wav with its true length.

    A listener who leaves, or sound that fails, leaves no file. A disk that refuses is told in the
    log and keeps nobody from hearing.
    """
    copy = _Copy(draft, format, lane)
    try:
        async with aclosing(sound):
            async for piece in sound:
                yield piece
                await copy.add(piece)
        await copy.finish()
    finally:
        await copy.leave()


class _Copy:
    """The file beside the stream. Its calls run in order on one lane."""

    def __init__(self, draft: Draft, format: AudioFormat, lane: Lane) -> None:
        self._draft, self._format, self._lane = draft, format, lane
        self._waiting = bytearray()
        self._written = 0
        self._rate = 0
        self._begun = self._refused = False

    async def add(self, piece: bytes) -> None:
        """Take `piece`; it is written when enough has come together."""
        if not self._refused:
            self._waiting += piece
            if len(self._waiting) >= BLOCK:
                await self._do(self._write)

    async def finish(self) -> None:
        """Put the file in its place."""
        if not self._refused:
            await self._do(self._commit)

    async def leave(self) -> None:
        """Remove the file where it was not finished, even when whoever asks is cancelled."""
        if self._begun:
            await asyncio.shield(self._lane.run(self._draft.__exit__, None, None, None))

    async def _do(self, work: Callable[[], None]) -> None:
        self._begun = True
        try:
            await self._lane.run(work)
        except StorageError as error:
            self._refused = True
            self._waiting.clear()
            logger.warning("A stream was heard, but not kept: %s", error)

    def _write(self) -> None:
        if not self._written:
            self._draft.__enter__()
            self._rate = int.from_bytes(self._waiting[24:28], "little")
        self._draft.write(bytes(self._waiting))
        self._written += len(self._waiting)
        self._waiting.clear()

    def _commit(self) -> None:
        self._write()
        if self._format.name == "wav":
            self._draft.overwrite(0, wav_header(self._rate, (self._written - 44) // 2))
        self._draft.commit()
