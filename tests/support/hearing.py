"""Hearing what a server said: decode any format, find the beeps and their pitch."""

from __future__ import annotations

import io
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Beep:
    """A stretch of sound between silences."""

    start_s: float
    seconds: float
    hz: float


@dataclass(frozen=True)
class Heard:
    """Decoded sound."""

    samples: NDArray[np.float32]
    sample_rate: int
    codec: str

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.sample_rate

    @property
    def beeps(self) -> list[Beep]:
        """The beeps of the tone engine: one a word."""
        return beeps(self.samples, self.sample_rate)

    @property
    def pitches(self) -> list[int]:
        """Each beep's pitch, Hz, rounded to 10."""
        return [round(beep.hz, -1) for beep in self.beeps]


def hear(content: bytes) -> Heard:
    """Decode a file of any format."""
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.audio[0]
        mono = av.AudioResampler("flt", "mono", stream.rate)
        frames = [out for frame in container.decode(stream) for out in mono.resample(frame)]
        samples = [frame.to_ndarray().reshape(-1) for frame in frames]
        rate, codec = stream.rate, stream.codec_context.name
    return Heard(np.concatenate(samples) if samples else np.zeros(0, np.float32), rate, codec)


def hear_pcm(content: bytes, sample_rate: int = 24000) -> Heard:
    """Headerless 16-bit samples."""
    return Heard(np.frombuffer(content, "<i2").astype(np.float32) / 32768, sample_rate, "pcm")


def beeps(samples: NDArray[np.float32], rate: int, quiet: float = 0.02) -> list[Beep]:
    """Stretches louder than `quiet`, at least 20 ms long and 8 ms apart."""
    window = max(1, rate // 500)
    level = np.abs(samples[: len(samples) // window * window]).reshape(-1, window).max(axis=1)
    loud = np.flatnonzero(level > quiet)
    if not len(loud):
        return []
    groups = np.split(loud, np.flatnonzero(np.diff(loud) > rate * 0.008 / window) + 1)
    found = [(group[0] * window, (group[-1] + 1) * window) for group in groups]
    return [
        Beep(start / rate, (end - start) / rate, _pitch(samples[start:end], rate))
        for start, end in found
        if end - start > 0.02 * rate
    ]


def _pitch(samples: NDArray[np.float32], rate: int) -> float:
    """The strongest frequency, Hz, by a zero-padded Fourier transform."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 16))
    return float(np.argmax(spectrum) * rate / (1 << 16))
