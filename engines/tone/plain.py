"""Tone, one utterance at a time: each word is a beep of its voice's pitch."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from alltalk.audio import Audio
from alltalk.engine import Capabilities, Chunk, Utterance, Voice
from alltalk.errors import BadTake, SynthesisFailed, UnknownLanguage, UnknownVoice

from .sound import Word, beep, dominant_hz, words_in

NAMED_HZ = {"low": 220.0, "mid": 440.0, "high": 880.0}
LISTED_HZ = (110, 300, 500, 600, 700, 1000)
"""Voices `tone-<hz>` that are listed; others can be asked for all the same."""
RANGE_HZ = (50.0, 4000.0)
MODELS = {"tone-a": (24000, 1.0), "tone-b": (16000, 2.0)}
"""Sample rate in Hz, and the factor on every voice's frequency."""
LANGUAGES = (
    *("ar", "cs", "de", "en", "es", "fr", "hi", "hu", "it", "ja", "ko", "nl", "pl", "pt", "ru"),
    *("tr", "zh-cn"),
)
HEARTBEAT_S = 0.02
"""Longest pretended work between two signs of life."""


@dataclass(frozen=True, slots=True)
class Settings:
    """See the README."""

    chunk_s: float = 0.0
    step_s: float = 0.0
    load_s: float = 0.0
    hang_s: float = 600.0
    slots: int = 1
    room: int = 0
    concurrency: int = 1
    max_chars: int = 250
    native_speed: bool = True
    native_pitch: bool = True
    faults: bool = False

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Settings:
        """Those of `settings` that are known here."""
        defaults = asdict(cls())
        known = defaults.keys() & settings.keys()
        return cls(**{name: type(defaults[name])(settings[name]) for name in known})


@dataclass(frozen=True, slots=True)
class Line:
    """An utterance, ready to be said."""

    words: tuple[Word, ...]
    f0_hz: float
    speed: float
    seed: int | None


class Tone:
    """One utterance at a time in each owning thread."""

    def __init__(self, model: str, settings: Settings) -> None:
        self.settings = settings
        self.sample_rate, self._factor = MODELS[model]
        self._resting = False
        self.capabilities = Capabilities(
            streaming=True,
            cloning=True,
            languages=LANGUAGES,
            speed=(0.25, 4.0) if settings.native_speed else None,
            pitch=(-24.0, 24.0) if settings.native_pitch else None,
            seed=True,
            marks=True,
            low_vram=True,
            deepspeed=True,
            max_chars=settings.max_chars,
            concurrency=settings.concurrency,
            slots=settings.slots,
        )

    def voices(self) -> Sequence[Voice]:
        """`low`, `mid`, `high`, and some `tone-<hz>`."""
        return [Voice(name) for name in (*NAMED_HZ, *(f"tone-{hz}" for hz in LISTED_HZ))]

    def synthesize(self, utterance: Utterance) -> Generator[Chunk | None]:
        """A chunk for each word, or several of `chunk_s`; None while it pretends to work."""
        line = self.prepare(utterance)
        for word in line.words:
            yield from self._work()
            yield from self._cut(self.say(word, line))

    def prepare(self, utterance: Utterance) -> Line:
        """Raises UnknownVoice, UnknownLanguage, UnreadableClip."""
        if utterance.language and not _speaks(utterance.language):
            raise UnknownLanguage(utterance.language, "Tone", LANGUAGES)
        f0_hz = self._voice_hz(utterance.voice) * 2 ** (utterance.pitch / 12)
        words = tuple(words_in(utterance.text, utterance.speed))
        return Line(words, f0_hz, utterance.speed, utterance.sampling.seed)

    def say(self, word: Word, line: Line) -> Chunk:
        """The word's beep. Words that are faults do what they say, where that is allowed."""
        if self._resting:
            raise SynthesisFailed("Tone was asked to speak while it rested.")
        audio = beep(line.f0_hz, line.speed, self.sample_rate, line.seed)
        if self.settings.faults:
            audio = self._fault(word.text, audio, line.seed)
        return Chunk(audio, (word.mark,))

    def rest(self) -> None:
        """Refuse to speak until woken."""
        self._resting = True

    def wake(self) -> None:
        """Speak again."""
        self._resting = False

    def close(self) -> None:
        """Nothing to free."""

    def _voice_hz(self, voice: Voice) -> float:
        if voice.clips:
            return dominant_hz(voice.clips[0]) * self._factor
        hz = NAMED_HZ.get(voice.name) or _hz_in(voice.name)
        if hz is None:
            raise UnknownVoice(voice.name, "Tone", [known.name for known in self.voices()])
        return hz * self._factor

    def _work(self) -> Generator[None]:
        """Pretend to compute a word."""
        left_s = self.settings.step_s
        while left_s > 0:
            time.sleep(min(left_s, HEARTBEAT_S))
            left_s -= HEARTBEAT_S
            yield None

    def _cut(self, chunk: Chunk) -> Generator[Chunk]:
        """`chunk` in pieces of `chunk_s`; the word's mark goes with the first."""
        samples, rate = chunk.audio.samples, chunk.audio.sample_rate
        n = round(self.settings.chunk_s * rate) or len(samples)
        for start in range(0, len(samples), n):
            piece = Audio(samples[start : start + n].copy(), rate)
            yield Chunk(piece, () if start else chunk.marks)

    def _fault(self, word: str, audio: Audio, seed: int | None) -> Audio:
        match word:
            case "boom" | "crash":
                raise RuntimeError(f"Tone met the word {word!r}.")
            case "mumble" if seed is None:
                raise BadTake("Tone mumbled.")
            case "nan":
                return replace(audio, samples=np.full(len(audio), np.nan, np.float32))
            case "hang":
                time.sleep(self.settings.hang_s)
            case "exit":
                os._exit(3)
        return audio


def _speaks(language: str) -> bool:
    primaries = {known.partition("-")[0] for known in LANGUAGES}
    return language.partition("-")[0].lower() in primaries


def _hz_in(name: str) -> float | None:
    """The frequency in `tone-<hz>`, if it can be heard."""
    prefix, _, number = name.removesuffix(".wav").partition("-")
    if prefix != "tone" or not number.isdecimal():
        return None
    return float(number) if RANGE_HZ[0] <= float(number) <= RANGE_HZ[1] else None
