"""Buzz: each word is a buzz, and a step gives every open stream its next word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alltalk.audio import Audio
from alltalk.engine import Capabilities, Chunk, Event, Place, Utterance, Voice
from alltalk.errors import NoRoom, UnknownVoice

SAMPLE_RATE = 16000
WORD_S, GAP_S = 0.08, 0.04
VOICES_HZ = {"bee": 220.0, "fly": 165.0}


def load(folder: Path, model: str, place: Place, settings: Mapping[str, Any]) -> Buzz:
    """The engine; there is nothing to load."""
    return Buzz(slots=int(settings["slots"]))


@dataclass(eq=False)
class Buzzing:
    """An utterance that is being spoken."""

    hz: float
    words: int
    """Still to be said."""


class Buzz:
    """Speaks as many utterances at once as it has slots."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.capabilities = Capabilities(streaming=True, slots=slots)
        self._open: list[Buzzing] = []

    def voices(self) -> Sequence[Voice]:
        """Two insects."""
        return [Voice(name) for name in VOICES_HZ]

    def prepare(self, utterance: Utterance) -> tuple[float, int]:
        """Pitch in Hz, and how many words. Raises UnknownVoice."""
        hz = VOICES_HZ.get(utterance.voice.name)
        if hz is None:
            raise UnknownVoice(utterance.voice.name, "Buzz", list(VOICES_HZ))
        return hz, sum(any(map(str.isalnum, word)) for word in utterance.text.split())

    def open(self, prepared: tuple[float, int]) -> Buzzing:
        """A stream in a slot. Raises NoRoom."""
        if len(self._open) >= self.slots:
            raise NoRoom("All slots are taken.")
        self._open.append(Buzzing(*prepared))
        return self._open[-1]

    def step(self) -> Sequence[Event]:
        """A word for each stream."""
        return [self._next(stream) for stream in self._open]

    def close_stream(self, stream: Buzzing) -> None:
        """Free its slot."""
        self._open.remove(stream)

    def close(self) -> None:
        """Nothing to free."""

    def _next(self, stream: Buzzing) -> Event:
        if not stream.words:
            return Event(stream, done=True)
        stream.words -= 1
        return Event(stream, Chunk(buzz(stream.hz)), done=not stream.words)


def buzz(hz: float) -> Audio:
    """A word and the gap after it."""
    t = np.arange(round(WORD_S * SAMPLE_RATE)) / SAMPLE_RATE
    overtones = sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 8))
    word = 0.25 * overtones * np.sin(np.pi * t / WORD_S)
    gap = np.zeros(round(GAP_S * SAMPLE_RATE))
    return Audio(np.concatenate([word, gap]).astype(np.float32), SAMPLE_RATE)
