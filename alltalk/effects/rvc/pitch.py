"""Pitch: the trackers' common face, the names users know them by, and one that needs no weights."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16000
HOP = 160
"""Samples of a pitch frame: 10 ms."""
OTHER_NAMES = {
    "harvest": "rmvpe",
    "dio": "rmvpe",
    "hybrid[rmvpe+fcpe]": "rmvpe",
    "rmvpe+": "rmvpe",
    "rmvpe_gpu": "rmvpe",
    "pm": "autocorrelation",
}
"""Methods of AllTalk V2 and RVC that are not here, and what does their work."""
METHODS = ("rmvpe", "autocorrelation", "fcpe", "crepe", "crepe-tiny")
_FIELD = 2048
"""Samples of one look: three turns at 50 Hz."""
_TURNS = 3
_VOICED = 0.5
"""Correlation at the pitch above which a frame is voiced: noise stays below."""
_NEARLY = 0.9
"""Of several turns that fit almost as well, the shortest is the pitch."""
_AUDIBLE = 1e-6
"""Mean square below which nothing is looked for: -60 dBFS."""
_BATCH = 256


class Tracker(Protocol):
    """Finds pitch. May be used by several threads."""

    memory_bytes: int

    def track(
        self, samples: NDArray[np.float32], frames: int, low_hz: float, high_hz: float
    ) -> NDArray[np.float64]:
        """Hz [frames] of `samples` at 16 kHz, 0 where unvoiced; frame i is at sample 160 i."""
        ...


class Autocorrelation:
    """Pitch as the lag at which windowed sound is most like itself (Boersma 1993).

    Within 0.1 cents on clean tones, and above all light; speech in noise is better tracked by
    RMVPE.
    """

    memory_bytes = 0

    def track(
        self, samples: NDArray[np.float32], frames: int, low_hz: float, high_hz: float
    ) -> NDArray[np.float64]:
        """As the protocol says."""
        field = max(_FIELD, 2 * round(_TURNS * SAMPLE_RATE / low_hz / 2))
        missing = max(0, (frames - 1) * HOP + field - len(samples) - field // 2)
        padded = np.pad(samples.astype(np.float64), (field // 2, missing))
        looks = np.lib.stride_tricks.sliding_window_view(padded, field)[::HOP][:frames]
        batches = [looks[start : start + _BATCH] for start in range(0, frames, _BATCH)]
        lags = (int(SAMPLE_RATE / high_hz), int(SAMPLE_RATE / low_hz))
        return np.concatenate([_autocorrelated(each, *lags) for each in batches])


def _autocorrelated(looks: NDArray[np.float64], shortest: int, longest: int) -> NDArray[np.float64]:
    """Hz [n] of `looks` [n, field]."""
    window = np.hanning(looks.shape[1])
    correlation = _correlation(looks * window, longest + 2)
    energy = correlation[:, :1]
    of_window = _correlation(window[None], longest + 2)[0]
    likeness = correlation / np.maximum(energy, 1e-12) * (of_window[0] / of_window)
    likeness = likeness[:, shortest:]
    before, here, after = likeness[:, :-2], likeness[:, 1:-1], likeness[:, 2:]
    peaks = np.where((here > before) & (here >= after), here, -np.inf)
    best = peaks.max(1, initial=-np.inf)
    at = (peaks > _NEARLY * best[:, None]).argmax(1)
    rows = np.arange(len(looks))
    left, top, right = before[rows, at], here[rows, at], after[rows, at]
    shift = 0.5 * (left - right) / np.minimum(left - 2 * top + right, -1e-12)
    hz = SAMPLE_RATE / (shortest + 1 + at + shift)
    is_voiced = (best >= _VOICED) & (energy[:, 0] > _AUDIBLE * (window**2).sum())
    return np.where(is_voiced, hz, 0.0)


def _correlation(looks: NDArray[np.float64], lags: int) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(looks, 2 * looks.shape[1], axis=1)
    correlation: NDArray[np.float64] = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, :lags]
    return correlation
