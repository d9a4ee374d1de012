"""Host: where an engine lives. `Here`: in this process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Protocol

from alltalk.engine import Chunk, Restable
from alltalk.errors import AllTalkError, NotReady, ShuttingDown
from alltalk.memory import give_back
from alltalk.serving.lane import Lane
from alltalk.serving.loop import SETTLE_S, Delivery, EngineLoop, Job, Loaded
from alltalk.speech import Offer

_log = logging.getLogger(__name__)

REST_S = 30.0
"""Seconds an engine may take to free its memory."""


class Host(Protocol):
    """An engine, wherever it runs, as the server sees it. All is async and never blocks."""

    async def start(self) -> Offer:
        """Load the engine.

        Raises LoadFailed, OutOfMemory, UnknownModel; then nothing is left behind.
        """
        ...

    def stream(self, job: Job) -> AsyncGenerator[Chunk]:
        """Speak `job`; leaving the generator (aclose) takes it out of line or stops it.

        Raises what the engine raised, WorkerLost when its process ended, ShuttingDown after `stop`.
        """
        ...

    async def rest(self) -> None:
        """Free the accelerator; `stream` needs `wake` first. Only while nothing is spoken."""
        ...

    async def wake(self) -> None:
        """Undo `rest`."""
        ...

    async def stop(self, grace_s: float) -> None:
        """Close the engine; what is still spoken after `grace_s` seconds ends with ShuttingDown."""
        ...

    async def lost(self) -> None:
        """Return when the engine has died by itself (a killed worker); never, while it lives."""
        ...


class Here:
    """An engine in this process: a `Host`. An engine that cannot rest is closed and loaded anew."""

    def __init__(
        self,
        load: Callable[[], Loaded],
        offer: Callable[[Loaded], Offer],
        *,
        name: str = "engine",
    ) -> None:
        """`load()`, then `offer` of the engine it returned, run on the engine's thread.

        They may run again after a rest. `name` is told in errors.
        """
        self._load = load
        self._offer = offer
        self._name = name
        self._offered: Offer | None = None
        self._loop: EngineLoop | None = None
        self._resting = False
        self._stopped = False
        self._inboxes: dict[Job, asyncio.Queue[Delivery]] = {}

    async def start(self) -> Offer:
        """As `Host.start`. Whoever leaves it abandons the load: its engine is closed at once."""
        self._stopped = False
        self._events = asyncio.get_running_loop()
        self._loop = loop = EngineLoop(self._load_and_describe, self._deliver, name=self._name)
        loop.start()
        try:
            await asyncio.wrap_future(loop.loaded)
        except BaseException:
            loop.close(0.0, settle_s=0.0)
            if self._loop is loop:
                self._loop = None
            raise
        assert self._offered is not None
        return self._offered

    async def stream(self, job: Job) -> AsyncGenerator[Chunk]:
        """As `Host.stream`. `job` is in line from the first `anext` on; NotReady while resting."""
        loop = self._speaking_loop()
        inbox = self._inboxes[job] = asyncio.Queue()
        try:
            loop.submit(job)
            done = False
            while not done:
                delivery = await inbox.get()
                done = delivery.done
                if delivery.error is not None:
                    raise delivery.error
                if delivery.chunk is not None:
                    yield delivery.chunk
        finally:
            del self._inboxes[job]
            loop.cancel(job.id)

    async def rest(self) -> None:
        """As `Host.rest`. Cancelling it leaves it resting."""
        if self._loop is None or self._resting:
            return
        self._resting = True
        if not isinstance(self._loop.loaded.result(), Restable):
            await self._close_loop(0.0, settle_s=REST_S)
            return
        try:
            await asyncio.shield(asyncio.wrap_future(self._loop.between(_rest)))
        except AllTalkError:
            self._resting = False
            raise

    async def wake(self) -> None:
        """As `Host.wake`. Raises what `start` does; the engine then rests on."""
        if not self._resting:
            return
        if self._loop is None:
            await self.start()
        else:
            await asyncio.shield(asyncio.wrap_future(self._loop.between(_wake)))
        self._resting = False

    async def stop(self, grace_s: float) -> None:
        """As `Host.stop`. An engine inside a long call is left behind, to be closed after it."""
        self._stopped, self._resting = True, False
        await self._close_loop(grace_s, settle_s=SETTLE_S)

    async def lost(self) -> None:
        """Never returns: this engine dies with the server."""
        await asyncio.get_running_loop().create_future()

    def _speaking_loop(self) -> EngineLoop:
        if self._stopped:
            raise ShuttingDown(f"{self._name} has been stopped.")
        if self._loop is None or self._resting:
            raise NotReady(f"{self._name} is not loaded.")
        return self._loop

    def _load_and_describe(self) -> Loaded:
        """On the engine's thread: the engine, and what it offers noted."""
        engine = self._load()
        try:
            self._offered = self._offer(engine)
        except BaseException:
            engine.close()
            raise
        return engine

    async def _close_loop(self, grace_s: float, *, settle_s: float) -> None:
        """Close the loop on a thread of its own, as that waits. Goes on when cancelled."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        lane = Lane(f"{self._name}-closing")
        try:
            if await lane.run(loop.close, grace_s, settle_s=settle_s):
                del loop  # and with it the engine
                await lane.run(give_back)
            else:
                _log.warning("%s is still busy; its memory is freed when that ends", self._name)
        finally:
            lane.close()

    def _deliver(self, deliveries: Sequence[Delivery]) -> None:
        """On the engine's threads: one call of the event loop for all of a step."""
        try:
            self._events.call_soon_threadsafe(self._spread, deliveries)
        except RuntimeError:
            if not self._events.is_closed():
                raise

    def _spread(self, deliveries: Sequence[Delivery]) -> None:
        for each in deliveries:
            if (inbox := self._inboxes.get(each.job)) is not None:
                inbox.put_nowait(each)


def _rest(engine: Restable) -> None:
    engine.rest()


def _wake(engine: Restable) -> None:
    engine.wake()
