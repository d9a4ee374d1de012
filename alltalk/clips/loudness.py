"""Loudness of speech, as ITU-R BS.1770-4 measures it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alltalk.audio import Audio

TARGET_LUFS = -20.0
"""The common loudness of voices: that of close speech, with room for its peaks."""

_BLOCK_S, _STEP_S = 0.4, 0.1
_OFFSET = -0.691
_SILENT_LUFS, _QUIETER_LU = -70.0, -10.0
"""The gates: blocks below the first, and those so far below the mean of the rest, do not count."""

_SHELF = (
    (1.53512485958697, -2.69169618940638, 1.19839281085285),
    (1.0, -1.69065929318241, 0.73248077421585),
)
_HIGH_PASS = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))
"""The two K-weighting filters at 48 kHz (BS.1770-4, tables 1 and 2): numerator, denominator."""


def loudness_lufs(audio: Audio) -> float:
    """Integrated loudness of mono sound, LUFS; -inf where all is silent. Rates up to 48 kHz.

    The K-weighting is applied to each block's power spectrum, which measures what filtering the
    samples would (within 0.1 LU of FFmpeg's `ebur128` for speech), without a filter's loop.
    Sound shorter than a block is one block.
    """
    powers = _block_powers(audio)
    loud = powers[powers > _power(_SILENT_LUFS)]
    if not len(loud):
        return float("-inf")
    gate = loud.mean() * 10 ** (_QUIETER_LU / 10)
    return float(_OFFSET + 10 * np.log10(loud[loud > gate].mean()))


def _block_powers(audio: Audio) -> NDArray[np.float64]:
    """Mean square of each K-weighted block, blocks overlapping by three quarters."""
    size = min(len(audio), round(_BLOCK_S * audio.sample_rate))
    if not size:
        return np.zeros(0)
    weight = _weight(np.arange(size // 2 + 1) * audio.sample_rate / size)
    starts = range(0, len(audio) - size + 1, max(1, round(_STEP_S * audio.sample_rate)))
    return np.array([_power_of(audio.samples[at : at + size], weight) for at in starts])


def _power_of(block: NDArray[np.float32], weight: NDArray[np.float64]) -> float:
    """Mean square of `block` under `weight` (Parseval): every bin but 0 Hz stands for two."""
    power = np.abs(np.fft.rfft(block)) ** 2 * weight
    return float(2 * power.sum() - power[0]) / len(block) ** 2


def _weight(frequencies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Power response of the K-weighting at `frequencies`, Hz."""
    z = np.exp(-2j * np.pi * frequencies / 48_000)
    response = np.ones_like(z)
    for numerator, denominator in (_SHELF, _HIGH_PASS):
        response *= np.polyval(numerator[::-1], z) / np.polyval(denominator[::-1], z)
    power: NDArray[np.float64] = np.abs(response) ** 2
    return power


def _power(lufs: float) -> float:
    return float(10 ** ((lufs - _OFFSET) / 10))
