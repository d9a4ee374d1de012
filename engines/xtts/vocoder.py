"""Latents to sound, in windows: the same samples as of the whole clip at once, at linear cost.

An output frame of coqui's HiFi-GAN depends on 13 frames on each side and no more, which is its
receptive field, so that a window with as many beside it has no seam, and needs no fade.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations
from torch.nn.utils.rnn import pad_sequence

from .frames import Frames
from .transfer import to_host

CONTEXT = 13
"""Frames on each side that a frame's sound depends on."""
HOP = 256
"""Samples of a frame; fixed in coqui's vocoder."""


@dataclass(frozen=True, slots=True)
class Window:
    """Frames to be heard, with the context that they need."""

    frames: torch.Tensor
    """float32 [n, width]."""
    speaker: torch.Tensor
    """float32 [512, 1]."""
    heard: range
    """Those of `frames` that become sound."""
    at_end: bool
    """The clip ends with them, which the network hears: nothing may follow them."""


class Waveform:
    """The sound of one clip, as far as its latents have come."""

    def __init__(self, frames: Frames, speaker: torch.Tensor, chunk: tuple[int, int]) -> None:
        """`chunk`: latents of the first chunk, by which each is longer; and the longest."""
        self.latents: list[torch.Tensor] = []
        """Each float32 [width], on the device."""
        self.ended = False
        """No more latents will come."""
        self._frames, self._speaker = frames, speaker
        self._size, self._growth, self._longest = chunk[0], *chunk
        self._taken = 0
        self._due_at = self._size

    @property
    def is_due(self) -> bool:
        """There is enough for a chunk, or the rest."""
        return self.ended or len(self.latents) >= self._due_at

    @property
    def waiting(self) -> int:
        """Latents beyond those that a chunk needs."""
        return len(self.latents) - self._due_at

    @property
    def is_first(self) -> bool:
        """Nothing was taken yet."""
        return not self._taken

    def take(self) -> Window | None:
        """The next window; None: not a frame is left."""
        self._size = min(self._size + self._growth, self._longest)
        self._due_at = len(self.latents) + self._size
        count = self._frames.count(len(self.latents), ended=self.ended)
        stop = count if self.ended else count - CONTEXT
        if stop <= self._taken:
            return None
        start = max(0, self._taken - CONTEXT)
        frames = self._frames.part(self.latents, start, count, ended=self.ended)
        heard = range(self._taken - start, stop - start)
        self._taken = stop
        return Window(frames, self._speaker, heard, self.ended)


class Vocoder:
    """coqui's HiFi-GAN over windows of several clips."""

    def __init__(self, decoder: Any, dtype: torch.dtype) -> None:
        """`decoder`: coqui's, on its device; its generator is changed to `dtype`."""
        self.generator = decoder.waveform_decoder.to(dtype)
        self.dtype = dtype
        self._factors = [decoder.ar_mel_length_compression / decoder.output_hop_length]
        if decoder.output_sample_rate != decoder.input_sample_rate:
            self._factors.append(decoder.output_sample_rate / decoder.input_sample_rate)
        for module in self.generator.modules():
            if is_parametrized(module, "weight"):  # else computed anew for each window
                remove_parametrizations(module, "weight")

    def begin(self, speaker: torch.Tensor, speed: float, chunk: tuple[int, int]) -> Waveform:
        """A clip of `speaker`, float32 [1, 512, 1]; `chunk` as `Waveform` takes it."""
        slowed = [] if 1.0 <= 1.0 / speed < 1.0016 else [1.0 / speed]  # no token more in 600
        return Waveform(Frames([*slowed, *self._factors]), speaker.reshape(-1, 1), chunk)

    def __call__(self, windows: Sequence[Window]) -> list[torch.Tensor]:
        """The sound of each, float32 [samples of what is heard], in main memory.

        Those that do not end are decoded at once, padded behind, where nobody listens.
        """
        together = iter(self._decode([window for window in windows if not window.at_end]))
        return to_host(
            [self._decode([window])[0] if window.at_end else next(together) for window in windows]
        )

    def _decode(self, windows: Sequence[Window]) -> list[torch.Tensor]:
        """The same on the device."""
        if not windows:
            return []
        frames = pad_sequence([each.frames for each in windows], batch_first=True).transpose(1, 2)
        speakers = torch.stack([each.speaker for each in windows])
        sounds = self.generator(frames.to(self.dtype), g=speakers.to(frames.device, self.dtype))
        return [
            sound[0, each.heard.start * HOP : each.heard.stop * HOP].float()
            for sound, each in zip(sounds, windows, strict=True)
        ]
