"""Running: a loaded engine in use; who speaks on it, who may go on to, and its rest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from alltalk.engine import Chunk, Voice
from alltalk.errors import ShuttingDown
from alltalk.serving.host import Host
from alltalk.serving.loop import Job
from alltalk.speech import Offer

_VOICES_KEPT = 256


class Running:
    """One loaded engine, from load to stop. A backend that is loaded again gets another.

    `enter` and `leave` count the utterances; `holders` are the requests that began here and may
    go on here after `closing`, when no other backend can take them over.
    """

    def __init__(
        self, host: Host, offer: Offer, *, slots: int | None, changed: Callable[[], None]
    ) -> None:
        """`changed` is called at whatever a drain or a listing waits for."""
        can = offer.capabilities
        self.offer = offer
        self.slots = max(1, can.slots * can.concurrency if slots is None else slots)
        self.closing = False
        """Takes no new requests; its holders may go on."""
        self.stopped = False
        self.resting = False
        self.jobs = 0
        self.moves = 0
        """Grows as long as somebody speaks here, or hears what was spoken."""
        self.holders: set[object] = set()
        self.last_used: float | None = None
        self._host = host
        self._changed = changed
        self._voices: dict[Voice, float] = {}
        self._moving = asyncio.Lock()
        self._wakes: set[asyncio.Task[None]] = set()
        self._quiet_since = time.monotonic()

    @property
    def load(self) -> float:
        """Utterances in it, waiting and running, per slot."""
        return self.jobs / self.slots

    @property
    def quiet(self) -> bool:
        """True while no request that speaks here is left."""
        return not self.jobs and not self.holders

    @property
    def quiet_s(self) -> float:
        """Seconds since the last one left; 0 while there is one."""
        return time.monotonic() - self._quiet_since if self.quiet else 0.0

    def last_spoke(self, voice: Voice) -> float:
        """When `voice` was last begun here, on the monotonic clock; 0 for never."""
        return self._voices.get(voice, 0.0)

    def enter(self, holder: object, voice: Voice) -> None:
        """Count an utterance of `holder`, before it is in line."""
        self.jobs += 1
        self.holders.add(holder)
        self.last_used = time.monotonic()
        self._voices.pop(voice, None)
        self._voices[voice] = self.last_used
        if len(self._voices) > _VOICES_KEPT:
            del self._voices[next(iter(self._voices))]

    def hold(self, holder: object) -> None:
        """`holder` is about to begin here."""
        self.holders.add(holder)

    def leave(self) -> None:
        """Count it as gone."""
        self.jobs -= 1
        self.moves += 1
        self._quieter()

    def release(self, holder: object) -> None:
        """`holder` will not come back."""
        if holder in self.holders:
            self.holders.remove(holder)
            self._quieter()

    async def stream(self, job: Job) -> AsyncGenerator[Chunk]:
        """Speak `job`, waking the engine when it rests. As `Host.stream`."""
        if self.resting or self._moving.locked():
            await self._awake()
        async with aclosing(self._host.stream(job)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def rest(self) -> bool:
        """Free the accelerator. False when somebody speaks, or when it rests already."""
        async with self._moving:
            if self.jobs or self.resting:
                return False
            await self._host.rest()
            self.resting = True
            self._changed()
            return True

    async def lost(self) -> None:
        """Return when the engine died by itself."""
        await self._host.lost()

    async def stop(self, grace_s: float = 0.0) -> None:
        """Close the engine; what is still spoken after `grace_s` seconds ends."""
        self.closing = self.stopped = True
        self._changed()
        for task in self._wakes:
            task.cancel()
        await asyncio.gather(*self._wakes, return_exceptions=True)
        await self._host.stop(grace_s)

    def _quieter(self) -> None:
        self._quiet_since = time.monotonic()
        if self.closing:
            self._changed()

    async def _awake(self) -> None:
        """Wait for the wake. A caller who leaves meanwhile does not leave it half done."""
        task = asyncio.create_task(self._wake())
        self._wakes.add(task)
        task.add_done_callback(self._wakes.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():  # by `stop`, not by our caller
                raise ShuttingDown(f"{self.offer.engine} was stopped while it woke.") from None
            raise

    async def _wake(self) -> None:
        async with self._moving:
            if self.resting:
                await self._host.wake()
                self.resting = False
                self._changed()
