"""A picture of a sound: its waveform above its spectrogram."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alltalk.audio import Audio

WIDTH, WAVE_HEIGHT, SPECTRUM_HEIGHT = 800, 96, 128
_WINDOW = 512
_LOUDEST_RANGE_DB = 80.0
_COLOUR = (79, 70, 229)


def picture_html(audio: Audio) -> str:
    """The picture, as HTML that holds it whole."""
    pixels = np.concatenate([_wave(audio.samples), _spectrum(audio.samples)])
    file = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(file, "PNG", compress_level=6)
    content = base64.b64encode(file.getvalue()).decode()
    said = (
        f"Waveform and spectrogram, {audio.seconds:.1f} seconds up to {audio.sample_rate // 2} Hz"
    )
    return f'<img style="width:100%" alt="{said}" src="data:image/png;base64,{content}">'


def _wave(samples: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The largest and smallest sample under each column, on a transparent ground."""
    columns = np.array_split(samples, WIDTH)
    middle = (WAVE_HEIGHT - 1) / 2
    rows = np.arange(WAVE_HEIGHT)[:, None]
    most = np.array([column.max(initial=0.0) for column in columns])
    least = np.array([column.min(initial=0.0) for column in columns])
    inside = (rows >= np.floor(middle - most * middle)) & (rows <= np.ceil(middle - least * middle))
    pixels = np.zeros((WAVE_HEIGHT, WIDTH, 4), np.uint8)
    pixels[inside] = (*_COLOUR, 255)
    return pixels


def _spectrum(samples: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Low frequencies at the bottom; what is 80 dB under the loudest is transparent."""
    padded = np.pad(samples, (0, _WINDOW))
    starts = np.linspace(0, len(samples), WIDTH).astype(int)
    frames = padded[np.minimum(starts[:, None] + np.arange(_WINDOW), len(padded) - 1)]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW))[:, 1:]) ** 2
    power = power.reshape(WIDTH, SPECTRUM_HEIGHT, -1).mean(2).T[::-1]
    level = 10 * np.log10(power / max(float(power.max()), 1e-12) + 1e-12)
    pixels = np.zeros((SPECTRUM_HEIGHT, WIDTH, 4), np.uint8)
    pixels[..., :3] = _COLOUR
    pixels[..., 3] = np.clip(1 + level / _LOUDEST_RANGE_DB, 0, 1) * 255
    return pixels
