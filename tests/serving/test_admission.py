"""Admission: who is taken in, who is refused, and for how long."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from alltalk.errors import QueueFull
from alltalk.serving.admission import Admission


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_requests_beyond_the_limit_are_refused_until_one_ends():
    admission = Admission(2, 1000)

    with ExitStack() as open_ones:
        open_ones.enter_context(admission.admit(1))
        with admission.admit(1), pytest.raises(QueueFull), admission.admit(1):
            pass
        with admission.admit(1):
            assert admission.requests == 2

    assert (admission.requests, admission.characters) == (0, 0)


def test_characters_beyond_the_limit_are_refused_until_some_are_spoken():
    admission = Admission(10, 100)

    with admission.admit(80) as admitted:
        with pytest.raises(QueueFull), admission.admit(30):
            pass
        admitted.spoken(10)
        with admission.admit(30):
            assert admission.characters == 100


def test_a_text_over_the_limit_is_admitted_when_nobody_else_is_there():
    admission = Admission(10, 100)

    with admission.admit(500), pytest.raises(QueueFull), admission.admit(1):
        pass


def test_what_fails_half_way_counts_no_more():
    admission = Admission(10, 100)

    def fail() -> None:
        with admission.admit(80) as admitted:
            admitted.spoken(50)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert (admission.requests, admission.characters) == (0, 0)


def test_more_spoken_than_announced_does_not_make_room_for_others():
    admission = Admission(10, 100)

    with admission.admit(50), admission.admit(10) as admitted:
        admitted.spoken(1000)

        assert admission.characters == 50


def test_the_time_to_wait_is_what_is_unspoken_at_the_measured_speed():
    clock = Clock()
    admission = Admission(1, 10_000, clock=clock)

    with admission.admit(1000) as admitted:
        clock.now = 5.0
        admitted.spoken(100)  # 20 a second
        clock.now = 10.0
        admitted.spoken(100)

        with pytest.raises(QueueFull) as refused, admission.admit(1):
            pass

    assert refused.value.retry_after_s == pytest.approx(800 / 20)


def test_idle_time_is_not_taken_for_slowness():
    clock = Clock()
    admission = Admission(1, 10_000, clock=clock)
    for start in (0.0, 10_000.0):
        clock.now = start
        with admission.admit(100) as admitted:
            clock.now += 5.0
            admitted.spoken(100)

    with (
        admission.admit(400),
        pytest.raises(QueueFull) as refused,
        admission.admit(1),
    ):
        pass

    assert refused.value.retry_after_s == pytest.approx(400 / 20)


@pytest.mark.parametrize(("characters", "wait_s"), [(1, 1.0), (10_000_000, 60.0)])
def test_the_time_to_wait_is_at_least_a_second_and_at_most_a_minute(characters, wait_s):
    admission = Admission(1, 10)

    with (
        admission.admit(characters),
        pytest.raises(QueueFull) as refused,
        admission.admit(1),
    ):
        pass

    assert refused.value.retry_after_s == wait_s


def test_the_load_score_is_that_of_the_scarcer_thing():
    admission = Admission(4, 100)

    assert admission.load_score == 0.0
    with admission.admit(10):
        assert admission.load_score == 0.25
        with admission.admit(80):
            assert admission.load_score == 0.9
    with admission.admit(1000):
        assert admission.load_score == 1.0


def test_new_limits_hold_for_those_who_come_after():
    admission = Admission(1, 100)

    with admission.admit(10), ExitStack() as others:
        admission.limit(2, 100)
        others.enter_context(admission.admit(10))
        admission.limit(1, 100)
        assert admission.requests == 2
        with pytest.raises(QueueFull), admission.admit(1):
            pass
