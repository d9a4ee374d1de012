"""Speaking: one request on the backends, a few utterances ahead of its reader, in order."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from alltalk.audio import join
from alltalk.engine import Chunk, Utterance
from alltalk.errors import BadTake, Cancelled, NotReady, Refused, Retryable, ShuttingDown
from alltalk.serving.bell import Bell
from alltalk.serving.choice import Choice
from alltalk.serving.loop import Job
from alltalk.serving.requests import LiveRequest
from alltalk.serving.running import Running
from alltalk.speech import Level, Segment, Ticket

FIRST_CHARS = 300
"""Characters of a live request that wait at level 0: its first sentences."""
STREAMED_AHEAD = 2
"""Utterances of a request in line or running, so that the next begins where one ends.

A request that is heard only when whole takes any slot that is free besides.
"""
UNREAD_S = 30.0
"""Seconds of sound that may wait for the reader before the next utterance is held back."""
JOINED_S = 1.0
"""Seconds of waiting sound that are handed on in one piece."""
TAKES = 3
"""How often one utterance is spoken at most when engines are lost or refuse."""

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Take:
    """An utterance in flight, and its sound that the reader has not taken yet."""

    segment: Segment
    level: int
    chunks: deque[Chunk] = field(default_factory=deque)
    entered: bool = False
    """A backend counts it."""
    heard: bool = False
    """Some of its sound has left; it cannot be spoken again."""
    done: bool = False


class Speaking:
    """One request's utterances: at most a few in line or running, the rest not yet submitted.

    A task reads the segments, a task for each utterance in flight fills its chunks, and `pieces`
    is the reader's side. The first error ends all of them and is raised to the reader.
    """

    def __init__(
        self, choice: Choice, live: LiveRequest, ids: itertools.count[int], *, whole: bool
    ) -> None:
        """`ids` numbers the jobs of all requests; `whole`: nothing is heard before the end."""
        self._choice = choice
        self._live = live
        self._ids = ids
        self._whole = whole
        self._takes: deque[_Take] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_flight: set[_Take] = set()
        self._unread_s = 0.0
        self._submitted_chars = 0
        self._all_submitted = False
        self._error: Exception | None = None
        self._bell = Bell()

    async def pieces(
        self, segments: Sequence[Segment] | AsyncIterable[Segment]
    ) -> AsyncGenerator[tuple[Segment, Chunk | None]]:
        """(segment, chunk) in the segments' order; None ends a segment.

        Leaving stops all that was submitted. Raises what failed first, or the request's error.
        """
        take_back = self._live.on_cancel(self._cancelled)
        if isinstance(segments, Sequence) and segments:
            self._choice.hold(segments[0], self)
        try:
            self._spawn(self._read(segments))
            while (take := await self._first()) is not None:
                while (chunk := await self._next(take)) is not None:
                    yield take.segment, chunk
                self._live.heard(len(take.segment.utterance.text))
                yield take.segment, None
        finally:
            take_back()
            await self._leave()

    async def _first(self) -> _Take | None:
        """The next utterance in order; None after the last."""
        await self._until(lambda: self._takes or self._all_submitted)
        return self._takes.popleft() if self._takes else None

    async def _next(self, take: _Take) -> Chunk | None:
        """The next sound of `take`; None at its end.

        Where nothing is heard before the end anyway, a take is only handed on once it is good.
        """
        await self._until(lambda: take.done or (take.chunks and not self._whole))
        if not take.chunks:
            return None
        chunk = _next_of(take.chunks)
        take.heard = True
        self._live.state = "speaking"
        self._choice.heard(self)
        self._unread(-chunk.audio.seconds)
        return chunk

    async def _until(self, holds: Callable[[], object]) -> None:
        """Wait for what is there to be read; whatever failed meanwhile is raised instead."""
        await self._bell.until(lambda: self._error or holds())
        if self._error is not None:
            raise self._error

    async def _read(self, segments: Sequence[Segment] | AsyncIterable[Segment]) -> None:
        """Submit each segment as soon as there is room for it."""
        async with aclosing(_each(segments)) as all_segments:
            async for segment in all_segments:
                await self._bell.until(partial(self._has_room, segment))
                self._submit(segment)
        self._all_submitted = True
        self._bell.ring()

    def _has_room(self, segment: Segment) -> bool:
        if self._unread_s >= UNREAD_S:
            return False
        if len(self._in_flight) < STREAMED_AHEAD:
            return True
        on_their_way = sum(not take.entered for take in self._in_flight)
        return self._whole and self._choice.free_slots(segment) > on_their_way

    def _submit(self, segment: Segment) -> None:
        take = _Take(segment, _level(self._live.ticket, self._submitted_chars))
        self._submitted_chars += len(segment.utterance.text)
        self._in_flight.add(take)
        self._takes.append(take)
        self._spawn(self._speak(take))
        self._bell.ring()

    async def _speak(self, take: _Take) -> None:
        """Speak one utterance, again where that is allowed and may help."""
        utterance, avoid = take.segment.utterance, list[Running]()
        lost, bad = TAKES - 1, self._choice.timing.bad_takes
        try:
            while True:
                running = await self._choice.enter(take.segment, self, avoid=avoid)
                try:
                    return await self._speak_on(running, take, utterance)
                except BadTake as error:
                    self._choice.bad_takes[take.segment.engine] += 1
                    if take.heard or not bad or self._choice.closed:
                        return self._keep(take, error)
                    bad -= 1
                    self._forget(take)
                    utterance = _another_draw(utterance)
                except (Retryable, Refused) as error:
                    if take.heard or not lost or self._choice.closed:
                        raise self._told(error) from error
                    lost -= 1
                    self._forget(take)
                    avoid.append(running)
        finally:
            self._in_flight.discard(take)
            self._bell.ring()

    async def _speak_on(self, running: Running, take: _Take, utterance: Utterance) -> None:
        cost = float(len(utterance.text))
        job = Job(str(next(self._ids)), utterance, self._live.ticket.flow, take.level, cost)
        take.entered = True
        self._bell.ring()
        try:
            async with aclosing(running.stream(job)) as chunks:
                async for chunk in chunks:
                    take.chunks.append(chunk)
                    self._unread(chunk.audio.seconds)
            take.done = True
        finally:
            take.entered = False
            running.leave()

    def _forget(self, take: _Take) -> None:
        """Drop the sound of a take that failed before any of it was heard."""
        self._unread(-sum(chunk.audio.seconds for chunk in take.chunks))
        take.chunks.clear()

    def _keep(self, take: _Take, error: BadTake) -> None:
        """Go on with what was said, if anything: the engine may be wrong about it."""
        if not take.heard and not take.chunks:
            raise error
        _log.warning("A doubtful take is kept: %s", error)
        take.done = True

    def _told(self, error: Exception) -> Exception:
        """`error` as the caller is told: a backend that was stopped is not the server's end."""
        if isinstance(error, ShuttingDown) and not self._choice.closed:
            return NotReady("The engine was changed while it spoke this. Try again.")
        return error

    def _unread(self, seconds: float) -> None:
        self._unread_s += seconds
        self._bell.ring()

    def _cancelled(self) -> None:
        """The request was stopped from outside."""
        self._fail(self._live.error or Cancelled())

    def _fail(self, error: Exception) -> None:
        """The first error is the request's; everything it has in line or running ends now."""
        if self._error is None:
            self._error = error
        for task in self._tasks:
            task.cancel()
        self._bell.ring()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            self._fail(Cancelled())  # seen by a reader only if nobody of ours cancelled it
        elif isinstance(error := task.exception(), Exception):
            self._fail(error)

    async def _leave(self) -> None:
        try:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            self._choice.release(self)


def _next_of(chunks: deque[Chunk]) -> Chunk:
    """The first of `chunks`, with those that have come meanwhile: one way through the rest of the
    program, and one write to the socket, serves them all. What waits for its reader is not delayed.
    """
    taken = [chunks.popleft()]
    seconds = taken[0].audio.seconds
    while chunks and (seconds := seconds + chunks[0].audio.seconds) <= JOINED_S:
        taken.append(chunks.popleft())
    if len(taken) == 1:
        return taken[0]
    marks = itertools.chain.from_iterable(chunk.marks for chunk in taken)
    return Chunk(join([chunk.audio for chunk in taken]), tuple(marks))


async def _each(
    segments: Sequence[Segment] | AsyncIterable[Segment],
) -> AsyncGenerator[Segment]:
    """The segments one by one, whether they are all there or still arrive."""
    if isinstance(segments, AsyncGenerator):
        async with aclosing(segments):
            async for segment in segments:
                yield segment
    elif isinstance(segments, AsyncIterable):
        async for segment in segments:
            yield segment
    else:
        for segment in segments:
            yield segment


def _level(ticket: Ticket, chars_before: int) -> int:
    """The level at which an utterance waits, with so many characters of its request before it."""
    if ticket.level is Level.JOB:
        return 2
    return 0 if chars_before < FIRST_CHARS else 1


def _another_draw(utterance: Utterance) -> Utterance:
    """`utterance` with the next seed where one was asked for; without, no two takes are equal."""
    seed = utterance.sampling.seed
    if seed is None:
        return utterance
    return replace(utterance, sampling=replace(utterance.sampling, seed=seed + 1))
