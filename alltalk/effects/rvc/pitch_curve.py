"""What is done to a tracked pitch before the voice gets it: smooth, tune, transpose, number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LOWEST_HZ, _HIGHEST_HZ = 50.0, 1100.0
"""Of the ids that voices are trained with: never to be changed."""
_IDS = 254
_REFERENCE_HZ = 440.0


def smoothed(hz: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    """Each frame the median of `radius` frames around it, made odd; up to 2 changes nothing.

    Only where all of these are voiced, so what is voiced and what is not stays as it was. RVC
    smooths one method only, and also above 2.
    """
    if radius <= 2:
        return hz
    width = radius | 1
    around = np.lib.stride_tricks.sliding_window_view(np.pad(hz, width // 2), width)
    return np.where((around > 0).all(1), np.median(around, 1), hz)


def autotuned(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each voiced frame at the nearest semitone of the tempered scale, A = 440 Hz."""
    semitones = 12.0 * np.log2(np.where(hz > 0, hz, _REFERENCE_HZ) / _REFERENCE_HZ)
    return np.where(hz > 0, _REFERENCE_HZ * 2.0 ** (np.rint(semitones) / 12.0), 0.0)


def transposed(hz: NDArray[np.float64], semitones: float) -> NDArray[np.float64]:
    """The curve moved by `semitones`."""
    moved: NDArray[np.float64] = hz * 2.0 ** (semitones / 12.0)
    return moved


def pitch_ids(hz: NDArray[np.float64]) -> NDArray[np.int64]:
    """1 to 255, even steps of the mel scale from 50 to 1100 Hz; unvoiced frames: 1.

    RVC's `get_f0`. 100 Hz is 20, 200 Hz 54, 440 Hz 122.
    """
    low, high = _mel(np.array([_LOWEST_HZ, _HIGHEST_HZ]))
    ids = (_mel(hz) - low) * _IDS / (high - low) + 1.0
    numbers: NDArray[np.int64] = np.rint(np.clip(ids, 1.0, _IDS + 1.0)).astype(np.int64)
    return numbers


def _mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    mel: NDArray[np.float64] = 1127.0 * np.log(1.0 + hz / 700.0)
    return mel
