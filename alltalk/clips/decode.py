"""Decoding: a file that a stranger sent, in any format, to mono sound."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from alltalk.audio import Audio, join
from alltalk.errors import UnreadableClip
from alltalk.resample import Resampler

if TYPE_CHECKING:
    from av import AudioFrame

HIGHEST_RATE = 48_000
"""Hz. Sound at higher rates is brought down to it: no engine hears more."""
_RATES = (4_000, 384_000)
"""Sample rates that speech is recorded at, Hz."""
_NO_FILES = {"protocol_whitelist": "none"}
"""A playlist is a format too: it must not have FFmpeg open other files, or addresses."""


def decode(file: BinaryIO, name: str, longest_s: float) -> Audio:
    """The sound of `file`, its channels averaged, at its own rate but at most HIGHEST_RATE.

    Reads wav, mp3, m4a, ogg, flac, webm and all else that FFmpeg knows, the first sound track of a
    video too. Decodes no more than `longest_s` seconds, however much a small file unpacks to.
    `name` is what the errors call it. Raises UnreadableClip: for what is no sound, is damaged,
    holds none, or is longer.
    """
    shown, seconds = repr(name[:80]), 0.0
    pieces: list[Audio] = []
    stage: Resampler | None = None
    with _decoder_errors(shown):
        for piece in _pieces(file, shown):
            seconds += piece.seconds
            if seconds > longest_s:
                raise UnreadableClip(
                    f"{shown} is longer than {longest_s:g} s. Send the best 10 to 30 s of it."
                )
            stage = stage or _to_kept_rate(piece.sample_rate, shown)
            pieces.append(stage.feed(piece))
    if stage is None:
        raise UnreadableClip(f"{shown} has no sound in it.")
    return _checked(join([*pieces, stage.finish()]), shown)


@contextmanager
def _decoder_errors(shown: str) -> Generator[None]:
    """Tells what FFmpeg found wrong, in one sentence."""
    import av

    try:
        yield
    except av.FFmpegError as error:
        reason = (error.strerror or str(error)).strip().splitlines()[-1].lower()
        raise UnreadableClip(
            f"{shown} cannot be read as sound, or is cut off: {reason}. "
            "Send a wav, mp3, m4a, ogg, flac or webm file."
        ) from error


def _pieces(file: BinaryIO, shown: str) -> Generator[Audio]:
    """The first sound track, a frame at a time, at the rate that it has."""
    import av

    with av.open(file, "r", metadata_errors="ignore", options=_NO_FILES) as container:
        if not container.streams.audio:
            raise UnreadableClip(f"{shown} has no sound track.")
        sample_rate = 0
        for frame in container.decode(container.streams.audio[0]):
            sample_rate = sample_rate or frame.sample_rate
            if frame.sample_rate != sample_rate:
                raise UnreadableClip(f"{shown} changes its sample rate on the way.")
            yield Audio(_mono(frame), sample_rate)


def _mono(frame: AudioFrame) -> NDArray[np.float32]:
    """float32 [n], full scale [-1, 1], the mean of the channels."""
    samples: NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    mono: NDArray[np.float64] = samples.mean(axis=0, dtype=np.float64)
    match samples.dtype.kind:
        case "u":
            mono = (mono - 128.0) / 128.0
        case "i":
            mono = mono / -float(np.iinfo(samples.dtype).min)
    return mono.astype(np.float32)


def _to_kept_rate(sample_rate: int, shown: str) -> Resampler:
    lowest, highest = _RATES
    if not lowest <= sample_rate <= highest:
        raise UnreadableClip(
            f"{shown} has {sample_rate} samples a second; {lowest} to {highest} can be used."
        )
    return Resampler(sample_rate, min(sample_rate, HIGHEST_RATE))


def _checked(audio: Audio, shown: str) -> Audio:
    """`audio`, if it is made of numbers: a file of floats can hold anything."""
    if not np.all(np.isfinite(audio.samples)):
        raise UnreadableClip(f"{shown} holds samples that are not numbers.")
    return audio
