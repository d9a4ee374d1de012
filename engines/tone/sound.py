"""Beeps, and the pitch of a clip."""

from __future__ import annotations

import re
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alltalk.audio import Audio
from alltalk.engine import Mark
from alltalk.errors import UnreadableClip

BEEP_S, GAP_S = 0.06, 0.02
"""Seconds that a word sounds, and the silence after it, at speed 1."""
LEVEL = 0.3
FADE_S = 0.002


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the text, and when it begins."""

    text: str
    mark: Mark


def words_in(text: str, speed: float) -> list[Word]:
    """What is between white space, each with its mark."""
    step_s = (BEEP_S + GAP_S) / speed
    return [
        Word(found[0], Mark(index * step_s, found.start(), found.end()))
        for index, found in enumerate(re.finditer(r"\S+", text))
    ]


def beep(f0_hz: float, speed: float, sample_rate: int, seed: int | None = None) -> Audio:
    """A word: a sine of `f0_hz` with soft edges, then the gap. A seed sets the sine's phase."""
    n = round(BEEP_S / speed * sample_rate)
    phase = 0.0 if seed is None else np.random.default_rng(seed).uniform(0, 2 * np.pi)
    sine = LEVEL * np.sin(2 * np.pi * f0_hz * np.arange(n) / sample_rate + phase)
    edge = np.minimum(1.0, np.arange(n) / (FADE_S * sample_rate))
    gap = np.zeros(round((BEEP_S + GAP_S) / speed * sample_rate) - n)
    return Audio(np.concatenate([sine * edge * edge[::-1], gap]).astype(np.float32), sample_rate)


def dominant_hz(clip: Path) -> float:
    """The strongest frequency in the first 2 s of a PCM wav, within 0.5 Hz for a long clip.

    Raises UnreadableClip.
    """
    samples, sample_rate = _read_wav(clip)
    samples = samples[: 2 * sample_rate]
    if len(samples) < sample_rate // 20 or not np.any(samples):
        raise UnreadableClip(f"{clip.name} has less than 0.05 s of sound.")
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 2 * sample_rate))
    lowest = 2 * 40  # below 40 Hz is hum, half a Hz a bin
    return float(lowest + np.argmax(spectrum[lowest:])) / 2


def _read_wav(clip: Path) -> tuple[NDArray[np.float64], int]:
    """Samples [n], channels averaged, and the sample rate."""
    try:
        with wave.open(str(clip), "rb") as file:
            width, channels = file.getsampwidth(), file.getnchannels()
            sample_rate, raw = file.getframerate(), file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise UnreadableClip(f"{clip.name} is not a PCM wav: {error}.") from error
    if width not in (2, 4):
        raise UnreadableClip(f"{clip.name} has samples of {8 * width} bits, not 16 or 32.")
    frames = np.frombuffer(raw, f"<i{width}").reshape(-1, channels)
    return frames.mean(axis=1), sample_rate
