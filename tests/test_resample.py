"""Sample rate conversion: exact in length, clean in sound, blind to how the sound was cut."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from alltalk.audio import Audio, join
from alltalk.resample import Resampler, resample

RATES = [(24000, 48000), (22050, 24000), (48000, 16000), (40000, 44100), (16000, 24000)]


def sine(hz: float, seconds: float, sample_rate: int) -> NDArray[np.float32]:
    at = np.arange(round(seconds * sample_rate)) / sample_rate
    return (0.5 * np.sin(2 * np.pi * hz * at)).astype(np.float32)


def streamed(audio: Audio, sample_rate: int, chunk: int) -> Audio:
    resampler = Resampler(audio.sample_rate, sample_rate)
    starts = range(0, len(audio), chunk)
    chunks = [Audio(audio.samples[at : at + chunk], audio.sample_rate) for at in starts]
    return join([*(resampler.feed(chunk) for chunk in chunks), resampler.finish()])


@pytest.mark.parametrize(("from_rate", "to_rate"), RATES)
@pytest.mark.parametrize("chunk", [1, 160, 777, 24000])
def test_a_stream_is_the_whole_bit_for_bit_whatever_the_chunks(from_rate, to_rate, chunk):
    noise = np.random.default_rng(0).normal(0, 0.1, from_rate // 4).astype(np.float32)
    audio = Audio(noise, from_rate)
    assert np.array_equal(streamed(audio, to_rate, chunk).samples, resample(audio, to_rate).samples)


@pytest.mark.parametrize(("from_rate", "to_rate"), RATES)
def test_a_sine_comes_out_as_the_sine_of_the_other_rate(from_rate, to_rate):
    found = resample(Audio(sine(440, 1.0, from_rate), from_rate), to_rate)
    wanted = sine(440, 1.0, to_rate)
    assert found.sample_rate == to_rate
    assert len(found) == len(wanted)
    inside = slice(to_rate // 10, -to_rate // 10)  # its sudden ends have no counterpart
    error = found.samples[inside] - wanted[inside]
    assert 10 * np.log10(np.mean(wanted**2) / np.mean(error**2)) > 100  # dB


def test_sound_that_the_lower_rate_cannot_hold_is_gone():
    found = resample(Audio(sine(10_000, 1.0, 48000), 48000), 16000).samples[2000:-2000]
    assert np.abs(found).max() < 1e-4


def test_an_equal_rate_passes_at_once_and_unchanged():
    audio = Audio(sine(440, 0.1, 24000), 24000)
    resampler = Resampler(24000, 24000)
    assert resampler.feed(audio) is audio
    assert len(resampler.finish()) == 0


def test_a_stream_that_was_never_fed_ends_empty_at_its_rate():
    rest = Resampler(22050, 48000).finish()
    assert (len(rest), rest.sample_rate) == (0, 48000)


@pytest.mark.parametrize("to_rate", [24000, 48000])
def test_sound_at_another_rate_than_announced_is_refused(to_rate):
    with pytest.raises(ValueError, match="22050 Hz in a stream of 24000 Hz"):
        Resampler(24000, to_rate).feed(Audio(sine(440, 0.1, 22050), 22050))
