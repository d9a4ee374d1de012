"""Single flight: equal requests that meet share one synthesis, and each hears all of it.

A task of `Flights`' own reads the source into a spool; readers follow the spool from its start.
So no caller is special: whoever leaves, the others go on, and only the last to leave stops it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, MutableMapping
from pathlib import Path

from alltalk.errors import AllTalkError, Cancelled, ShuttingDown
from alltalk.flight.spool import Runner, Spool

Make = Callable[[], AsyncGenerator[bytes]]
"""Begins a synthesis."""
Keep = Callable[[Iterable[bytes]], Awaitable[object]]
"""Takes the pieces of a finished answer. Going through them blocks: it belongs in a lane."""


class Flights:
    """Every synthesis that may be shared, by key. Lives on one event loop."""

    def __init__(self, lane: Runner, folder: Path, *, memory_bytes: int = 8 * 1024 * 1024) -> None:
        """What exceeds `memory_bytes` of one answer lies in a nameless file in `folder`."""
        self._lane = lane
        self._folder = folder
        self._memory_bytes = memory_bytes
        self._joinable: dict[str, _Flight] = {}
        self._live: dict[asyncio.Task[None], _Flight] = {}
        self._closed = False

    def join(self, key: str, make: Make, keep: Keep | None = None) -> Reader:
        """A reader of the answer under `key`, from its first byte on. Hold it in `aclosing`.

        The first to join begins `make()`; those who meet it share it, and theirs are not called.
        It can be joined until `keep` has returned: who finds `key not in flights` and then nothing
        kept has missed nothing in between. Raises ShuttingDown after `close`.
        """
        if self._closed:
            raise _leaving()
        if (flight := self._joinable.get(key)) is not None:
            return Reader(flight, joined=True)
        spool = Spool(self._lane, self._folder, self._memory_bytes)
        flight = self._joinable[key] = _Flight(key, spool, self._joinable)
        flight.task = asyncio.create_task(flight.fly(make, keep), name="flight")
        self._live[flight.task] = flight
        flight.task.add_done_callback(self._landed)
        return Reader(flight, joined=False)

    async def close(self) -> None:
        """Stop all; readers raise ShuttingDown. Returns once sources and files are closed."""
        self._closed = True
        for flight in self._live.values():
            flight.stop(_leaving())
        if self._live:
            await asyncio.wait(list(self._live))

    def __contains__(self, key: str) -> bool:
        """True while who joins shares what another began."""
        return key in self._joinable

    def __len__(self) -> int:
        """Flights that run, or are still read."""
        return len(self._live)

    def _landed(self, task: asyncio.Task[None]) -> None:
        """Report what no reader is there to raise: an error of `keep`, or of a late clean-up."""
        del self._live[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            what = {"message": "A shared synthesis ended badly", "exception": error, "task": task}
            task.get_loop().call_exception_handler(what)


class Reader:
    """One caller's hearing of a flight: an async iterator of bytes that is closed when done.

    Raises what the source raised, as an exception of this reader's own, as soon as it has failed.
    Is never waited for: what it does not read yet lies in the spool.
    """

    def __init__(self, flight: _Flight, *, joined: bool) -> None:
        self.joined = joined
        """False: this caller was the first, and it began the synthesis."""
        self._flight = flight
        self._heard = 0  # pieces
        self._closed = False
        flight.readers += 1

    def __aiter__(self) -> Reader:
        return self

    async def __anext__(self) -> bytes:
        flight = self._flight
        while not self._closed:
            if flight.error is not None:
                raise _twin(flight.error) from flight.error
            if self._heard < len(flight.spool):
                piece = await flight.spool.piece(self._heard)
                self._heard += 1
                return piece
            if flight.ended:
                break
            await flight.news.wait()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Leave. The last one out of a synthesis under way stops it, and waits until it has."""
        if self._closed:
            return
        self._closed = True
        if self._flight.leave():
            await asyncio.wait({self._flight.task})

    def __del__(self) -> None:
        """Leave, if nobody did: closing a generator that never began does not close what it holds.

        From any thread, since the garbage collector runs in any.
        """
        if not self._closed:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and the task with it
                self._flight.task.get_loop().call_soon_threadsafe(self._flight.leave)


class _Flight:
    """One synthesis, and those who listen to it."""

    task: asyncio.Task[None]

    def __init__(self, key: str, spool: Spool, joinable: MutableMapping[str, _Flight]) -> None:
        self.spool = spool
        self.readers = 0
        self.ended = False
        """Nothing more will come."""
        self.error: Exception | None = None
        self.news = asyncio.Event()
        """Set once, at the next change of anything here; then there is another."""
        self._key = key
        self._joinable = joinable

    async def fly(self, make: Make, keep: Keep | None) -> None:
        """What the task does, from before the first piece until nobody needs the spool."""
        try:
            await self._fill(make)
            if self.error is None and keep is not None:
                await keep(self.spool)
        finally:
            self._part()
            try:
                while self.readers and self.error is None:
                    await self.news.wait()
            finally:
                await self.spool.close()

    def leave(self) -> bool:
        """One reader fewer. True when it was the last, and the synthesis now stops for it."""
        self.readers -= 1
        last = not self.readers and not self.ended
        if last:
            self.stop(Cancelled("Nobody listens any more."))
        self._tell()
        return last

    def stop(self, error: AllTalkError) -> None:
        """Fail whoever listens, and end the source; an answer being kept is still kept."""
        if not self.ended:
            self.task.cancel()
        self.ended, self.error = True, error
        self._part()
        self._tell()

    async def _fill(self, make: Make) -> None:
        """Read the source to its end, which may be an error: that is for the readers to raise."""
        try:
            async with contextlib.aclosing(make()) as source:
                async for piece in source:
                    if piece:
                        await self.spool.append(piece)
                        self._tell()
        except Exception as error:
            if self.ended:  # stopped before: no reader is left to raise it
                raise
            self._end(error)
        except BaseException:
            self._end(self.error or Cancelled())
            raise
        else:
            self._end(self.error)

    def _end(self, error: Exception | None) -> None:
        self.ended, self.error = True, error
        self._tell()

    def _part(self) -> None:
        """Take no more readers: the next equal request begins anew."""
        if self._joinable.get(self._key) is self:
            del self._joinable[self._key]

    def _tell(self) -> None:
        self.news.set()
        self.news = asyncio.Event()


def _twin(error: Exception) -> Exception:
    """Another exception like `error`: one raised to many would gather the traces of all."""
    twin = type(error).__new__(type(error), *error.args)
    vars(twin).update(vars(error))
    return twin


def _leaving() -> ShuttingDown:
    return ShuttingDown("The server is leaving; send the request again in a moment.")
