"""From a model's steps to sound: codes put back in step, and decoded piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

CONTEXT = 12
"""Frames on each side that a decoded frame depends on, rounded up: DAC's decoder at 512 samples a
frame reaches 3 (its first convolution), 1 (upsampling) and 39/8 + 39/64 + … (dilated ones)."""

Decode = Callable[[torch.Tensor], NDArray[np.float32]]
"""Codes [codebooks, frames] → samples, a whole number for each frame."""


class Voicing:
    """The sound of one utterance, as far as its codes have come.

    Each step brings one code for every codebook, codebook k being k frames late (the delay pattern
    of Copet et al. 2023, "Simple and Controllable Music Generation").
    """

    def __init__(self, decode: Decode, codebooks: int, codebook_size: int, end: int) -> None:
        """`end` is the code that ends the utterance; codes from `codebook_size` on are no sound."""
        self._decode, self._codebooks = decode, codebooks
        self._codebook_size, self._end = codebook_size, end
        self._steps: list[Sequence[int]] = []
        self._frames: list[list[int]] = []
        self._heard = 0
        self.is_over = False
        """The utterance has ended; nothing that comes belongs to it."""

    def push(self, codes: Sequence[int]) -> None:
        """Take the codes of one step."""
        self._steps.append(codes)
        first = len(self._steps) - self._codebooks
        if self.is_over or first < 0:
            return
        frame = [self._steps[first + k][k] for k in range(self._codebooks)]
        if frame[0] == self._end:
            self.is_over = True
        elif max(frame) < self._codebook_size:
            self._frames.append(frame)

    def take(self, least: int) -> NDArray[np.float32] | None:
        """The next sound, if there are `least` frames of it or no more will come."""
        ready = len(self._frames) - (0 if self.is_over else CONTEXT)
        if ready <= self._heard or (ready - self._heard < least and not self.is_over):
            return None
        begin = max(0, self._heard - CONTEXT)
        window = self._frames[begin : ready + CONTEXT]
        samples = self._decode(torch.tensor(window).T)
        hop = len(samples) // len(window)
        piece = samples[(self._heard - begin) * hop : (ready - begin) * hop]
        self._heard = ready
        return piece

    def end(self) -> None:
        """No more steps will come."""
        self.is_over = True
