"""SpeechService: everything the doors ask for, whichever door it is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from alltalk import encode, language
from alltalk.audio import Audio
from alltalk.backend_types import BackendType, backend_types
from alltalk.cache import plan_key
from alltalk.config import Config
from alltalk.config_store import ConfigStore
from alltalk.conversion import Conversions, Pieces
from alltalk.engine import Voice
from alltalk.errors import NotReady, UnknownVoice
from alltalk.metrics import Metrics
from alltalk.outputs import Outputs
from alltalk.plan import Snapshot, conversions_in, make_plan, settled
from alltalk.registry import Registry
from alltalk.serving.admission import Admission
from alltalk.serving.lane import Lane, Lanes
from alltalk.serving.pool import BackendPool
from alltalk.serving.requests import LiveRequest, Requests
from alltalk.speech import (
    AudioFormat,
    Conversion,
    Offer,
    Plan,
    Recorded,
    Saved,
    SpeechRequest,
    Ticket,
)
from alltalk.status import EngineStatus, status_of
from alltalk.tail import Tail
from alltalk.tee import teed
from alltalk.voices import VoiceLibrary, resolve_voice, voices_of

REMEMBERED = 256
"""Plans kept for a request that comes again: most are asked for twice, for the cache's key and
to be spoken."""
SPOKEN_CHARS_PER_S = 15
"""How much text a second of a recording counts as, where requests are admitted."""
INLINE_CHARS = 2_000
"""Texts up to this length are planned on the event loop: a hop to a lane would cost more."""


class SpeechService:
    """Turns requests into sound. Everything here is async and never blocks."""

    def __init__(
        self,
        *,
        config: ConfigStore,
        registry: Registry,
        voices: VoiceLibrary,
        conversions: Conversions,
        pool: BackendPool,
        requests: Requests,
        admission: Admission,
        lanes: Lanes,
        outputs: Outputs,
        metrics: Metrics,
    ) -> None:
        self._config = config
        self._registry = registry
        self._library = voices
        self._conversions = conversions
        self._lanes = lanes
        self._admission = admission
        self._metrics = metrics
        self._warm = False
        self._plans: dict[SpeechRequest, Plan] = {}
        self._planned_from: tuple[object, ...] = ()
        self.pool = pool
        self.requests = requests
        self.outputs = outputs

    @property
    def config(self) -> Config:
        """The settings in force now."""
        return self._config.current

    async def warm_up(self) -> None:
        """Load what the first request would otherwise wait for."""
        await self._lanes.pick().run(language.warm)
        await self._lanes.pick().run(encode.warm)
        self._warm = True

    def lane(self) -> Lane:
        """A thread for short blocking calls, the least busy one."""
        return self._lanes.pick()

    # Speaking

    async def encoded(self, request: SpeechRequest, ticket: Ticket) -> AsyncGenerator[bytes]:
        """The answer's bytes as soon as there is sound; leaving stops the engine."""
        async with aclosing(self._spoken(request, ticket, whole=False)) as answer:
            async for encoded, _ in answer:
                if encoded:
                    yield encoded

    def kept(self, request: SpeechRequest, ticket: Ticket, name: str) -> AsyncGenerator[bytes]:
        """As `encoded`; once it was heard to its end, it is also the file `name` in the outputs.

        Raises UnsafeName.
        """
        draft, lane = self.outputs.create(name), self._lanes.pick()
        return teed(self.encoded(request, ticket), draft, request.format, lane)

    async def whole(self, request: SpeechRequest, ticket: Ticket) -> bytes:
        """The answer in one piece, with true lengths in its headers."""
        async with aclosing(self._spoken(request, ticket, whole=True)) as answer:
            return b"".join([encoded async for encoded, _ in answer])

    async def render(self, request: SpeechRequest, ticket: Ticket, name: str) -> Saved:
        """The answer as the file `name` in the outputs folder, written whole or not at all."""
        made = await self.recorded(request, ticket)
        path = await self._lanes.pick().run(self.outputs.write, name, made.content)
        return Saved(path, request.format, made.seconds, made.marks)

    async def recorded(self, request: SpeechRequest, ticket: Ticket) -> Recorded:
        """The answer in one piece, and when each part of its text is heard."""
        async with aclosing(self._spoken(request, ticket, whole=True)) as answer:
            made = [each async for each in answer]
        content, tail = b"".join(encoded for encoded, _ in made), made[-1][1]
        return Recorded(content, tail.seconds, tail.marks)

    async def convert(
        self,
        audio: Audio,
        conversion: Conversion,
        format: AudioFormat,
        ticket: Ticket,
        chosen: Mapping[str, Any] = MappingProxyType({}),
    ) -> bytes:
        """`audio` in another voice, whole; `chosen` are its fields that the settings don't decide.

        Raises BadValue, UnknownRvcVoice, and as `Conversions.converted`.
        """
        characters = round(audio.seconds * SPOKEN_CHARS_PER_S)
        opened = self.requests.open(
            ticket, voice=conversion.voice, characters=characters, engine="rvc"
        )
        with self._admission.admit(characters), opened as live:
            digests = await self.lane().run(self._conversions.digests, [conversion.voice])
            wanted = settled(conversion, self.config, digests[conversion.voice])
            wanted = replace(wanted, **chosen)
            made = await live.unless_cancelled(self._conversions.convert(audio, wanted))
            return await self.lane().run(encode.packed, made, format)

    async def free(self, backend_id: int | None = None) -> int:
        """Free the memory of backends that nobody speaks on; how many.

        Without an id also that of voice conversion.
        """
        if backend_id is None:
            await self._conversions.release()
        return await self.pool.free(backend_id)

    @contextmanager
    def following(self, request: SpeechRequest, ticket: Ticket) -> Generator[LiveRequest]:
        """`request` among the live ones, while it hears what is spoken elsewhere."""
        voice = request.voice.name if isinstance(request.voice, Voice) else request.voice
        with self.requests.open(
            ticket, voice=voice, characters=len(request.text), engine=request.engine
        ) as live:
            yield live

    async def key(self, request: SpeechRequest) -> str:
        """What `request` is cached under. Raises what planning it raises."""
        plan = self._planned(request) or await self._plan(request)
        revisions = {(offer.engine, offer.model): offer.revision for offer in self.pool.offers}
        return plan_key(plan, revisions)

    def state(self) -> tuple[object, ...]:
        """All beside a request that decides its plan; another value means another plan."""
        return (self.config, self._library.recent(), *self.pool.offers)

    async def _spoken(
        self, request: SpeechRequest, ticket: Ticket, *, whole: bool
    ) -> AsyncGenerator[tuple[bytes, Tail]]:
        """The whole program, in order: admit, plan, speak, change, join, encode."""
        with (
            self._metrics.remembering(),
            self._admission.admit(len(request.text)) as admitted,
            self.following(request, ticket) as live,
        ):
            plan = self._planned(request)
            while plan is None or not self._is_offered(plan):  # or no longer, when it was made
                plan = await live.unless_cancelled(self._plan(request))
            live.characters, live.engine = plan.characters, plan.segments[0].engine
            meter = self._metrics.speaking(live.engine, plan.format.name)
            async with (
                self._tail(plan, whole=whole) as (tail, lane),
                aclosing(self._speak(plan, live, whole=whole)) as pieces,
            ):
                async for segment, chunk in pieces:
                    for turn in tail.turns(chunk):
                        if tail.is_light:
                            yield tail.feed(segment, turn), tail
                        else:
                            yield await lane.run(tail.feed, segment, turn), tail
                        if tail.seconds:
                            meter.heard()
                    if chunk is None:
                        admitted.spoken(len(segment.utterance.text))
                last = tail.finish() if tail.is_light else await lane.run(tail.finish)
            meter.finished(plan.characters, tail.seconds)
            yield last, tail

    @asynccontextmanager
    async def _tail(self, plan: Plan, *, whole: bool) -> AsyncGenerator[tuple[Tail, Lane]]:
        """What happens to the sound, and the lane it happens on; let go of when it is cut short."""
        tail, lane = Tail(plan, whole=whole), self._lanes.pick()
        try:
            yield tail, lane
        except BaseException:
            await lane.run(tail.close)  # there, for a call may still be under way
            raise

    def _speak(self, plan: Plan, live: LiveRequest, *, whole: bool) -> Pieces:
        """The sound of `plan`, in the voices that it is to be heard in."""
        pieces = self.pool.speak(plan.segments, live, whole=whole)
        if all(segment.effects.conversion is None for segment in plan.segments):
            return pieces
        return self._conversions.converted(pieces, live)

    def _planned(self, request: SpeechRequest) -> Plan | None:
        """The plan that was made of `request` a moment ago, while nothing has changed since.

        None where a voice is converted: whether its files changed takes a look at the disk.
        """
        if not self.pool.is_ready(request.engine, request.model):
            return None
        return self._plans_from(self.pool.offers).get(request)

    def _is_offered(self, plan: Plan) -> bool:
        """True while what `plan` is to be spoken with still speaks."""
        first = plan.segments[0]
        return any(
            (offer.engine, offer.model) == (first.engine, first.model) for offer in self.pool.offers
        )

    async def _plan(self, request: SpeechRequest) -> Plan:
        """A new plan of `request`, which is remembered."""
        offers = await self.pool.ready(request.engine, request.model)
        snapshot = Snapshot(self.config, offers, self._library.recent())
        if names := [each.voice for each in conversions_in(request)]:
            digests = await self.lane().run(self._conversions.digests, names)
            snapshot = replace(snapshot, conversions=digests)
            return await self.lane().run(make_plan, request, snapshot)
        detected = "auto" in (request.language, self.config.api_def.api_language)
        if len(request.text) > INLINE_CHARS or (detected and not self._warm):
            return await self._lanes.pick().run(make_plan, request, snapshot)
        plans = self._plans_from(offers)
        plan = plans[request] = make_plan(request, snapshot)
        if len(plans) > REMEMBERED:
            del plans[next(iter(plans))]
        return plan

    def _plans_from(self, offers: tuple[Offer, ...]) -> dict[SpeechRequest, Plan]:
        """Plans made from what is true now; those from what was true before are forgotten."""
        now = (self.config, self._library.recent(), *offers)
        if not same(now, self._planned_from):
            self._planned_from = now
            self._plans.clear()
        return self._plans

    # What there is to speak with

    @property
    def ready(self) -> bool:
        """True while the current engine can speak."""
        return self._current_offer() is not None

    def status(self) -> EngineStatus:
        """The current engine, loaded or not."""
        current = self.pool.current
        if current is None:
            raise NotReady("There is no backend; add one to speak.")
        return status_of(self._registry, current.spec.type, current.offer)

    async def backend_types(self) -> Mapping[str, BackendType]:
        """The kinds of backend there are; hidden engines only where one runs."""
        running = tuple(each.type for each in self.pool.backends)
        return await self._lanes.pick().run(backend_types, self._registry, running)

    def engine_settings(self) -> Mapping[str, Any]:
        """The current engine's settings, by V2's names."""
        return self.status().settings

    def voices(self) -> Sequence[Voice]:
        """The current engine's voices, cloned ones first as V2 lists them."""
        offer = self._current_offer()
        return voices_of(offer, self._library.scan()) if offer else ()

    def default_voice(self) -> str:
        """Who speaks where a request to `/v1` names nobody; empty: nobody can."""
        offer, wanted = self._current_offer(), self.config.speech.default_voice
        if offer is None:
            return ""
        try:
            return resolve_voice(wanted, offer, self._library.recent(), openai=True).name
        except UnknownVoice:
            return ""

    def openai_voices(self) -> list[str]:
        """OpenAI's names that the current engine has a voice for."""
        offer = self._current_offer()
        return list(offer.openai_voices) if offer else []

    def engine_names(self) -> tuple[str, ...]:
        """Every engine a request may name: those installed, and those that speak now."""
        return tuple(dict.fromkeys((*self._registry.names(), *self.engines())))

    def engines(self) -> dict[str, tuple[str, ...]]:
        """Engines that can speak now → their loaded models."""
        found: dict[str, tuple[str, ...]] = {}
        for offer in self.pool.offers:
            found[offer.engine] = (*found.get(offer.engine, ()), offer.model)
        return found

    def _current_offer(self) -> Offer | None:
        current = self.pool.current
        return current.offer if current else None


def same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    """By identity: a change makes new objects, and comparing hundreds of voices takes a while."""
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))
