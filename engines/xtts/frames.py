"""Latents to the vocoder's frames: torch's linear interpolation, of any part, by absolute place.

coqui stretches latents by 1 / speed, by 4, and by 24000 / 22050, each over the whole clip. A frame
depends on two neighbours a stage, so that those of a part can be had from a part, and be the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Frames:
    """Latents stretched by some factors, one after another: the last is what is asked for."""

    factors: Sequence[float]
    """Each as `torch.nn.functional.interpolate(mode="linear", scale_factor=factor)` has it."""

    def count(self, latents: int, *, ended: bool) -> int:
        """Frames of so many latents; unless they are all, only those that will not change."""
        for factor in self.factors:
            # The last of the rest lies before the last input: it has two neighbours that are known.
            latents = (
                int(latents * factor) if ended else max(0, int((latents - 0.5) * factor - 0.5))
            )
        return latents

    def part(
        self, latents: Sequence[torch.Tensor], start: int, stop: int, *, ended: bool
    ) -> torch.Tensor:
        """Frames [stop - start, width] of `latents`, each [width]: those so far, or all."""
        if not self.factors:
            return torch.stack(list(latents[start:stop]))
        before, factor = Frames(self.factors[:-1]), self.factors[-1]
        count = before.count(len(latents), ended=ended)
        if ended and int(count * factor) == count:  # torch then takes it as it is
            return before.part(latents, start, stop, ended=ended)
        places = _places(factor, start, stop)
        first, last = int(places[0]), min(int(places[-1]) + 2, count)
        values = before.part(latents, first, last, ended=ended)
        places = places.to(values.device)
        lower = places.floor().long()
        upper = (lower + 1).clamp_max(count - 1)  # the last is repeated behind the end
        share = (places - lower)[:, None]
        return values[lower - first] * (1 - share) + values[upper - first] * share


def _places(factor: float, start: int, stop: int) -> torch.Tensor:
    """Where outputs lie among the inputs; in float32 as torch has it, for the same rounding."""
    scale = torch.tensor(1.0 / factor, dtype=torch.float32)
    outputs = torch.arange(start, stop, dtype=torch.float32)
    return (scale * (outputs + 0.5) - 0.5).clamp_min(0.0)
