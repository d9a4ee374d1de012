"""What changes the sound after the engine: voice conversion, then speed and pitch.

Effects are stages with memory. Cutting a stream into chunks and treating each by itself clicks at
every seam and drifts in length; a stage's output is that of the whole, however it was cut.
"""

from __future__ import annotations

from typing import Protocol

from alltalk.audio import Audio
from alltalk.effects.tempo import Tempo
from alltalk.speech import Effects


class Stage(Protocol):
    """One step of the sound's way, fed piece by piece. Blocking; one stage serves one utterance."""

    sample_rate: int
    """Hz of what comes out."""

    def feed(self, audio: Audio) -> Audio:
        """What is ready of the sound so far; may be empty."""
        ...

    def finish(self) -> Audio:
        """The rest. Nothing is fed after it."""
        ...


def open_effects(effects: Effects, sample_rate: int) -> Stage | None:
    """The stage of one utterance at `sample_rate` Hz; None: no change.

    Speed and pitch alone: a voice is converted before, in turns of its own (`alltalk.conversion`).
    """
    if effects.speed == 1.0 and effects.pitch == 0.0:
        return None
    return Tempo(sample_rate, effects.speed, effects.pitch)
