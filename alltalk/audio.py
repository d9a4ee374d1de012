"""Sound as a value: mono float32 samples at one sample rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_KNEE = np.float32(0.8)
"""Where the limiter sets in, -2 dBFS."""


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """Mono sound. Owns its samples and makes them read-only.

    Whoever reuses a buffer hands a copy: the samples may live on in a queue.
    """

    samples: NDArray[np.float32]
    """float32 [n]; full scale is [-1, 1]."""
    sample_rate: int
    """Hz."""

    def __post_init__(self) -> None:
        if self.samples.dtype != np.float32 or self.samples.ndim != 1:
            found = f"{self.samples.dtype} {self.samples.shape}"
            raise TypeError(f"samples are {found}, not float32 [n]")
        if self.sample_rate <= 0:
            raise ValueError(f"sample rate {self.sample_rate} Hz")
        self.samples.setflags(write=False)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.samples)

    @property
    def seconds(self) -> float:
        """Duration, seconds."""
        return len(self.samples) / self.sample_rate


def silence(seconds: float, sample_rate: int) -> Audio:
    """`seconds` of silence, rounded to whole samples."""
    return Audio(np.zeros(max(0, round(seconds * sample_rate)), np.float32), sample_rate)


def join(pieces: Sequence[Audio]) -> Audio:
    """The pieces end to end. All must share one sample rate; at least one is needed."""
    rates = {piece.sample_rate for piece in pieces}
    if len(rates) != 1:
        raise ValueError(f"cannot join sound at {sorted(rates)} Hz")
    if len(pieces) == 1:
        return pieces[0]
    return Audio(np.concatenate([piece.samples for piece in pieces]), rates.pop())


def amplified(audio: Audio, gain_db: float) -> Audio:
    """`audio` louder by `gain_db`. What that lifts over full scale is bent below it, not cut.

    The bend has no memory: linear up to -2 dBFS, then towards 1 with a slope that starts at 1.
    """
    if gain_db == 0.0 or not len(audio):
        return audio
    samples = audio.samples * np.float32(10.0 ** (gain_db / 20.0))
    if gain_db > 0.0:
        loud = np.abs(samples) > _KNEE
        over = (np.abs(samples[loud]) - _KNEE) / (1 - _KNEE)
        samples[loud] = np.copysign(_KNEE + (1 - _KNEE) * over / (1 + over), samples[loud])
    return Audio(samples, audio.sample_rate)


def to_pcm16(audio: Audio) -> NDArray[np.int16]:
    """int16 [n], clipped to full scale, rounded to nearest."""
    pcm: NDArray[np.int16] = np.rint(np.clip(audio.samples, -1.0, 1.0) * 32767.0).astype("<i2")
    return pcm


def from_pcm16(pcm: bytes, sample_rate: int) -> Audio:
    """Sound from little-endian 16-bit samples (32768 is full scale)."""
    return Audio(np.frombuffer(pcm, "<i2").astype(np.float32) / 32768.0, sample_rate)
