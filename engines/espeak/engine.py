"""eSpeak NG as an engine: every voice and variant, streamed while it is spoken."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path

from alltalk import espeak
from alltalk.audio import from_pcm16
from alltalk.engine import Capabilities, Chunk, Place, Utterance, Voice, from_callback
from alltalk.errors import UnknownLanguage, UnknownVoice

from .voices import Cast

NORMAL_WPM = 175
SPEED = tuple(wpm / NORMAL_WPM for wpm in espeak.RATE_WPM)
PITCH = (-8.0, 9.0)
"""Semitones that the library's parameters reach, see `pitch_parameters`."""
AHEAD = 4096
"""Chunks (4 min) that may wait unread: more than the longest utterance has. The library speaks 1000
times faster than real time, so let it finish rather than hold its lock while somebody listens."""


def load(folder: Path, model: str, place: Place, settings: Mapping[str, object]) -> Espeak:
    """The engine. It has no model files, runs on the CPU, and no setting changes its sound."""
    return Espeak()


class Espeak:
    """Speaks through the process's one synthesiser."""

    def __init__(self) -> None:
        self._cast = Cast(espeak.voices(), espeak.variants())
        self._sample_rate = espeak.sample_rate()
        self.capabilities = Capabilities(
            streaming=True,
            languages=self._cast.languages,
            speed=(SPEED[0], SPEED[1]),
            pitch=PITCH,
            max_chars=1000,
            variants=espeak.variants(),
        )

    def voices(self) -> Sequence[Voice]:
        """Every voice of the library, and some variants of English as people of their own."""
        return self._cast.voices

    def synthesize(self, utterance: Utterance) -> Generator[Chunk | None]:
        """Chunks of 60 ms. The utterance's language wins where its voice speaks another."""
        speaker = self._speaker(utterance)
        pitch, pitch_range = pitch_parameters(utterance.pitch)

        def run(emit: Callable[[Chunk | None], None]) -> None:
            espeak.speak(
                utterance.text,
                speaker,
                lambda pcm: emit(Chunk(from_pcm16(pcm, self._sample_rate))),
                rate_wpm=round(NORMAL_WPM * utterance.speed),
                pitch=pitch,
                pitch_range=pitch_range,
            )

        return from_callback(run, ahead=AHEAD)

    def close(self) -> None:
        """Nothing to free: the library stays with the process."""

    def _speaker(self, utterance: Utterance) -> str:
        """The library's name of who speaks. Raises UnknownVoice, UnknownLanguage."""
        name = utterance.voice.name
        speaker = self._cast.find(name)
        if speaker is None:
            known = [voice.name for voice in self._cast.voices]
            raise UnknownVoice(name, "eSpeak NG", known)
        abroad = self._cast.in_language(speaker, utterance.language)
        if abroad is None:
            raise UnknownLanguage(utterance.language, "eSpeak NG", self._cast.languages)
        return abroad


def pitch_parameters(semitones: float) -> tuple[int, int]:
    """The library's pitch and pitch range that move a voice by `semitones`, melody and all.

    Its pitch p scales a voice's base by 2^((p - 50) / 50). Measured over a sentence of vowels
    (autocorrelation, English and German), a fifth of what is heard stays fixed, so the base has to
    move by more: f0 is then within 0.2 semitones for plain voices, a semitone for most variants.
    """
    base = 1.25 * 2 ** (semitones / 12) - 0.25
    return round(50 + 50 * math.log2(base)), round(50 * base)
