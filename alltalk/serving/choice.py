"""Choice: which running backend speaks an utterance, and when one is free to be changed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress

from alltalk.errors import AllTalkError, NotReady, ShuttingDown
from alltalk.serving.backend import Backend, Timing
from alltalk.serving.bell import Bell
from alltalk.serving.running import Running
from alltalk.speech import Segment


class Choice:
    """Looks over all backends. Whoever asks is counted before the answer returns."""

    def __init__(self, timing: Timing) -> None:
        self.timing = timing
        self.backends: dict[int, Backend] = {}
        """By id, in order."""
        self.leaving: set[Running] = set()
        """No backend's any more; those who began there may end there."""
        self.bell = Bell()
        """Rung at every change of a backend."""
        self.closed = False
        self.bad_takes: Counter[str] = Counter()
        """Engine → utterances that it found to be no speech of their text."""

    def equal(self, engine: str, model: str = "") -> Iterator[Running]:
        """The running backends that speak `model` (empty: any) of `engine` for anybody."""
        for backend in self.backends.values():
            running = backend.open_running
            if running is not None and _speaks(running, engine, model):
                yield running

    def expected(self, engine: str, model: str = "") -> bool:
        """True while one that will speak `model` (empty: any) of `engine` is loading."""
        backends = self.backends.values()
        return any(backend.coming and backend.means(engine, model) for backend in backends)

    async def until(self, holds: Callable[[], object], most_s: float) -> None:
        """Wait until `holds()` is true, at most `most_s`; asked at every change of a backend."""
        if holds():
            return  # as nearly always: no timer for it
        with suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                await self.bell.until(holds)

    def free_slots(self, segment: Segment) -> int:
        """Slots without an utterance, over all backends that could speak `segment`."""
        equal = self.equal(segment.engine, segment.model)
        return sum(max(0, running.slots - running.jobs) for running in equal)

    async def enter(
        self, segment: Segment, holder: object, avoid: Collection[Running] = ()
    ) -> Running:
        """The backend to speak `segment` for `holder`, who is counted in it and must leave it.

        Least loaded first, then the one that spoke this voice last. One of `avoid` only when
        there is no other after `retry_pause_s`. Waits up to `ready_wait_s` while one is loading.
        Raises NotReady, ShuttingDown.
        """

        def best() -> Running | None:
            return self._best(segment, holder, avoid)

        if avoid:
            await self.until(lambda: best() not in avoid, self.timing.retry_pause_s)
        await self.until(
            lambda: best() or self.closed or not self.expected(segment.engine, segment.model),
            self.timing.ready_wait_s,
        )
        if (chosen := best()) is None:
            raise self.not_ready(segment.engine, segment.model, went=bool(avoid))
        chosen.enter(holder, segment.utterance.voice)
        return chosen

    def hold(self, segment: Segment, holder: object) -> None:
        """Keep one that can speak `segment` for `holder`, who must release it.

        From when a request was planned until its first utterance enters, its backend may be
        exchanged for another model.
        """
        if (running := self._best(segment, holder, ())) is not None:
            running.hold(holder)

    def release(self, holder: object) -> None:
        """`holder` is done with all of them."""
        for running in self._all():
            running.release(holder)

    def heard(self, holder: object) -> None:
        """Sound of `holder` was taken: whoever listens is not waited for in vain."""
        for running in self.leaving:
            running.moves += holder in running.holders

    async def drain(self, running: Running, most_s: float) -> None:
        """Take `running` out of choice, and wait until nobody needs it, at most `most_s`."""
        running.closing = True
        self.bell.ring()
        await self.until(lambda: self._unneeded(running), most_s)

    async def outlast(self, running: Running) -> None:
        """Wait until nobody needs `running`, which is retired, however long that takes.

        Of requests that nothing is spoken for, since nobody takes their sound, no longer than
        `paused_s`.
        """
        while not self._unneeded(running):
            moves = running.moves
            await self.until(lambda: self._unneeded(running), self.timing.paused_s)
            if not running.jobs and running.moves == moves:
                return

    def retire(self, running: Running) -> None:
        """`running` is no backend's any more; who began there may end there."""
        running.closing = True
        self.leaving.add(running)
        self.bell.ring()

    async def close(self, grace_s: float) -> None:
        """Take nobody new, and wait until all are done, at most `grace_s`."""
        self.closed = True
        for running in self._all():
            running.closing = True
        self.bell.ring()
        await self.until(lambda: all(each.quiet for each in self._all()), grace_s)

    def _unneeded(self, running: Running) -> bool:
        """Nobody speaks on it, and who began there is done or can go on elsewhere."""
        if running.jobs:
            return False
        offer = running.offer
        return not running.holders or any(self.equal(offer.engine, offer.model))

    def _best(self, segment: Segment, holder: object, avoid: Collection[Running]) -> Running | None:
        able = list(self.equal(segment.engine, segment.model)) or [
            running
            for running in self._all()
            if holder in running.holders
            and not running.stopped
            and _speaks(running, segment.engine, segment.model)
        ]
        voice = segment.utterance.voice
        return min(
            able,
            key=lambda running: (running in avoid, running.load, -running.last_spoke(voice)),
            default=None,
        )

    def _all(self) -> list[Running]:
        runs = [backend.running for backend in self.backends.values() if backend.running]
        return [*runs, *self.leaving]

    def not_ready(
        self, engine: str, model: str, meant: Backend | None = None, *, went: bool = False
    ) -> AllTalkError:
        """Why `model` of `engine`, or the backend that is `meant`, cannot be spoken now.

        `went`: it could, when this was begun.
        """
        if self.closed:
            return ShuttingDown("The server is shutting down.")
        meant = meant or next((b for b in self.backends.values() if b.means(engine, model)), None)
        name = f"{engine or (meant.spec.type if meant else 'An engine')} {model}".strip()
        if meant is not None and meant.coming:
            return NotReady(f"{name} is still loading. Try again soon.", retry_after_s=5.0)
        if meant is not None and meant.error is not None:
            return NotReady(f"{name} could not be loaded: {meant.error}", retry_after_s=30.0)
        if went:
            return NotReady(f"{name} was taken away before it had spoken this. Try again.")
        return NotReady(f"{name} is not running on any backend.", retry_after_s=30.0)


def _speaks(running: Running, engine: str, model: str) -> bool:
    return running.offer.engine == engine and model in ("", running.offer.model)
