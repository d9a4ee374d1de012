"""Input: the speaker's sound as voice conversion hears it, in frames of 10 ms.

At 16 kHz, without what lies below 48 Hz, and mirrored at both ends, so that the networks see sound
on both sides of every frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alltalk.audio import Audio
from alltalk.errors import SynthesisFailed
from alltalk.resample import Resampler

SAMPLE_RATE = 16000
HOP = 160
"""Samples of a frame."""
MIRROR = 30
"""Frames mirrored at each end: an even number, since a feature frame has two of them."""
EDGE = 80
"""Samples after a window that its last feature frame needs."""
_CORNER_HZ, _ORDER = 48.0, 5
_REACH = 1600
"""Samples to each side that the high-pass hears: 10 of its time constants."""

_SILENT = 1e-4
"""RMS of a frame below which it is silence: -80 dBFS. A voice would breathe there."""
_NEAR = 2
"""Frames to each side of sound that are let through."""


class Input:
    """Fed piece by piece. Frame 0 is the first; those of the mirror have numbers below it."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._resampler = Resampler(sample_rate, SAMPLE_RATE)
        self._fed = 0
        self._sound = np.zeros(0, np.float32)
        self._start = 0
        """Which sample the first of `_sound` is."""
        self._is_mirrored = False
        self.frames: int | None = None
        """How many there are in all, once the sound has ended."""

    def feed(self, audio: Audio) -> None:
        """Raises SynthesisFailed for values that are no numbers."""
        if not np.isfinite(audio.samples).all():
            raise SynthesisFailed("The sound to convert holds values that are no numbers (NaN).")
        self._fed += len(audio)
        self._add(self._resampler.feed(audio).samples)

    def finish(self) -> None:
        """Nothing is fed after it."""
        self._add(self._resampler.finish().samples)
        self.frames = -(-self._fed * SAMPLE_RATE // (self._rate * HOP))
        if not self.frames:
            return
        if not len(self._sound):  # shorter than a sample at 16 kHz
            self._sound = np.zeros(1, np.float32)
        if not self._is_mirrored:
            self._mirror_start()
        end = (self.frames + self.frames % 2 + MIRROR) * HOP + EDGE
        missing = end - self._start - len(self._sound)
        self._sound = np.pad(self._sound, (0, missing), mode="reflect")

    def ready(self) -> int:
        """The frame before which windows can end."""
        if not self._is_mirrored:
            return -MIRROR
        return (self._start + len(self._sound) - EDGE) // HOP

    def window(self, start: int, end: int) -> NDArray[np.float32]:
        """The samples of the frames from `start` to `end`, and 80 more.

        Filtered as if mirrored there: what has come after it must not matter.
        """
        first = start * HOP - self._start
        last = first + (end - start) * HOP + EDGE
        near = self._sound[max(0, first - _REACH) : last]
        mirrored = np.pad(near, (max(0, _REACH - first), _REACH), mode="reflect")
        return high_passed(mirrored)[_REACH:-_REACH]

    def silent(self, start: int, end: int) -> NDArray[np.bool_]:
        """For each of these frames whether it and the two to each side hold no sound at all.

        Heard before the high-pass, which rings, but without an offset.
        """
        first = (start - _NEAR) * HOP - self._start
        count = end - start + 2 * _NEAR
        frames = self._sound[first : first + count * HOP].astype(np.float64).reshape(count, HOP)
        quiet = frames.std(1) < _SILENT
        near = np.lib.stride_tricks.sliding_window_view(quiet, 2 * _NEAR + 1)
        silent: NDArray[np.bool_] = np.logical_and.reduce(near, axis=1)
        return silent

    def forget(self, before: int) -> None:
        """Frames before `before` are not asked for again."""
        dropped = before * HOP - _REACH - self._start
        if dropped > 0:
            self._sound = self._sound[dropped:].copy()
            self._start += dropped

    def _add(self, samples: NDArray[np.float32]) -> None:
        self._sound = np.concatenate((self._sound, samples))
        if not self._is_mirrored and len(self._sound) > MIRROR * HOP:
            self._mirror_start()

    def _mirror_start(self) -> None:
        self._is_mirrored = True
        self._sound = np.pad(self._sound, (MIRROR * HOP, 0), mode="reflect")
        self._start = -MIRROR * HOP


def high_passed(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """`samples` at 16 kHz without what lies below 48 Hz, as many, in their places.

    RVC's filter, a Butterworth of order 5 run forward and backward, has this gain and no phase; as
    a convolution it has no state either, and any window of a stream is filtered like the whole.
    """
    size = len(samples) + 2 * _REACH
    kernel = _kernel(size)
    spectrum = np.fft.rfft(samples.astype(np.float64), size) * kernel
    return np.fft.irfft(spectrum, size)[: len(samples)].astype(np.float32)


def _kernel(size: int) -> NDArray[np.complex128]:
    """The spectrum, over `size` samples, of the impulse response cut off at 0.1 s on each side."""
    long = 1 << 15
    corner = np.tan(np.pi * _CORNER_HZ / SAMPLE_RATE)
    at = np.tan(np.pi * np.arange(1, long // 2) / long)
    gain = np.concatenate(([0.0], 1.0 / (1.0 + (corner / at) ** (2 * _ORDER)), [1.0]))
    response = np.fft.irfft(gain)
    kernel = np.zeros(size)
    kernel[: _REACH + 1] = response[: _REACH + 1]
    kernel[-_REACH:] = response[-_REACH:]
    kernel[0] -= kernel.sum()  # nothing of an offset stays
    spectrum: NDArray[np.complex128] = np.fft.rfft(kernel)
    return spectrum
