"""Reference audio: a recording trimmed, checked and brought to the common loudness."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alltalk.audio import Audio, to_pcm16
from alltalk.clips.loudness import TARGET_LUFS, loudness_lufs
from alltalk.encode import wav_header
from alltalk.errors import UnreadableClip

SHORTEST_S = 0.5
"""Less tells an engine nothing of a voice."""
BEST_S = (3.0, 30.0)
"""What engines clone well from."""

_WINDOW_S = 0.02
_SILENT = 10 ** (-60 / 20)
_BELOW_LOUDEST = 10 ** (-40 / 20)
"""Speech lies within 40 dB of a clip's loudest moment; what is below that is its room."""
_LEAD_S, _TAIL_S = 0.1, 0.2
"""Kept around the sound: consonants set in, and vowels die away, below the threshold."""
_LEAST_SOUNDING = 0.4
"""Share of a good clip in which somebody is heard."""
_FULL_SCALE = 0.999
_MOST_CLIPPED = 0.0005
"""Share of samples in the middle of a flat top."""
_QUIET_LUFS = -45.0
_CEILING = 10 ** (-1 / 20)
"""Highest peak after normalising, -1 dBFS."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What an engine clones from."""

    audio: Audio
    loudness_lufs: float
    """Of `audio`. Below the target where its peaks left no room."""
    warnings: tuple[str, ...] = ()
    """A sentence each: what a better recording would not have."""


def make_reference(audio: Audio, name: str, most_s: float | None = None) -> Reference:
    """`audio` without the silence at its edges, at TARGET_LUFS or as near as its peaks allow.

    `most_s`: only so many seconds of it, from the first sound on. Raises UnreadableClip where it
    is silent, or has less than SHORTEST_S of sound; `name` is what the error calls it.
    """
    shown = repr(name[:80])
    trimmed = _cut(_trimmed(audio, shown), most_s)
    sounding = _sounding(trimmed)
    heard_s = float(sounding.sum()) * _WINDOW_S
    if heard_s < SHORTEST_S - _WINDOW_S:
        raise UnreadableClip(
            f"{shown} has {heard_s:.1f} s of sound; a voice needs {SHORTEST_S:g} s or more, "
            f"best {BEST_S[0]:g} to {BEST_S[1]:g} s."
        )
    before = loudness_lufs(trimmed)
    level = _normalised(trimmed, before)
    warnings = tuple(_warnings(trimmed, float(sounding.mean()), before))
    return Reference(level, loudness_lufs(level), warnings)


def wav_bytes(audio: Audio) -> bytes:
    """`audio` as a 16-bit wav file, which every engine reads."""
    return wav_header(audio.sample_rate, len(audio)) + to_pcm16(audio).tobytes()


def _trimmed(audio: Audio, shown: str) -> Audio:
    """`audio` from shortly before its first sound to shortly after its last."""
    (loud,) = np.nonzero(_sounding(audio))
    if not len(loud):
        raise UnreadableClip(f"{shown} is silent.")
    window, rate = _window(audio), audio.sample_rate
    start = max(0, int(loud[0]) * window - round(_LEAD_S * rate))
    end = (int(loud[-1]) + 1) * window + round(_TAIL_S * rate)
    return Audio(audio.samples[start:end], rate)


def _cut(audio: Audio, most_s: float | None) -> Audio:
    if most_s is None or audio.seconds <= most_s:
        return audio
    return Audio(audio.samples[: round(most_s * audio.sample_rate)], audio.sample_rate)


def _sounding(audio: Audio) -> NDArray[np.bool_]:
    """For each 20 ms whether it is part of the speech."""
    window = _window(audio)
    whole = len(audio) // window * window
    squares = audio.samples[:whole].astype(np.float64).reshape(-1, window) ** 2
    levels = np.sqrt(squares.mean(axis=1))
    if not len(levels):
        return np.zeros(0, np.bool_)
    sounding: NDArray[np.bool_] = levels > max(_SILENT, float(levels.max()) * _BELOW_LOUDEST)
    return sounding


def _window(audio: Audio) -> int:
    return round(_WINDOW_S * audio.sample_rate)


def _normalised(audio: Audio, lufs: float) -> Audio:
    """`audio` at TARGET_LUFS, or with its peak at the ceiling: level changes, dynamics do not."""
    peak = float(np.abs(audio.samples).max())
    gain = min(10 ** ((TARGET_LUFS - lufs) / 20), _CEILING / peak)
    return Audio(audio.samples * np.float32(gain), audio.sample_rate)


def _warnings(audio: Audio, sounding: float, lufs: float) -> Iterator[str]:
    """What is wrong with `audio`, as it was recorded: each says what to do about it."""
    low, high = BEST_S
    if audio.seconds < low:
        yield f"The clip has {audio.seconds:.1f} s; {low:g} to {high:g} s clone better."
    if audio.seconds > high:
        yield f"The clip has {audio.seconds:.0f} s; engines use {high:g} s or less of it."
    if sounding < _LEAST_SOUNDING:
        yield f"Only {sounding:.0%} of the clip is speech. Cut the pauses out."
    if _clipped(audio) > _MOST_CLIPPED:
        yield "The clip is distorted: it was recorded too loud. Record it again at a lower level."
    if lufs < _QUIET_LUFS:
        yield f"The clip is very quiet ({lufs:.0f} LUFS); its noise was raised with the voice."


def _clipped(audio: Audio) -> float:
    """Share of samples at full scale between two others that are: no loud sine has as many."""
    full = np.abs(audio.samples) >= _FULL_SCALE
    return float((full[:-2] & full[1:-1] & full[2:]).sum()) / len(audio)
