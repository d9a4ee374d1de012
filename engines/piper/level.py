"""How loud a voice speaks, and by how much to raise or lower it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

MOST_DB = 24.0
"""A voice is raised or lowered by no more: what lies further off is no speech."""
_BLOCK_S = 0.1
_PAUSE_DB = -20.0
"""Blocks that far below the loudest are pauses."""


def speech_level_db(samples: NDArray[np.float32], sample_rate: int) -> float:
    """Root mean square of what is spoken in float32 [n], pauses left out, dB of full scale.

    -inf where all is silent.
    """
    size = max(1, round(_BLOCK_S * sample_rate))
    count = max(1, len(samples) // size)
    powers = np.array([np.mean(np.square(each)) for each in np.array_split(samples, count)])
    loudest = float(powers.max()) if len(samples) else 0.0
    if not loudest:
        return -math.inf
    return 10 * math.log10(float(powers[powers > loudest * 10 ** (_PAUSE_DB / 10)].mean()))


def gain_to(target_db: float, level_db: float) -> float:
    """Gain that brings `level_db` to `target_db`, at most `MOST_DB` either way; 0 for silence."""
    if level_db == -math.inf:
        return 0.0
    return min(max(target_db - level_db, -MOST_DB), MOST_DB)
