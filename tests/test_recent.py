"""What is remembered of the last requests."""

from __future__ import annotations

import itertools

import pytest

from alltalk.errors import Cancelled, QueueFull, UnknownVoice
from alltalk.recent import FAILURES, TAKES, Recent


@pytest.fixture
def recent() -> Recent:
    seconds = itertools.count(100)
    return Recent(clock=lambda: float(next(seconds)))


def test_failures_of_one_text_are_one_and_the_newest_comes_first(recent):
    for voice in ("a", "b", "a"):
        recent.failed(UnknownVoice(voice, "tone", ("low",)))
    assert [(each.times, each.at_s) for each in recent.failures] == [(2, 102.0), (1, 101.0)]
    assert "'a'" in recent.failures[0].text


def test_a_failure_that_is_told_twice_counts_once(recent):
    error = QueueFull(1.0)
    recent.failed(error)
    recent.failed(error)
    assert [each.times for each in recent.failures] == [1]


def test_who_leaves_has_not_failed_and_what_is_unexpected_leads_to_the_log(recent):
    recent.failed(Cancelled("The client left."))
    recent.failed(ZeroDivisionError("of no use to anybody"))
    assert [each.text for each in recent.failures] == [
        "Something failed that should not (ZeroDivisionError). The log says more."
    ]


def test_only_so_much_is_remembered(recent):
    for number in range(100):
        recent.failed(UnknownVoice(f"voice {number}", "tone", ()))
        recent.began_to_sound(float(number))
        recent.spoke(float(number), 2.0)
    assert len(recent.failures) == FAILURES
    assert recent.first_audio_s == tuple(float(each) for each in range(100 - TAKES, 100))
    assert recent.speeds[-1] == 49.5
