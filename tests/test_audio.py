"""Sound made louder and softer."""

from __future__ import annotations

import numpy as np
import pytest

from alltalk.audio import Audio, amplified


def ramp(peak: float) -> Audio:
    return Audio(np.linspace(-peak, peak, 1001, dtype=np.float32), 24000)


@pytest.mark.parametrize("gain_db", [-12.0, -6.0, 0.0, 6.0])
def test_what_stays_below_the_knee_is_scaled_and_no_more(gain_db):
    wanted = ramp(0.3).samples * 10 ** (gain_db / 20)
    np.testing.assert_allclose(amplified(ramp(0.3), gain_db).samples, wanted, rtol=1e-5, atol=1e-7)


def test_what_a_gain_lifts_over_full_scale_is_bent_below_it_in_its_order():
    louder = amplified(ramp(1.0), 20.0).samples
    assert np.abs(louder).max() < 1.0
    assert (np.diff(louder) > 0).all()
    np.testing.assert_allclose(louder, -louder[::-1], atol=1e-6)


def test_a_gain_is_the_same_however_the_sound_was_cut():
    whole = amplified(ramp(1.0), 9.0).samples
    halves = [Audio(half.copy(), 24000) for half in np.array_split(ramp(1.0).samples, 2)]
    assert np.array_equal(np.concatenate([amplified(each, 9.0).samples for each in halves]), whole)


def test_no_gain_and_no_sound_pass_as_they_are():
    sound, nothing = ramp(1.0), Audio(np.zeros(0, np.float32), 24000)
    assert amplified(sound, 0.0) is sound
    assert amplified(nothing, 6.0) is nothing
