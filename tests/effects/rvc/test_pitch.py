"""Pitch: trackers, and what is done to their curves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import tiny

from alltalk.effects.rvc.pitch import Autocorrelation
from alltalk.effects.rvc.pitch_curve import autotuned, pitch_ids, smoothed, transposed
from alltalk.effects.rvc.rmvpe import load_rmvpe, mel_filters, pitch_of
from alltalk.errors import RvcModelInvalid


def glide(low: float, high: float, seconds: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """A gliding tone with harmonics at 16 kHz, and its pitch in Hz at each frame."""
    hz = np.geomspace(low, high, round(seconds * 16000))
    turns = np.cumsum(hz) / 16000
    sound = sum(np.sin(2 * np.pi * k * turns) / k for k in range(1, 6))
    return (0.2 * sound).astype(np.float32), hz[::160]


def cents(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    return np.abs(1200 * np.log2(found / true))


@pytest.mark.parametrize(("low", "high"), [(55, 110), (90, 320), (300, 1000)])
def test_autocorrelation_follows_a_glide(low, high):
    sound, true = glide(low, high)
    found = Autocorrelation().track(sound, len(true), 50, 1100)
    inner = slice(10, -10)
    assert (found[inner] > 0).all()
    assert np.median(cents(found[inner], true[inner])) < 2


def test_noise_and_silence_have_no_pitch():
    noise = np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    found = Autocorrelation().track(0.3 * noise, 100, 50, 1100)
    assert (found > 0).mean() < 0.02
    assert not Autocorrelation().track(np.zeros(16000, np.float32), 100, 50, 1100).any()


def test_pitch_is_looked_for_in_the_range_asked_for():
    sound, true = glide(100, 400)
    found = Autocorrelation().track(sound, len(true), 150, 300)
    voiced = found[found > 0]
    assert voiced.min() > 149
    assert voiced.max() < 301


@pytest.mark.parametrize("count", [1, 80, 400, 1601])
def test_short_sound_has_as_many_frames_as_asked_for(count):
    sound, _ = glide(150, 150)
    assert len(Autocorrelation().track(sound[:count], 11, 50, 1100)) == 11
    tracker = load_rmvpe(tiny("rvc") / ".base" / "rmvpe.pt", "cpu", torch.float32)
    assert len(tracker.track(sound[:count], 11, 50, 1100)) == 11


def test_rmvpe_hears_the_mel_bands_it_was_trained_with():
    from librosa.filters import mel

    expected = mel(sr=16000, n_fft=1024, n_mels=128, fmin=30, fmax=8000, htk=True)
    assert np.abs(mel_filters() - expected).max() < 1e-6


def test_rmvpe_has_a_frame_every_10_ms():
    tracker = load_rmvpe(tiny("rvc") / ".base" / "rmvpe.pt", "cpu", torch.float32)
    for count in (1600, 16000, 16001, 48037):
        sound = np.random.default_rng(0).standard_normal(count).astype(np.float32)
        salience = tracker.salience(sound)
        assert salience.shape == (count // 160 + 1, 360)
        assert ((salience >= 0) & (salience <= 1)).all()


def test_rmvpes_pitch_is_the_mean_around_the_likeliest():
    salience = np.zeros((3, 360), np.float32)
    salience[0, 100] = 0.9
    salience[1, 200:202] = 0.5
    salience[2, 50] = 0.02
    at_100 = 10 * 2 ** ((1997.3794084376191 + 20 * 100) / 1200)
    at_200 = 10 * 2 ** ((1997.3794084376191 + 20 * 200.5) / 1200)
    assert pitch_of(salience) == pytest.approx([at_100, at_200, 0.0])


def test_rmvpes_range_is_kept():
    tracker = load_rmvpe(tiny("rvc") / ".base" / "rmvpe.pt", "cpu", torch.float32)
    sound, _ = glide(100, 400)
    found = tracker.track(sound, 200, 200, 300)
    voiced = found[found > 0]
    assert len(voiced)
    assert voiced.min() > 190
    assert voiced.max() < 310


def test_another_file_is_no_rmvpe(tmp_path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "rmvpe.pt")
    with pytest.raises(RvcModelInvalid, match=r"rmvpe\.pt is no RMVPE"):
        load_rmvpe(tmp_path / "rmvpe.pt", "cpu", torch.float32)
    (tmp_path / "rmvpe.pt").write_text("nothing")
    with pytest.raises(RvcModelInvalid, match=r"rmvpe\.pt is no RMVPE"):
        load_rmvpe(tmp_path / "rmvpe.pt", "cpu", torch.float32)


def test_pitch_ids_are_those_that_voices_are_trained_with():
    hz = np.array([0.0, 49.0, 100.0, 200.0, 440.0, 1100.0, 2000.0])
    assert pitch_ids(hz).tolist() == [1, 1, 20, 54, 122, 255, 255]


def test_autotune_moves_to_semitones_and_leaves_unvoiced_frames():
    found = autotuned(np.array([0.0, 445.0, 452.0, 455.0, 108.0]))
    assert found == pytest.approx([0.0, 440.0, 440.0, 466.164, 110.0], abs=1e-3)


def test_smoothing_takes_out_a_jump_and_moves_no_border():
    hz = np.array([0, 0, 100, 101, 400, 102, 103, 0, 0, 90, 0], float)
    assert smoothed(hz, 3).tolist() == [0, 0, 100, 101, 102, 103, 103, 0, 0, 90, 0]
    assert smoothed(hz, 2) is hz


def test_transposing_by_an_octave_doubles():
    assert transposed(np.array([0.0, 110.0]), 12).tolist() == [0.0, 220.0]
