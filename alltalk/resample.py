"""Sample rate conversion, whole or as a stream, by libsoxr."""

from __future__ import annotations

import numpy as np
import soxr  # type: ignore[import-untyped]  # ships no types

from alltalk.audio import Audio, join


class Resampler:
    """A stage that brings sound from one sample rate to another.

    What comes out, joined, is the same bit for bit however the sound was cut, and has
    round(n * to_rate / from_rate) samples, give or take one. Delays the sound by about 70 ms until
    `finish` gives the rest; equal rates pass unchanged and at once.

    soxr's HQ recipe: 20 bits, so all of its noise lies below that of 16-bit sound.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self.sample_rate = to_rate
        """Hz of what comes out."""
        self._from_rate = from_rate
        self._stream = None
        if from_rate != to_rate:
            self._stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality="HQ")

    def feed(self, audio: Audio) -> Audio:
        """What is ready of the sound so far. `audio` is at `from_rate`."""
        if audio.sample_rate != self._from_rate:
            raise ValueError(f"sound at {audio.sample_rate} Hz in a stream of {self._from_rate} Hz")
        if self._stream is None:
            return audio
        return Audio(self._stream.resample_chunk(audio.samples), self.sample_rate)

    def finish(self) -> Audio:
        """The rest. Nothing is fed after it."""
        nothing = np.zeros(0, np.float32)
        if self._stream is None:
            return Audio(nothing, self.sample_rate)
        return Audio(self._stream.resample_chunk(nothing, last=True), self.sample_rate)


def resample(audio: Audio, sample_rate: int) -> Audio:
    """All of `audio` at `sample_rate` Hz."""
    resampler = Resampler(audio.sample_rate, sample_rate)
    return join([resampler.feed(audio), resampler.finish()])
