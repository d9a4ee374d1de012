"""Effects: speed without pitch, pitch without speed, exact lengths, any chunks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from alltalk.audio import Audio, join
from alltalk.effects import Stage, open_effects
from alltalk.effects.tempo import Tempo
from alltalk.speech import Effects

RATE = 24000
SETTINGS = [
    *((0.25, 0.0), (0.5, 0.0), (0.8, 0.0), (1.25, 0.0), (2.0, 0.0), (3.0, 0.0), (4.0, 0.0)),
    *((1.0, 3.0), (1.0, -5.0), (1.0, 12.0), (2.0, 12.0), (1.3, -7.0), (4.0, -24.0)),
]
"""Speed and semitones; 2 and 12 cancel out in length."""


def sine(hz: float, seconds: float, sample_rate: int = RATE) -> Audio:
    at = np.arange(round(seconds * sample_rate)) / sample_rate
    return Audio((0.5 * np.sin(2 * np.pi * hz * at)).astype(np.float32), sample_rate)


def pitch_hz(audio: Audio) -> float:
    """The strongest frequency of the middle half, to about 0.1 Hz."""
    middle = audio.samples[len(audio) // 4 : -len(audio) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 16 * RATE))
    return float(np.argmax(spectrum)) * audio.sample_rate / (16 * RATE)


def cut(audio: Audio, seed: int) -> Iterator[Audio]:
    """`audio` in pieces of random sizes, some of them empty."""
    draw = np.random.default_rng(seed)
    bounds = np.sort(draw.integers(0, len(audio) + 1, 12))
    for piece in np.split(audio.samples, bounds):
        yield Audio(piece, audio.sample_rate)


def through(stage: Stage, chunks: Iterator[Audio] | list[Audio]) -> Audio:
    return join([*(stage.feed(chunk) for chunk in chunks), stage.finish()])


def loud_span_s(samples: NDArray[np.float32]) -> tuple[float, float]:
    """When the first and the last sample over -20 dBFS are heard."""
    (loud,) = np.nonzero(np.abs(samples) > 0.1)
    return loud[0] / RATE, loud[-1] / RATE


@pytest.mark.parametrize(("speed", "semitones"), SETTINGS)
def test_the_length_is_that_of_the_speed_to_the_sample(speed, semitones):
    for seconds in (0.0, 0.01, 0.3, 1.7):
        audio = sine(220, seconds)
        assert len(through(Tempo(RATE, speed, semitones), [audio])) == round(len(audio) / speed)


@pytest.mark.parametrize(("speed", "semitones"), SETTINGS)
def test_the_pitch_moves_by_the_semitones_alone(speed, semitones):
    found = through(Tempo(RATE, speed, semitones), [sine(440, 2.0)])
    assert pitch_hz(found) == pytest.approx(440 * 2 ** (semitones / 12), rel=0.01)


@pytest.mark.parametrize(("speed", "semitones"), SETTINGS)
def test_sound_starts_at_once_and_its_end_is_not_lost(speed, semitones):
    # Nothing after the burst: what the filters keep to themselves at the end would be missing.
    start_s, end_s = loud_span_s(through(Tempo(RATE, speed, semitones), [sine(220, 0.6)]).samples)
    assert start_s < 0.005
    assert end_s == pytest.approx(0.6 / speed, abs=0.05 if speed < 0.5 else 0.025)


@pytest.mark.parametrize(("speed", "semitones"), SETTINGS)
@pytest.mark.parametrize("seed", range(3))
def test_a_stream_is_the_whole_bit_for_bit_whatever_the_chunks(speed, semitones, seed):
    noise = np.random.default_rng(seed).normal(0, 0.1, RATE).astype(np.float32)
    audio = Audio(noise + sine(150, 1.0).samples, RATE)
    whole = through(Tempo(RATE, speed, semitones), [audio])
    pieces = through(Tempo(RATE, speed, semitones), cut(audio, seed))
    assert np.array_equal(pieces.samples, whole.samples)


def test_sound_leaves_before_all_of_it_is_there():
    tempo = Tempo(RATE, 1.25)
    assert len(tempo.feed(sine(220, 1.0))) > 0.5 * RATE / 1.25


def test_nothing_to_do_is_no_stage():
    assert open_effects(Effects(), RATE) is None


def test_speed_and_pitch_are_done_together():
    stage = open_effects(Effects(speed=0.5, pitch=12.0), RATE)
    assert stage is not None
    found = through(stage, [sine(220, 1.0)])
    assert len(found) == 2 * RATE
    assert pitch_hz(found) == pytest.approx(440, rel=0.005)


def test_sound_at_another_rate_than_announced_is_refused():
    with pytest.raises(ValueError, match="22050 Hz in a stream of 24000"):
        Tempo(RATE, 2.0).feed(sine(220, 0.1, 22050))
