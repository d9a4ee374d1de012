"""Noise that depends on the seed and the number of a frame alone.

Windows that overlap draw the same numbers for the frames they share, so a stream cut anywhere is
the whole. Philox (Salmon et al. 2011) is made for such keys.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

_BLOCK = 64
"""Frames drawn together."""
_OFFSET = 1 << 40
"""Frames before the first have numbers below zero, and keys have not."""


class Kind(IntEnum):
    """What noise is for: each has its own."""

    LATENT = 0
    SOURCE = 1


def keyed_noise(seed: int, kind: Kind, start: int, count: int, width: int) -> NDArray[np.float32]:
    """Standard normal float32 [count, width] for the frames from `start` on."""
    first, last = start // _BLOCK, (start + count - 1) // _BLOCK
    blocks = [_block(4 * seed + kind, number, width) for number in range(first, last + 1)]
    offset = start - first * _BLOCK
    return np.concatenate(blocks)[offset : offset + count]


def _block(key: int, number: int, width: int) -> NDArray[np.float32]:
    bits = np.random.Philox(key=np.array([key, number + _OFFSET], np.uint64))
    return np.random.Generator(bits).standard_normal((_BLOCK, width), np.float32)
