"""Reference clips as the model hears them: any format, mono, 22 050 Hz, clipped to full scale."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import torch
import torchaudio  # type: ignore[import-untyped]
from numpy.typing import NDArray

from alltalk.errors import UnreadableClip

SAMPLE_RATE = 22_050
SHORTEST_S = 0.33
"""Less than that gives coqui nothing to condition on."""
_SILENT = 10 ** (-60 / 20)
_NO_FILES = {"protocol_whitelist": "none"}
"""A playlist is a format too: it must not have FFmpeg open other files, or addresses."""


def read_clip(file: Path, longest_s: float) -> torch.Tensor:
    """float32 [1, n], the first `longest_s` seconds. Raises UnreadableClip.

    Resampled by torchaudio, as coqui does, so that the latents are coqui's.
    """
    samples, rate = _decode(file, longest_s)
    if len(samples) < SHORTEST_S * rate:
        raise UnreadableClip(
            f"{file.name} is {len(samples) / rate:.2f} s long. XTTS needs {SHORTEST_S} s of a "
            "voice at least, and clones well from 6 to 30 s."
        )
    if not np.isfinite(samples).all() or np.abs(samples).max() < _SILENT:
        raise UnreadableClip(f"{file.name} is silent: there is no voice to clone.")
    sound = torch.from_numpy(samples)[None]
    if rate != SAMPLE_RATE:
        sound = torchaudio.functional.resample(sound, rate, SAMPLE_RATE)
    return sound[:, : round(SAMPLE_RATE * longest_s)].clip(-1.0, 1.0)


def _decode(file: Path, longest_s: float) -> tuple[NDArray[np.float32], int]:
    """Mono samples and their rate in Hz; what follows `longest_s` is not decoded."""
    pieces: list[NDArray[np.float32]] = []
    rate, left = 0, 0.0
    try:
        with file.open("rb") as opened, av.open(opened, "r", options=_NO_FILES) as container:
            if not container.streams.audio:
                raise UnreadableClip(f"{file.name} has no sound in it.")
            for frame in container.decode(container.streams.audio[0]):
                if not pieces:
                    rate, left = frame.sample_rate, longest_s * frame.sample_rate
                pieces.append(_mono(frame))
                left -= len(pieces[-1])
                if left <= 0:
                    break
    except (av.FFmpegError, OSError) as error:
        raise UnreadableClip(f"{file.name} cannot be read as sound: {error.strerror}.") from error
    if not pieces:
        raise UnreadableClip(f"{file.name} has no sound in it.")
    return np.concatenate(pieces), rate


def _mono(frame: av.AudioFrame) -> NDArray[np.float32]:
    """float32 [n], full scale [-1, 1], the mean of the channels."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    mono: NDArray[np.float32] = samples.mean(axis=0, dtype=np.float64).astype(np.float32)
    match samples.dtype.kind:
        case "u":
            return mono / np.float32(128.0) - np.float32(1.0)
        case "i":
            return mono / np.float32(2.0 ** (8 * samples.dtype.itemsize - 1))
    return mono
