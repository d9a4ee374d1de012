"""Answers: speech that may have been spoken before, or is being spoken for somebody else."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace

from alltalk.cache import Cache, CacheOutcome, Hit, Limits, cache_outcome
from alltalk.config import Config
from alltalk.encode import wav_header
from alltalk.engine import Voice
from alltalk.flight import Flights, Reader
from alltalk.metrics import Metrics
from alltalk.plan import conversions_in
from alltalk.service import SpeechService, same
from alltalk.serving.lane import Lane
from alltalk.serving.requests import new_id
from alltalk.speech import AudioFormat, SpeechRequest, Ticket

REMEMBERED = 4096
"""Requests whose key is remembered: planning one again costs more than all else of a hit."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The sound of a request, and where it comes from."""

    outcome: CacheOutcome
    content: bytes | None = None
    """All of it, where it is at hand."""
    sound: AsyncGenerator[bytes] | None = None
    """Otherwise, as it comes."""
    size: int | None = None
    """Bytes of all of it, where that is known."""


class Answers:
    """The service, behind a cache and single flight. Lives on one event loop."""

    def __init__(
        self,
        service: SpeechService,
        cache: Cache,
        flights: Flights,
        lane: Lane,
        metrics: Metrics,
    ) -> None:
        """`lane`: where the disk is waited for."""
        self._service = service
        self._cache, self._flights, self._lane = cache, flights, lane
        self._metrics = metrics
        self._keys: OrderedDict[SpeechRequest, str] = OrderedDict()
        self._keys_of: tuple[object, ...] = ()
        self._sources: dict[str, str] = {}
        """Flight → id of the request that speaks for it."""

    def at_hand(
        self, request: SpeechRequest, ticket: Ticket, *, opted_out: bool, enabled: bool
    ) -> Answer | None:
        """What `answer` would return, where memory has it or nothing is to be looked up."""
        outcome = self._outcome(request, opted_out, enabled)
        if outcome is not CacheOutcome.MISS:
            self._metrics.cached(outcome.name)
            return Answer(outcome, sound=self._service.encoded(request, ticket))
        key = self._known_key(request)
        content = self._cache.get_small(key, request.format.suffix) if key else None
        if content is None:
            return None
        self._metrics.cached(CacheOutcome.HIT.name)
        return Answer(CacheOutcome.HIT, content)

    async def answer(
        self, request: SpeechRequest, ticket: Ticket, *, opted_out: bool, enabled: bool
    ) -> Answer:
        """What `request` sounds like: kept from before, shared with equal ones, or new.

        `enabled`: whether the door keeps answers at all; `opted_out`: the caller wants none.
        """
        at_hand = self.at_hand(request, ticket, opted_out=opted_out, enabled=enabled)
        if at_hand is not None:
            return at_hand
        answer = await self._kept_or_shared(request, ticket)
        self._metrics.cached(answer.outcome.name)
        return answer

    def _outcome(self, request: SpeechRequest, opted_out: bool, enabled: bool) -> CacheOutcome:
        ttl_s = self._cache.limits.ttl_s if enabled else 0.0
        adhoc = isinstance(request.voice, Voice)
        return cache_outcome(adhoc=adhoc, opted_out=opted_out, ttl_s=ttl_s)

    async def _kept_or_shared(self, request: SpeechRequest, ticket: Ticket) -> Answer:
        key, suffix = await self._key(request), request.format.suffix
        if (content := self._cache.get_small(key, suffix)) is not None:
            return Answer(CacheOutcome.HIT, content)
        while key not in self._flights and self._cache.holds(key, suffix):
            if (hit := await self._lane.run(self._cache.get, key, suffix)) is not None:
                return Answer(CacheOutcome.HIT, sound=self._read(hit), size=hit.size)
        # Nothing is awaited between that look and this: what is not kept is joined or begun.
        sound = self._shared(key, self._join(key, request, ticket), request, ticket)
        return Answer(CacheOutcome.MISS, sound=sound)

    def limit(self, config: Config) -> None:
        """Go by changed settings."""
        self._cache.limits = limits_of(config)

    async def close(self) -> None:
        """Stop what is being spoken."""
        await self._flights.close()
        await self._lane.run(self._cache.sweep)  # keeps the order of use for the next start
        self._lane.close()

    def _join(self, key: str, request: SpeechRequest, ticket: Ticket) -> Reader:
        async def keep(pieces: Iterable[bytes]) -> None:
            whole = _with_true_lengths(request.format, pieces)
            await self._lane.run(self._cache.put, key, request.format.suffix, whole)

        # A ticket of its own: whoever cancels their request leaves, and stops nobody else's.
        shared = replace(ticket, id=new_id(), shared=True, deadline_s=None)
        return self._flights.join(key, lambda: self._source(key, request, shared), keep)

    async def _source(
        self, key: str, request: SpeechRequest, ticket: Ticket
    ) -> AsyncGenerator[bytes]:
        """What the flight `key` carries; its request is known while it is spoken."""
        self._sources[key] = ticket.id
        try:
            async with aclosing(self._service.encoded(request, ticket)) as sound:
                async for piece in sound:
                    yield piece
        finally:
            del self._sources[key]

    async def _shared(
        self, key: str, reader: Reader, request: SpeechRequest, ticket: Ticket
    ) -> AsyncGenerator[bytes]:
        """What `reader` hears, as a request that can be seen and stopped like any other."""
        async with aclosing(reader):
            with self._service.following(request, ticket) as live:
                while piece := await live.unless_cancelled(anext(reader, b"")):
                    if source := self._service.requests.get(self._sources.get(key, "")):
                        live.follow(source)
                    yield piece

    async def _read(self, hit: Hit) -> AsyncGenerator[bytes]:
        try:
            while piece := await self._lane.run(hit.read):
                yield piece
        finally:
            hit.close()

    def _known_key(self, request: SpeechRequest) -> str | None:
        """The key of `request`, while nothing that decides it has changed.

        None where a voice is converted: whether its files changed takes a look at the disk.
        """
        if conversions_in(request):
            return None
        snapshot = self._service.state()
        if not same(snapshot, self._keys_of):
            self._keys.clear()
            self._keys_of = snapshot
        return self._keys.get(request)

    async def _key(self, request: SpeechRequest) -> str:
        if (known := self._known_key(request)) is not None:
            return known
        key = await self._service.key(request)
        self._keys[request] = key
        if len(self._keys) > REMEMBERED:
            self._keys.popitem(last=False)
        return key


def limits_of(config: Config) -> Limits:
    """The cache's bounds by the settings."""
    cache = config.cache
    return Limits(
        ttl_s=cache.ttl_minutes * 60,
        max_bytes=cache.max_mb * 1_000_000,
        memory_bytes=cache.memory_mb * 1_000_000,
    )


def _with_true_lengths(format: AudioFormat, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """A streamed answer as a whole one: its wav header did not know the length yet."""
    if format.name != "wav":
        yield from pieces
        return
    content = b"".join(pieces)
    rate = int.from_bytes(content[24:28], "little")
    yield wav_header(rate, (len(content) - 44) // 2)
    yield content[44:]
