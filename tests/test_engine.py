from __future__ import annotations

import threading

import numpy as np
import pytest

from alltalk.audio import Audio
from alltalk.engine import Chunk, from_callback


def chunk(number: int) -> Chunk:
    return Chunk(Audio(np.full(4, number, np.float32), 24000))


def test_what_a_library_calls_back_with_comes_in_order():
    def run(emit):
        for number in range(20):
            emit(chunk(number))

    assert [piece.audio.samples[0] for piece in from_callback(run)] == list(range(20))


def test_none_passes_as_a_sign_of_life():
    def run(emit):
        emit(None)
        emit(chunk(1))

    assert [piece is None for piece in from_callback(run)] == [True, False]


def test_an_error_of_the_library_is_raised_after_what_came_before_it():
    def run(emit):
        emit(chunk(1))
        raise ZeroDivisionError("the library")

    pieces = from_callback(run)
    assert next(pieces) is not None
    with pytest.raises(ZeroDivisionError, match="the library"):
        next(pieces)


def test_closing_ends_the_library_before_it_returns():
    ended = threading.Event()

    def run(emit):
        try:
            while True:
                emit(chunk(1))
        finally:
            ended.set()

    pieces = from_callback(run)
    next(pieces)
    pieces.close()
    assert ended.is_set()


def test_the_library_runs_only_as_far_ahead_as_it_may():
    made = []
    third = threading.Event()

    def run(emit):
        for number in range(10):
            made.append(number)
            if number == 3:
                third.set()
            emit(chunk(number))

    pieces = from_callback(run, ahead=2)
    next(pieces)  # 0 was taken, 1 and 2 wait, 3 is in its hand
    assert third.wait(60)
    assert made == [0, 1, 2, 3]
    pieces.close()
    assert made == [0, 1, 2, 3]


def test_a_generator_closed_before_its_start_never_runs_the_library():
    ran = []
    from_callback(lambda emit: ran.append(1)).close()
    assert ran == []


def test_a_library_that_swallows_the_end_of_its_callback_still_ends():
    def run(emit):
        for number in range(100):
            try:
                emit(chunk(number))
            except Exception:
                return

    pieces = from_callback(run)
    next(pieces)
    pieces.close()
    assert not [each for each in threading.enumerate() if each.name == "engine-callback"]
