"""What changes the sound after the engine: voice conversion, then speed and pitch.

Effects are stages with memory. Cutting a stream into chunks and treating each by itself clicks at
every seam and drifts in length; a stage's output is that of the whole, however it was cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from alltalk.audio import Audio, join
from alltalk.effects.tempo import Tempo
from alltalk.errors import Unsupported
from alltalk.speech import Conversion, Effects


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


OpenConversion = Callable[[Conversion, int], Stage]
"""Opens the stage that converts to a voice, for sound at a sample rate in Hz."""


class Chain:
    """Stages, each fed with what the one before it gives; at least one."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = tuple(stages)
        self.sample_rate = self._stages[-1].sample_rate

    def feed(self, audio: Audio) -> Audio:
        """What has come through all stages."""
        for stage in self._stages:
            audio = stage.feed(audio)
        return audio

    def finish(self) -> Audio:
        """The rest: every stage is finished once all before it are."""
        first, *others = self._stages
        rest = first.finish()
        for stage in others:
            rest = join([stage.feed(rest), stage.finish()])
        return rest


def open_effects(
    effects: Effects, sample_rate: int, open_conversion: OpenConversion | None = None
) -> Stage | None:
    """The stages for one utterance that an engine speaks at `sample_rate` Hz; None: no change.

    Raises Unsupported when a conversion is asked for and nothing can convert.
    """
    stages: list[Stage] = []
    if effects.conversion is not None:
        if open_conversion is None:
            raise Unsupported(
                f"The voice cannot be converted to {effects.conversion.voice!r}: voice conversion "
                "is not available on this server. Send the request without it."
            )
        stages.append(open_conversion(effects.conversion, sample_rate))
        sample_rate = stages[-1].sample_rate
    if effects.speed != 1.0 or effects.pitch != 0.0:
        stages.append(Tempo(sample_rate, effects.speed, effects.pitch))
    return Chain(stages) if stages else None
