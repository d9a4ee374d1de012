"""Decoder: latent frames to sound.

HiFi-GAN (Kong et al. 2020, arXiv:2010.05646), and with pitch its neural source-filter form (Wang
et al. 2019, arXiv:1904.12088), where a sine at the pitch goes into every stage. The names of the
parameters are those of RVC's files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

_SINE = 0.1
"""Amplitude of the source where there is voice."""
_VOICED_NOISE = 0.003
_UNVOICED_NOISE = _SINE / 3
"""Standard deviations of the noise in it."""


class Decoder(nn.Module):
    """Upsampling stages, each followed by residual blocks of several kernels."""

    def __init__(
        self,
        latent: int,
        kernels: Sequence[int],
        dilations: Sequence[Sequence[int]],
        rates: Sequence[int],
        width: int,
        rate_kernels: Sequence[int],
        speaker: int,
        sample_rate: int,
        *,
        pitched: bool,
    ) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.hop = math.prod(rates)
        self.pitched = pitched
        self.conv_pre = nn.Conv1d(latent, width, 7, padding=3)
        self.cond = nn.Conv1d(speaker, width, 1)
        self.ups = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        if pitched:
            self.m_source = _Source()
            self.noise_convs = nn.ModuleList()
        for stage, (rate, kernel) in enumerate(zip(rates, rate_kernels, strict=True)):
            channels = width >> (stage + 1)
            padding = (kernel - rate) // 2
            self.ups.append(
                nn.ConvTranspose1d(2 * channels, channels, kernel, rate, padding=padding)
            )
            self.resblocks.extend(
                _Residual(channels, size, steps)
                for size, steps in zip(kernels, dilations, strict=True)
            )
            if pitched:
                self.noise_convs.append(_downsampling(channels, math.prod(rates[stage + 1 :])))
        self.conv_post = nn.Conv1d(width >> len(rates), 1, 7, padding=3, bias=False)

    def forward(self, z: Tensor, speaker: Tensor, source: Tensor | None) -> Tensor:
        """[1, 1, T * hop] within ±1 of `z` [1, latent, T]; `source` is `sine_source`'s."""
        if source is not None:
            source = self.m_source.l_linear(source.transpose(1, 2)).tanh().transpose(1, 2)
        x = self.conv_pre(z) + self.cond(speaker)
        count = len(self.resblocks) // len(self.ups)
        for stage, up in enumerate(self.ups):
            x = up(functional.leaky_relu(x, 0.1))
            if source is not None:
                x = x + self.noise_convs[stage](source)
            blocks = list(self.resblocks)[stage * count : (stage + 1) * count]
            x = _mean(blocks, x)
        return self.conv_post(functional.leaky_relu(x, 0.01)).tanh()  # type: ignore[no-any-return]


def sine_source(f0_hz: Tensor, sample_rate: int, hop: int, noise: Tensor, phase: float) -> Tensor:
    """The excitation [1, 1, T * hop]: a sine where `f0_hz` [1, T] is above 0, else noise.

    `noise` [1, T * hop] is standard normal. `phase`, in turns, is that of the sample before the
    first; the running sum is of 64 bits, since 32 drift audibly in a long vowel.
    """
    step = f0_hz.double() / sample_rate
    start = step.cumsum(1) * hop - step * hop + phase
    within = torch.arange(1, hop + 1, device=f0_hz.device, dtype=torch.float64)
    turns = start[:, :, None] + step[:, :, None] * within
    sine = torch.sin(2.0 * math.pi * (turns % 1.0)).float().flatten(1)
    voiced = (f0_hz > 0).float().repeat_interleave(hop, 1)
    spread = voiced * _VOICED_NOISE + (1.0 - voiced) * _UNVOICED_NOISE
    return (sine * voiced * _SINE + noise * spread)[:, None]


class _Source(nn.Module):
    """Where a voice weighs the sine."""

    def __init__(self) -> None:
        super().__init__()
        self.l_linear = nn.Linear(1, 1)


class _Residual(nn.Module):
    def __init__(self, channels: int, kernel: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(_same(channels, kernel, each) for each in dilations)
        self.convs2 = nn.ModuleList(_same(channels, kernel, 1) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for first, second in zip(self.convs1, self.convs2, strict=True):
            inner = first(functional.leaky_relu(x, 0.1))
            x = x + second(functional.leaky_relu_(inner, 0.1))
        return x


def _mean(blocks: Sequence[nn.Module], x: Tensor) -> Tensor:
    total: Tensor = blocks[0](x)
    for block in blocks[1:]:
        total += block(x)
    return total / len(blocks)


def _same(channels: int, kernel: int, dilation: int) -> nn.Conv1d:
    padding = (kernel - 1) * dilation // 2
    return nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=padding)


def _downsampling(channels: int, stride: int) -> nn.Conv1d:
    """Brings the source to the rate of a stage."""
    if stride == 1:
        return nn.Conv1d(1, channels, 1)
    return nn.Conv1d(1, channels, 2 * stride, stride, padding=stride // 2)
