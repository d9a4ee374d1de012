"""Index: features of the recordings that a voice was trained on, to draw other speech to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alltalk.errors import RvcBaseMissing, RvcModelInvalid

_LARGEST = 2 << 30
"""Bytes of a file; 10,000 vectors of 768 have 31 MB."""
_NEIGHBOURS = 8
_NEAREST = 1e-12
"""Squared distance below which a vector is taken for the feature itself."""


class Index:
    """The FAISS file beside a voice, used as it is. May be used by several threads."""

    def __init__(self, file: Path, width: int) -> None:
        """Raises RvcModelInvalid when its vectors are not `width` wide, or there are none;
        RvcBaseMissing without FAISS."""
        self._index = _read(file)
        if self._index.d != width:
            raise RvcModelInvalid(
                f"{file.name} belongs to another voice: its vectors are {self._index.d} wide, and "
                f"this voice's are {width} (256: v1, 768: v2)."
            )
        if self._index.ntotal == 0:
            raise RvcModelInvalid(
                f"{file.name} holds no vectors: it is a step of training (trained_….index). Use "
                "the added_….index that comes with the voice."
            )
        self.memory_bytes = file.stat().st_size

    def blend(self, features: NDArray[np.float32], rate: float) -> NDArray[np.float32]:
        """`features` [n, width], drawn by `rate` (0 to 1) to those that are nearest.

        Of the 8 neighbours each weighs 1 / d², d the squared distance, as in RVC's pipeline; a
        feature that the index holds is itself, where RVC divides by zero. Without neighbours
        the feature stays.
        """
        if rate == 0.0:
            return features
        found: Any = self._index.search_and_reconstruct(
            np.ascontiguousarray(features, np.float32), _NEIGHBOURS
        )
        distances, ids, vectors = found
        is_there = ids >= 0
        weights = 1.0 / np.maximum(distances.astype(np.float64), _NEAREST) ** 2
        weights = np.where(is_there, weights, 0.0)
        total = weights.sum(1, keepdims=True)
        weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
        drawn = (np.where(is_there[..., None], vectors, 0.0) * weights[..., None]).sum(1)
        drawn = np.where(total > 0, drawn, features)
        blended: NDArray[np.float32] = (rate * drawn + (1.0 - rate) * features).astype(np.float32)
        return blended


def _read(file: Path) -> Any:
    try:
        import faiss  # after torch: both bring OpenMP
    except ImportError as error:
        raise RvcBaseMissing(
            f"The index {file.name} needs faiss: pip install 'alltalk[rvc]'. Or send index_rate 0."
        ) from error
    try:
        if file.stat().st_size > _LARGEST:
            raise RvcModelInvalid(f"{file.name} is larger than {_LARGEST >> 30} GiB.")
        # An index may name another file that holds its lists: never one outside its own folder.
        flags = faiss.IO_FLAG_ONDISK_SAME_DIR | faiss.IO_FLAG_READ_ONLY
        index = faiss.read_index(str(file), flags)
        if index.metric_type != faiss.METRIC_L2:
            raise RvcModelInvalid(f"{file.name} is no index of RVC: it measures no distances.")
    except (OSError, RuntimeError, MemoryError) as error:
        raise RvcModelInvalid(f"{file.name} is no index of FAISS, or is damaged.") from error
    return index
