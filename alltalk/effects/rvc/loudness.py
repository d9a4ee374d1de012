"""Loudness: silence stays silent, and on request the speaker's loudness stays as well."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MEMORY = 100
"""Frames that loudness is measured over: the last second."""
_SILENT = 1e-4
"""RMS of a frame below which it is silence: -80 dBFS. A voice would breathe there."""
_NEAR = 2
"""Frames to each side of sound that are let through."""
_LEAST = 1e-6
"""Loudness that is never divided by less than."""


class Loudness:
    """Brings converted frames to their loudness; keeps what a stream needs to be as the whole.

    RVC's mix of loudness: gain = in^(1 - rate) * out^(rate - 1). RVC measures a second around each
    half second, which a stream cannot wait for; here it is the last second, for every frame.
    """

    def __init__(self, rate: float) -> None:
        """`rate` 0 (the speaker's loudness) to 1 (the voice's)."""
        self._rate = rate
        self._heard = np.zeros(0)
        self._made = np.zeros(0)
        """Mean squares of the last frames."""
        self._gain: float | None = None

    def apply(self, sound: NDArray[np.float32], levels: NDArray[np.float64]) -> NDArray[np.float32]:
        """`sound` of n frames at its loudness; `levels` [n + 4] are mean squares of the speaker's
        frames, from two before the first to two after the last."""
        count = len(levels) - 2 * _NEAR
        frames = sound.reshape(count, -1)
        near = np.lib.stride_tricks.sliding_window_view(levels, 2 * _NEAR + 1)
        gains = np.where(near.max(1) >= _SILENT**2, 1.0, 0.0)
        if self._rate < 1.0:
            gains *= self._mixed(frames, levels[_NEAR : _NEAR + count])
        if self._gain is None:
            self._gain = float(gains[0])
        corners = np.concatenate(([self._gain], gains))
        self._gain = float(gains[-1])
        if (corners == 1.0).all():
            return sound
        within = np.arange(1, frames.shape[1] + 1) / frames.shape[1]
        ramps = corners[:-1, None] + np.diff(corners)[:, None] * within
        return np.clip(frames * ramps, -1.0, 1.0).astype(np.float32).reshape(-1)

    def _mixed(
        self, frames: NDArray[np.float32], levels: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        squares = (frames.astype(np.float64) ** 2).mean(1)
        self._heard, heard = _mean_of_last(self._heard, levels)
        self._made, made = _mean_of_last(self._made, squares)
        ratio = np.sqrt(heard) / np.maximum(np.sqrt(made), _LEAST)
        gains: NDArray[np.float64] = ratio ** (1.0 - self._rate)
        return gains


def _mean_of_last(
    before: NDArray[np.float64], new: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What to keep for the next time, and for each of `new` the mean of the last second."""
    joined = np.concatenate((before, new))
    sums = np.concatenate(([0.0], joined.cumsum()))
    ends = np.arange(len(before), len(joined)) + 1
    starts = np.maximum(0, ends - _MEMORY)
    return joined[-_MEMORY:], np.maximum(0.0, sums[ends] - sums[starts]) / (ends - starts)
