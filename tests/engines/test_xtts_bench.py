"""What `alltalk bench --engine xtts` measures, with a tiny model."""

from __future__ import annotations

import weakref
from contextlib import contextmanager

import pytest
from tiny_models import tiny

from alltalk.engine import Place

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def runs(needs_xtts):
    from alltalk.torch_compat import prepare

    prepare()
    from alltalk.engines.xtts.timing import Runs

    class Watched(Runs):
        """Whose models are in memory one after another."""

        @contextmanager
        def coqui(self):
            with super().coqui() as model:
                theirs.append(weakref.ref(model))
                yield model

        @contextmanager
        def ours(self, *asked):
            with super().ours(*asked) as engine:
                assert theirs
                assert not any(each() for each in theirs)
                yield engine

    theirs: list[weakref.ref] = []
    return Watched(tiny("xtts"), Place(), {"first_chunk_tokens": 4})


def test_both_speak_as_many_tokens_as_asked_for_and_every_figure_is_there(runs):
    from alltalk.engines.xtts.bench import compared

    one, three, *parts, likeness = compared(runs, ["float32", "int8"], tokens=10, together=2)
    assert one.title == "One clip, 0.5 s of sound"
    assert [row[0] for row in one.rows[-2:]] == ["ours, float32", "ours, int8"]
    for row in one.rows[-2:]:
        assert 0 < row[2] < row[1], "the first sound comes before the last"
    for row in three.rows:
        sound_s = row[1] * row[4]
        assert sound_s == pytest.approx(2 * 10 * 1024 / 22050, abs=0.1)
        assert row[2] > 0
    assert all(cell > 0 for each in parts for row in each.rows for cell in row[1:])
    assert len(parts) == 2
    assert likeness.rows[0][1:] == (0.0, 100.0)
    assert 0 < likeness.rows[1][1] < 5


def test_a_second_of_sound_is_timed_by_length(runs):
    from alltalk.engines.xtts.bench import lengths

    figures = lengths(runs, "float32", lengths_s=(1, 2), coqui_lengths_s=(1,))
    assert [row[0] for row in figures.rows] == [1, 2]
    for _, whole, rest, _ in figures.rows:
        assert whole > rest > 0
    assert figures.rows[1][3] is None
