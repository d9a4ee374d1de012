"""Turns: so many jobs at a time on a server that is not ours; the others wait in a fair line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from alltalk.serving.fair import WaitingLine
from alltalk.serving.loop import Job


class Turns:
    """`slots` turns at a time."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._line: WaitingLine[asyncio.Future[None]] = WaitingLine()

    @asynccontextmanager
    async def of(self, job: Job) -> AsyncIterator[None]:
        """Inside, it is the job's turn."""
        await self._take(job)
        try:
            yield
        finally:
            self._give()

    async def _take(self, job: Job) -> None:
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.push(turn, job.level, job.flow, job.cost)
        try:
            await turn
        except asyncio.CancelledError:
            if not self._line.remove(turn):  # it had come already
                self._give()
            raise

    def _give(self) -> None:
        if len(self._line):
            self._line.pop().set_result(None)
        else:
            self._free += 1
