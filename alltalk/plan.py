"""From a request to segments: which engine, who speaks which words, in what language and how.

Pure: no clock, disk or randomness. The same request and snapshot give the same plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import zip_longest

from alltalk.config import V2_FILTER, Config
from alltalk.engine import Capabilities, Sampling, Utterance, Voice
from alltalk.errors import (
    BadValue,
    CannotClone,
    EmptyText,
    NothingToSpeak,
    NotReady,
    UnknownEngine,
    UnknownLanguage,
    UnknownModel,
    UnknownRvcVoice,
)
from alltalk.language import canonical, detect, matching
from alltalk.narration import Kind, read, read_v2
from alltalk.sentences import cut, split_sentences
from alltalk.speech import Conversion, Effects, Narrator, Offer, Plan, Role, Segment, SpeechRequest
from alltalk.text import (
    Mapped,
    can_be_said,
    check_filter,
    decode,
    decode_v2,
    plain,
    spoken,
    spoken_v2,
)
from alltalk.voices import resolve_voice

SPEED = (0.25, 4.0)
"""Ratio."""
PITCH = (-24.0, 24.0)
"""Semitones."""
SAMPLE_RATE = (8_000, 48_000)
"""Hz."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was true when a request arrived."""

    config: Config
    offers: tuple[Offer, ...]
    """What can be spoken now; the current backend's first."""
    clips: Mapping[str, Voice]
    """The voice library."""
    conversions: Mapping[str, str] = field(default_factory=dict)
    """RVC voices that requests may name → what their files hold."""


def make_plan(request: SpeechRequest, snapshot: Snapshot) -> Plan:
    """The whole of `request` as a plan.

    Raises EmptyText, NothingToSpeak, BadValue, UnknownEngine, UnknownModel, UnknownVoice,
    UnknownLanguage, UnknownRvcVoice, CannotClone, NotReady.
    """
    segments = Planner(replace(request, text=""), snapshot).finish(request.text)
    return Plan(tuple(segments), request.format, request.sample_rate or request.format.sample_rate)


class Planner:
    """Plans a text that is still arriving: give it pieces of any size, get segments.

    What cannot be served is raised when a planner is made; what is wrong with the text, at its
    end. A request's own `text` comes first.
    """

    def __init__(self, request: SpeechRequest, snapshot: Snapshot) -> None:
        _check(request)
        self._offer = _choose(request, snapshot.offers)
        self._roles = dict(_cast(request, self._offer, snapshot))
        self._reader = _Reader(request, snapshot.config)
        self._speech = snapshot.config.speech
        self._held = [request.text]
        self._taken = 0
        self._planned = 0
        self._was_blank = True

    def feed(self, text: str) -> list[Segment]:
        """The segments that `text` completes: all but the last sentence, or narrated paragraph."""
        self._held.append(text)
        if not self._reader.may_be_completed_by(text):
            return []
        held = "".join(self._held)
        ready = self._reader.complete(held, self._roles[Role.CHARACTER].language)
        return self._take(held, ready)

    def finish(self, text: str = "") -> list[Segment]:
        """The segments of what is left, with `text` as the last of it.

        Raises EmptyText when all that came is space, NothingToSpeak when none of it can be said.
        """
        held = "".join([*self._held, text])
        segments = self._take(held, len(held))
        if self._was_blank:
            raise EmptyText
        if not self._planned:
            raise NothingToSpeak
        return [*segments[:-1], *(replace(last, pause_s=0.0) for last in segments[-1:])]

    def _take(self, held: str, ready: int) -> list[Segment]:
        """Plan the first `ready` characters of `held`; the rest is held on."""
        text = Mapped.of(held[:ready], self._taken)
        self._held = [held[ready:]]
        self._taken += ready
        self._was_blank = self._was_blank and not text.text.strip()
        lines = [line for role, said in self._reader.read(text) for line in self._lines(role, said)]
        segments = [
            self._segment(self._planned + index, line, following)
            for index, (line, following) in enumerate(zip_longest(lines, lines[1:]))
        ]
        self._planned += len(segments)
        return segments

    def _lines(self, role: Role, said: Mapped) -> Iterator[_Line]:
        """`said` in pieces that the engine takes."""
        manner = self._roles[role]
        language = manner.language_of(said.text)
        longest = min(self._offer.capabilities.max_chars, self._speech.max_chars)
        first = longest if self._planned else self._speech.first_chars
        for piece in cut(said.text, language, longest, first):
            text = self._reader.tidied(said.cut(piece.start, piece.end))
            if can_be_said(text.text):
                yield _Line(role, text, language, piece.ends_sentence)

    def _segment(self, index: int, line: _Line, following: _Line | None) -> Segment:
        manner = self._roles[line.role]
        return Segment(
            index=index,
            role=line.role,
            utterance=replace(manner.utterance, text=line.text.text, language=line.language),
            effects=manner.effects,
            pause_s=self._pause_s(line, following),
            source=line.text.source,
            engine=self._offer.engine,
            model=self._offer.model,
        )

    def _pause_s(self, line: _Line, following: _Line | None) -> float:
        """Silence after `line`: none inside a sentence, more where the speaker changes."""
        if following is not None and following.role is not line.role:
            return self._speech.role_pause_s
        return self._speech.pause_s if line.ends_sentence else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Line:
    """What one segment says."""

    role: Role
    text: Mapped
    language: str
    ends_sentence: bool


class _Reader:
    """Reads from the caller's text who says what, by the request's filter and narrator."""

    def __init__(self, request: SpeechRequest, config: Config) -> None:
        self._filter = request.text_filter
        self._narrator = request.narrator
        self._is_v2 = config.speech.narration == "v2"
        self._shortest_v2 = config.api_def.api_length_stripping
        pattern = config.api_def.api_allowed_filter
        self._removed = check_filter(pattern)
        self._has_own_filter = pattern != V2_FILTER

    def read(self, text: Mapped) -> Iterator[tuple[Role, Mapped]]:
        """Who says what, ready to be cut."""
        text = plain(text)
        if self._narrator is None:
            yield Role.CHARACTER, self._spoken(text if self._is_v2 else self._decoded(text))
            return
        text = decode_v2(text) if self._is_v2 else self._decoded(text)
        for part in read_v2(text.text, self._shortest_v2) if self._is_v2 else read(text.text):
            if (role := _role(part.kind, self._narrator)) is not None:
                yield role, self._spoken(text.pick(part.pieces).stripped())

    def may_be_completed_by(self, text: str) -> bool:
        """False where `complete` would find nothing more once `text` has come."""
        return self._narrator is None or (not self._is_v2 and "\n" in text)

    def complete(self, held: str, language: str) -> int:
        """How much of `held` reads the same whatever comes after it, characters."""
        if self._narrator is not None:
            return max((blank.end() for blank in _BLANK_LINE.finditer(held)), default=0)
        sentences = split_sentences(held, language)
        if not sentences or _BLANK_LINE.search(held, sentences[-1][1]):
            return len(held)
        return sentences[-1][0]

    def tidied(self, text: Mapped) -> Mapped:
        """On one line, unless the text is wanted as it is."""
        return text if self._is_v2 or self._filter == "none" else text.replaced(_SPACE, " ")

    def _decoded(self, text: Mapped) -> Mapped:
        return decode(text, self._filter, narrated=self._narrator is not None)

    def _spoken(self, text: Mapped) -> Mapped:
        if self._is_v2:
            return spoken_v2(text, self._filter, self._removed)
        return spoken(text, self._filter, self._removed if self._has_own_filter else None)


_BLANK_LINE = re.compile(r"\n\s*\n")
_SPACE = re.compile(r"\s+")


def _role(kind: Kind, narrator: Narrator) -> Role | None:
    """Who says a part of that kind; None: nobody."""
    if kind is Kind.CHARACTER:
        return Role.CHARACTER
    if kind is Kind.NARRATOR:
        return None if narrator.silent else Role.NARRATOR
    return None if narrator.outside == "silent" else Role(narrator.outside)


@dataclass(frozen=True, slots=True)
class _Manner:
    """How one role speaks."""

    utterance: Utterance
    """All but its text, and its language where that is detected."""
    effects: Effects
    language: str
    """Where it is detected, what it is when a text doesn't tell."""
    detected_among: tuple[str, ...]
    """Empty: it isn't detected."""

    def language_of(self, text: str) -> str:
        """The language that `text` is spoken in."""
        return detect(text, self.language, self.detected_among)


def _choose(request: SpeechRequest, offers: Sequence[Offer]) -> Offer:
    """The offer that `request` means; empty names mean the first."""
    if not offers:
        raise NotReady("No engine is ready to speak yet.")
    engine = request.engine or (offers[0].engine if not request.model else "")
    of_engine = [offer for offer in offers if engine in ("", offer.engine)]
    if not of_engine:
        raise UnknownEngine(engine, list(dict.fromkeys(offer.engine for offer in offers)))
    for offer in of_engine:
        if request.model in ("", offer.model):
            return offer
    known = [offer.model for offer in of_engine]
    raise UnknownModel(request.model, of_engine[0].engine, known)


def _check(request: SpeechRequest) -> None:
    """Raises BadValue for what no engine could do."""
    _check_range("speed", request.speed, SPEED)
    _check_range("pitch", request.pitch, PITCH)
    if request.sample_rate is not None:
        _check_range("sample_rate", request.sample_rate, SAMPLE_RATE)


def _check_range(name: str, value: float, bounds: tuple[float, float]) -> None:
    if not bounds[0] <= value <= bounds[1]:
        raise BadValue(name, f"{value} is not between {bounds[0]:g} and {bounds[1]:g}.")


def _cast(
    request: SpeechRequest, offer: Offer, snapshot: Snapshot
) -> Iterator[tuple[Role, _Manner]]:
    """How each role that `request` has speaks. A voice nobody speaks with is not looked up."""
    voice = _voice(request, offer, snapshot.clips)
    yield Role.CHARACTER, _manner(request, offer, snapshot, voice, request.conversion)
    narrator = request.narrator
    if narrator and not (narrator.silent and narrator.outside != "narrator"):
        voice = resolve_voice(narrator.voice, offer, snapshot.clips, role=Role.NARRATOR)
        yield Role.NARRATOR, _manner(request, offer, snapshot, voice, narrator.conversion)


def _voice(request: SpeechRequest, offer: Offer, clips: Mapping[str, Voice]) -> Voice:
    if isinstance(request.voice, str):
        return resolve_voice(request.voice, offer, clips, openai=request.openai_voice)
    if not offer.capabilities.cloning:
        raise CannotClone(offer.engine)
    return request.voice


def _manner(
    request: SpeechRequest,
    offer: Offer,
    snapshot: Snapshot,
    voice: Voice,
    conversion: Conversion | None,
) -> _Manner:
    can = offer.capabilities
    if conversion is not None:
        conversion = _conversion(conversion, snapshot)
    language, is_detected = _language(request, offer, snapshot.config, voice)
    speed, pitch = _clamped(request.speed, can.speed, 1.0), _clamped(request.pitch, can.pitch, 0.0)
    utterance = Utterance(
        text="",
        voice=voice,
        language=language,
        speed=speed,
        pitch=pitch,
        sampling=_sampling(request.sampling, can),
        instructions=request.instructions if can.instructions else "",
    )
    effects = _effects(conversion, request.speed / speed, request.pitch - pitch)
    return _Manner(utterance, effects, language, can.languages if is_detected else ())


def _language(
    request: SpeechRequest, offer: Offer, config: Config, voice: Voice
) -> tuple[str, bool]:
    """The language to speak, and whether each part's own is to be detected instead.

    What the request asks for; else what its voice speaks by nature; else the configured default.
    Only what was asked for has to be among the engine's. Raises UnknownLanguage.
    """
    offered, default = offer.capabilities.languages, config.api_def.api_language
    if not offered:
        return "", False
    asked = canonical(request.language)
    if asked and asked != "auto":
        if (found := matching(asked, offered)) is None:
            raise UnknownLanguage(request.language, offer.engine, offered)
        return found, False
    own = matching(voice.language, offered) if voice.language else None
    fallback = own or matching(default, offered) or matching("en", offered) or offered[0]
    return fallback, asked == "auto" or (default == "auto" and own is None)


def _clamped(asked: float, native: tuple[float, float] | None, neutral: float) -> float:
    """As much of `asked` as the engine does by itself."""
    return neutral if native is None else min(max(asked, native[0]), native[1])


def conversions_in(request: SpeechRequest) -> tuple[Conversion, ...]:
    """What `request` wants to be converted; nothing for a narrator who says nothing."""
    narrator = request.narrator
    speaks = narrator is not None and not (narrator.silent and narrator.outside != "narrator")
    narrated = narrator.conversion if narrator is not None and speaks else None
    return tuple(each for each in (request.conversion, narrated) if each is not None)


def settled(conversion: Conversion, config: Config, digest: str) -> Conversion:
    """`conversion` with all that the settings decide; `digest` of its voice's files."""
    rvc = config.rvc_settings
    return replace(
        conversion,
        voice=conversion.voice.replace("\\", "/"),
        index_rate=rvc.index_rate,
        protect=rvc.protect,
        rms_mix_rate=rvc.rms_mix_rate,
        filter_radius=rvc.filter_radius,
        autotune=rvc.autotune,
        split=rvc.split_audio,
        pitch_method=rvc.f0method,
        embedder=rvc.embedder_model,
        pitch_low_hz=config.conversion.pitch_low_hz,
        pitch_high_hz=config.conversion.pitch_high_hz,
        digest=digest,
    )


def _conversion(conversion: Conversion, snapshot: Snapshot) -> Conversion:
    """Raises UnknownRvcVoice."""
    if (digest := snapshot.conversions.get(conversion.voice)) is None:
        raise UnknownRvcVoice(conversion.voice, list(snapshot.conversions))
    return settled(conversion, snapshot.config, digest)


def _effects(conversion: Conversion | None, speed: float, pitch: float) -> Effects:
    """What is left to do. Voice conversion moves the pitch anyway: it takes all it can."""
    if conversion is not None and pitch:
        semitones = _clamped(conversion.semitones + pitch, PITCH, 0.0)
        pitch -= semitones - conversion.semitones
        conversion = replace(conversion, semitones=semitones)
    return Effects(conversion, speed, pitch)


def _sampling(asked: Sampling, can: Capabilities) -> Sampling:
    """What of `asked` matters to the engine; the rest would only make equal requests differ."""
    names = {*can.sampling, *(("seed",) if can.seed else ())}
    return Sampling(**{name: getattr(asked, name) for name in names & set(_SAMPLING)})


_SAMPLING = tuple(field.name for field in fields(Sampling))
