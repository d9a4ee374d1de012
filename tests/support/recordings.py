"""Recordings as people send them: tones instead of voices, in any format."""

from __future__ import annotations

import io
import wave

import av
import numpy as np
from numpy.typing import NDArray


def tone(
    seconds: float = 4.0, hz: float = 300.0, level: float = 0.1, sample_rate: int = 24000
) -> NDArray[np.float32]:
    """A sine, float32 [n]."""
    at = np.arange(round(seconds * sample_rate)) / sample_rate
    return (level * np.sin(2 * np.pi * hz * at)).astype(np.float32)


def quiet(seconds: float, sample_rate: int = 24000) -> NDArray[np.float32]:
    return np.zeros(round(seconds * sample_rate), np.float32)


def wav(samples: NDArray[np.float32], sample_rate: int = 24000) -> bytes:
    """As a 16-bit wav."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return content.getvalue()


def packed(
    samples: NDArray[np.float32], container: str, codec: str, sample_rate: int = 48000
) -> bytes:
    """As a file of any container and codec that FFmpeg writes."""
    content = io.BytesIO()
    with av.open(content, "w", format=container) as output:
        stream = output.add_stream(codec, rate=sample_rate, layout="mono")
        stream.open()
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = sample_rate
        size = stream.codec_context.frame_size or 1024
        resampler = av.AudioResampler(stream.format, "mono", sample_rate, size)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    return content.getvalue()
