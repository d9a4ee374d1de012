"""Noticing that a client has left, before its answer and during it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from alltalk.errors import Cancelled

Result = TypeVar("Result")


async def unless_disconnected(http: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """What `work` returns; if the client leaves first, `work` is cancelled and Cancelled raised.

    Only after the body was read: what a client sends next is its leaving.
    """
    task = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(http.receive))
    try:
        await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Cancelled("The client left.")
    finally:
        await _end(leaving)
        await _end(task)


async def started(sound: AsyncGenerator[bytes], patience_s: float | None = None) -> Started:
    """`sound` once its first bytes are there, or after `patience_s` seconds without any.

    What goes wrong before that is raised here, while the answer can still have a status.
    """
    if patience_s is None:
        return Started(await anext(sound, b""), sound)
    first = asyncio.ensure_future(anext(sound, b""))
    try:
        await asyncio.wait({first}, timeout=patience_s)
    except asyncio.CancelledError:
        await _end(first)
        await sound.aclose()
        raise
    return Started(first.result() if first.done() else first, sound)


class Started:
    """Sound whose first bytes have come, or are awaited: an async iterator of all of them.

    No generator, for closing one that was never begun would not close the sound inside it.
    """

    def __init__(self, first: bytes | asyncio.Future[bytes], rest: AsyncGenerator[bytes]) -> None:
        self._first: bytes | asyncio.Future[bytes] | None = first
        self._rest = rest

    def __aiter__(self) -> Started:
        return self

    async def __anext__(self) -> bytes:
        if self._first is None:
            return await anext(self._rest)
        first, self._first = self._first, None
        piece = first if isinstance(first, bytes) else await first
        if not piece:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """Leave, heard or not."""
        if isinstance(self._first, asyncio.Future):
            await _end(self._first)
        await self._rest.aclose()


Wrap = Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]


class StreamedResponse(Response):
    """An answer that is sent while it is made, and whose making stops when the client leaves.

    An error after the start is raised: the connection drops without its last chunk, so that the
    client sees that something is missing.
    """

    def __init__(
        self,
        sound: Started,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        wrap: Wrap | None = None,
    ) -> None:
        """`wrap`: what is sent in the sound's place, such as events that carry it."""
        self._sound, self._wrap = sound, wrap
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end or until the client has left."""
        pump = asyncio.ensure_future(self._pump(send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({pump, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if pump.done():
                pump.result()
        finally:
            await _end(leaving)
            await _end(pump)

    async def _pump(self, send: Send) -> None:
        async with aclosing(self._sound) as sound:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            async for piece in self._wrap(sound) if self._wrap else sound:
                if piece:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _end(task: asyncio.Future[Any]) -> None:
    """Cancel `task` if it still runs, and wait until its clean-up is done."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # seen, so that asyncio does not report it as lost
