"""Loudness: silence stays silent, and on request the speaker's loudness stays as well."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MEMORY = 100
"""Frames that loudness is measured over: the last second."""
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
        """Powers of the last frames."""
        self._gain: float | None = None

    def apply(
        self, sound: NDArray[np.float32], heard: NDArray[np.float32], silent: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """`sound` at its loudness, made of what was `heard`; `silent` [n] tells of each frame
        whether nothing is to be heard in it."""
        frames = sound.reshape(len(silent), -1)
        gains = np.where(silent, 0.0, 1.0)
        if self._rate < 1.0:
            gains *= self._mixed(frames, heard.reshape(len(silent), -1))
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
        self, made_frames: NDArray[np.float32], heard_frames: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        self._heard, heard = _mean_of_last(self._heard, _powers(heard_frames))
        self._made, made = _mean_of_last(self._made, _powers(made_frames))
        ratio = np.sqrt(heard) / np.maximum(np.sqrt(made), _LEAST)
        gains: NDArray[np.float64] = ratio ** (1.0 - self._rate)
        return gains


def _powers(frames: NDArray[np.float32]) -> NDArray[np.float64]:
    powers: NDArray[np.float64] = np.square(frames, dtype=np.float64).mean(1)
    return powers


def _mean_of_last(
    before: NDArray[np.float64], new: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What to keep for the next time, and for each of `new` the mean of the last second."""
    joined = np.concatenate((before, new))
    sums = np.concatenate(([0.0], joined.cumsum()))
    ends = np.arange(len(before), len(joined)) + 1
    starts = np.maximum(0, ends - _MEMORY)
    return joined[-_MEMORY:], np.maximum(0.0, sums[ends] - sums[starts]) / (ends - starts)
