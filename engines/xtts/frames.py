"""Latents to the vocoder's frames: torch's linear interpolation, of any part, by absolute place.

coqui stretches latents by 1 / speed, by 4, and by 24000 / 22050, each over the whole clip. A frame
depends on two neighbours a stage, so that those of a part can be had from a part, and be the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Stretch:
    """`torch.nn.functional.interpolate(mode="linear", scale_factor=factor)`, in parts."""

    factor: float

    def length(self, count: int) -> int:
        """Outputs of `count` inputs."""
        return int(count * self.factor)

    def known(self, count: int) -> int:
        """Outputs that stay as they are, whatever follows the first `count` inputs."""
        outputs = self.length(count)
        while outputs and self._sources(outputs - 1, outputs)[0] >= count - 1:
            outputs -= 1
        return outputs

    def needed(self, start: int, stop: int) -> tuple[int, int]:
        """The inputs, from and to, of the outputs from `start` to `stop`."""
        first, last = self._sources(start, start + 1), self._sources(stop - 1, stop)
        return int(first[0]), int(last[0]) + 2

    def __call__(
        self, part: torch.Tensor, offset: int, count: int, start: int, stop: int
    ) -> torch.Tensor:
        """Outputs [n, width] from `start` to `stop`; `part` holds inputs from `offset` on.

        There are `count` inputs in all; the last is repeated behind the end.
        """
        sources = self._sources(start, stop).to(part.device)
        lower = sources.floor().long()
        upper = (lower + 1).clamp_max(count - 1)
        share = (sources - lower)[:, None]
        return part[lower - offset] * (1 - share) + part[upper - offset] * share

    def _sources(self, start: int, stop: int) -> torch.Tensor:
        """Where outputs lie among the inputs; in float32 as torch has it, for the same rounding."""
        scale = torch.tensor(1.0 / self.factor, dtype=torch.float32)
        places = torch.arange(start, stop, dtype=torch.float32)
        return (scale * (places + 0.5) - 0.5).clamp_min(0.0)


@dataclass(frozen=True, slots=True)
class Frames:
    """Stages one after another."""

    stages: Sequence[Stretch]

    def count(self, latents: int, *, ended: bool) -> int:
        """Frames of so many latents; unless they are all, only those that will not change."""
        return self._counts(latents, ended)[-1]

    def part(
        self, take: Callable[[int, int], torch.Tensor], latents: int, ended: bool, span: range
    ) -> torch.Tensor:
        """The frames of `span`, [n, width]; `take(start, stop)` gives latents of those so far."""
        counts = self._counts(latents, ended)
        spans = [(span.start, span.stop)]
        for stage, count in zip(reversed(self.stages), reversed(counts[:-1]), strict=True):
            start, stop = stage.needed(*spans[0])
            spans.insert(0, (min(start, count - 1), min(stop, count)))
        values = take(*spans[0])
        for stage, count, inputs, outputs in zip(
            self.stages, counts, spans, spans[1:], strict=False
        ):
            if ended and stage.length(count) == count:  # torch then takes it as it is
                values = values[outputs[0] - inputs[0] : outputs[1] - inputs[0]]
            else:
                values = stage(values, inputs[0], count, *outputs)
        return values

    def _counts(self, latents: int, ended: bool) -> list[int]:
        """How many there are before the first stage, and behind each."""
        counts = [latents]
        for stage in self.stages:
            counts.append(stage.length(counts[-1]) if ended else stage.known(counts[-1]))
        return counts
