"""Index: blending by the formula, and files that do not fit."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest

from alltalk.effects.rvc.index import Index
from alltalk.errors import RvcModelInvalid

WIDTH = 32


@pytest.fixture
def vectors(maker, tmp_path) -> np.ndarray:
    return maker.write_index(tmp_path / "a.index", WIDTH)


def queries(count: int = 20) -> np.ndarray:
    return np.random.default_rng(9).standard_normal((count, WIDTH)).astype(np.float32)


def test_blending_is_the_formula(vectors, tmp_path):
    """Eight neighbours in the list searched, each weighing 1 / d², d the squared distance."""
    asked = queries()
    _, ids = faiss.read_index(str(tmp_path / "a.index")).search(asked, 8)
    expected = np.empty_like(asked)
    for row, query in enumerate(asked):
        near = vectors[ids[row][ids[row] >= 0]].astype(np.float64)
        squared = ((near - query) ** 2).sum(1)
        weights = (1 / squared) ** 2
        drawn = (near * weights[:, None]).sum(0) / weights.sum()
        expected[row] = 0.75 * drawn + 0.25 * query
    assert np.abs(Index(tmp_path / "a.index", WIDTH).blend(asked, 0.75) - expected).max() < 1e-5


def test_a_rate_of_zero_changes_nothing(vectors, tmp_path):
    asked = queries()
    assert np.array_equal(Index(tmp_path / "a.index", WIDTH).blend(asked, 0.0), asked)


def test_an_exact_hit_is_the_vector_itself(vectors, tmp_path):
    found = Index(tmp_path / "a.index", WIDTH).blend(vectors[:5].copy(), 1.0)
    assert np.abs(found - vectors[:5]).max() < 1e-5


def test_an_index_without_vectors_is_refused(maker, tmp_path):
    index = faiss.index_factory(WIDTH, "IVF4,Flat")
    index.train(np.random.default_rng(0).standard_normal((200, WIDTH)).astype(np.float32))
    faiss.write_index(index, str(tmp_path / "trained_a.index"))
    with pytest.raises(RvcModelInvalid, match=r"no vectors: .* Use the added_….index"):
        Index(tmp_path / "trained_a.index", WIDTH)


def test_an_index_of_another_width_is_refused(vectors, tmp_path):
    with pytest.raises(RvcModelInvalid, match="vectors are 32 wide, and this voice's are 16"):
        Index(tmp_path / "a.index", 16)


def test_fewer_vectors_than_neighbours_are_enough(tmp_path):
    index = faiss.IndexFlatL2(WIDTH)
    stored = queries(3)
    index.add(stored)
    faiss.write_index(index, str(tmp_path / "few.index"))
    found = Index(tmp_path / "few.index", WIDTH).blend(queries(), 1.0)
    assert np.isfinite(found).all()
    assert np.abs(found[:3] - stored).max() < 1e-5


@pytest.mark.parametrize("content", [b"", b"not an index", b"IwFl" + bytes(40)])
def test_another_file_is_refused(tmp_path, content):
    Path(tmp_path, "a.index").write_bytes(content)
    with pytest.raises(RvcModelInvalid, match="no index of FAISS, or is damaged"):
        Index(tmp_path / "a.index", WIDTH)
