"""The nouns of a request, from what a caller asks to what is delivered. All are immutable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any, Literal

from alltalk.engine import Capabilities, Sampling, Utterance, Voice
from alltalk.errors import BadValue, UnknownFormat


class Role(StrEnum):
    """Who speaks a segment."""

    CHARACTER = "character"
    NARRATOR = "narrator"


TextFilterName = Literal["none", "standard", "html"]
Outside = Literal["character", "narrator", "silent"]


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """A container and codec that sound is delivered in."""

    name: str
    """As requested: wav, mp3, opus, aac, flac, pcm, m4a, ogg."""
    suffix: str
    """Of a file, with the dot."""
    content_type: str
    sample_rate: int | None = None
    """Hz that the format implies; None: any."""

    @property
    def uncompressed(self) -> bool:
        """True where packing is copying."""
        return self.name in ("wav", "pcm")

    @classmethod
    def named(cls, name: str) -> AudioFormat:
        """The format called `name`, in any letter case. Raises UnknownFormat."""
        try:
            return FORMATS[name.lower()]
        except KeyError:
            raise UnknownFormat(name, tuple(FORMATS)) from None


FORMATS: Mapping[str, AudioFormat] = {
    each.name: each
    for each in (
        AudioFormat("wav", ".wav", "audio/wav"),
        AudioFormat("mp3", ".mp3", "audio/mpeg"),
        AudioFormat("opus", ".opus", "audio/ogg"),
        AudioFormat("aac", ".aac", "audio/aac"),
        AudioFormat("flac", ".flac", "audio/flac"),
        AudioFormat("pcm", ".pcm", "audio/pcm", 24000),
        AudioFormat("m4a", ".m4a", "audio/mp4"),
        AudioFormat("ogg", ".ogg", "audio/ogg"),
    )
}


@dataclass(frozen=True, slots=True)
class Conversion:
    """Voice conversion (RVC) of one role. Raises BadValue for what is out of its range."""

    voice: str
    """The model, relative to the home's rvc_models/, with `/`: `Ana/ana.pth`."""
    semitones: float = 0.0
    """-24 to 24."""
    index_rate: float = 0.75
    """0 to 1: how far features are drawn to those of the voice's index; 0 leaves it out."""
    protect: float = 0.5
    """0 to 0.5: how much of that unvoiced sounds get; 0.5: as much as all others, 0: none."""
    rms_mix_rate: float = 1.0
    """0 to 1: whose loudness is heard; 0: the speaker's, 1: the voice's."""
    filter_radius: int = 3
    """0 to 7: above 2, the pitch is smoothed by a median over that many frames of 10 ms."""
    autotune: bool = False
    """The pitch snaps to the nearest semitone."""
    split: bool = True
    """Sound of over 30 s is cut at its quietest places; else every 30 s."""
    pitch_method: str = "rmvpe"
    """rmvpe, autocorrelation, fcpe, crepe or crepe-tiny; other names of V2 mean one of these."""
    embedder: str = "hubert"
    """hubert or contentvec."""
    pitch_low_hz: float = 50.0
    """The lowest pitch looked for, 30 Hz or more."""
    pitch_high_hz: float = 1100.0
    """The highest pitch looked for, up to 2000 Hz."""
    seed: int = 0
    """0 to 2**32 - 1: decides the noise that breath is made of."""
    digest: str = ""
    """Of the content of the voice's files: a cache's key is true though they are replaced."""

    def __post_init__(self) -> None:
        for name, (low, high) in _CONVERSION_RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise BadValue(name, f"must be from {low:g} to {high:g}.")
        if self.pitch_low_hz * 1.5 > self.pitch_high_hz:
            raise BadValue("pitch_high_hz", "must be at least 1.5 times pitch_low_hz.")


_CONVERSION_RANGES: Mapping[str, tuple[float, float]] = {
    "semitones": (-24, 24),
    "index_rate": (0, 1),
    "protect": (0, 0.5),
    "rms_mix_rate": (0, 1),
    "filter_radius": (0, 7),
    "pitch_low_hz": (30, 1000),
    "pitch_high_hz": (60, 2000),
    "seed": (0, 2**32 - 1),
}


@dataclass(frozen=True, slots=True)
class Narrator:
    """How text that is not a character's speech is treated."""

    voice: str
    """Name of the narrator's voice; empty: the engine's default."""
    silent: bool = False
    """Text between asterisks is not spoken at all."""
    outside: Outside = "character"
    """Who speaks text inside neither quotes nor asterisks."""
    conversion: Conversion | None = None


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """What a caller wants said. Doors build it; nothing of HTTP is in it."""

    text: str
    voice: str | Voice = ""
    """A name as listed; empty: the engine's default. A Voice: a clip of this request alone."""
    narrator: Narrator | None = None
    text_filter: TextFilterName = "none"
    language: str = ""
    """Language tag, or `auto`; empty: the configured default."""
    speed: float = 1.0
    """0.25 to 4."""
    pitch: float = 0.0
    """Semitones, -24 to 24."""
    sampling: Sampling = field(default_factory=Sampling)
    instructions: str = ""
    conversion: Conversion | None = None
    format: AudioFormat = FORMATS["wav"]
    sample_rate: int | None = None
    """Hz of the answer, 8000 to 48000; None: the format's, else the engine's."""
    engine: str = ""
    """Empty: the current one."""
    model: str = ""
    """Empty: the one loaded."""
    openai_voice: bool = False
    """`voice` is looked up in the engine's map of OpenAI's names first."""


@dataclass(frozen=True, slots=True)
class Effects:
    """What is left to do with the sound once the engine has spoken."""

    conversion: Conversion | None = None
    speed: float = 1.0
    pitch: float = 0.0
    """Semitones."""

    @property
    def nothing(self) -> bool:
        """True when the sound passes unchanged."""
        return self.conversion is None and self.speed == 1.0 and self.pitch == 0.0


@dataclass(frozen=True, slots=True)
class Segment:
    """An utterance with its place in a request."""

    index: int
    role: Role
    utterance: Utterance
    effects: Effects
    pause_s: float
    """Silence after it, seconds."""
    source: tuple[int, int]
    """Which characters of the caller's text it says: start, end."""
    engine: str
    model: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All that decides the sound."""

    segments: tuple[Segment, ...]
    format: AudioFormat
    sample_rate: int | None = None
    """Hz; None: that of the first sound."""

    @property
    def characters(self) -> int:
        """Characters to be spoken."""
        return sum(len(segment.utterance.text) for segment in self.segments)


class Level(IntEnum):
    """How urgent a request is."""

    LIVE = 0
    """Somebody waits for it."""
    JOB = 2
    """A long piece of work in the background."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """How a request is served; never part of what decides the sound."""

    id: str
    """Ours, unguessable: who knows it may cancel."""
    client: str = ""
    """API key's name, else the client's address: whom stop-generation stops."""
    named: bool = False
    """`client` is an API key's name. An address may be a whole house's."""
    level: Level = Level.LIVE
    deadline_s: float | None = None
    """Seconds the request may take in all."""
    tag: str = ""
    """The id that the client sent, if any: told back, never a right."""
    door: str = ""
    """Which API it came through, for listings and metrics."""
    shared: bool = False
    """Spoken for several callers, each with a request of their own: not theirs to list or stop."""

    @property
    def flow(self) -> str:
        """Whose turn its utterances take: the API key's owner's, else the request's own."""
        return self.client if self.named else self.id


@dataclass(frozen=True, slots=True)
class Offer:
    """What a running backend can speak. Planning and choosing read only this."""

    engine: str
    model: str
    revision: str
    """Changes with the model's files and settings: part of the cache's key."""
    capabilities: Capabilities
    voices: tuple[Voice, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The engine's effective settings (`def_character_voice`, `temperature_set`, …)."""
    openai_voices: Mapping[str, str] = field(default_factory=dict)
    shipped_voices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpokenMark:
    """When a stretch of the caller's text is heard."""

    start_s: float
    end_s: float
    source: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A finished answer, in memory."""

    content: bytes
    """A whole file, with true lengths."""
    seconds: float
    marks: Sequence[SpokenMark]
    """When each part of the text is heard."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A finished file."""

    path: Path
    format: AudioFormat
    seconds: float
    marks: Sequence[SpokenMark] = ()
    from_cache: bool = False
