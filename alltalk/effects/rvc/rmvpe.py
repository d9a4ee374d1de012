"""RMVPE: pitch of voices, also in noise and music (Wei et al. 2023, arXiv:2306.15412).

The network of the published `rmvpe.pt`, whose names of parameters these are: a U-Net over a mel
spectrogram, then a recurrent layer, which tells for 360 pitches 20 cents apart how likely they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from alltalk.effects.rvc.pitch import HOP, SAMPLE_RATE
from alltalk.errors import LoadFailed, RvcModelInvalid
from alltalk.torch_compat.checkpoints import read_checkpoint

_FFT, _MELS, _LOW_HZ, _HIGH_HZ, _FLOOR = 1024, 128, 30.0, 8000.0, 1e-5
_BINS, _CENTS, _FIRST_CENTS, _ZERO_HZ = 360, 20.0, 1997.3794084376191, 10.0
"""Bin i is at `_FIRST_CENTS + 20 i` cents above 10 Hz."""
_AROUND = 4
"""Bins to each side of the best one that its pitch is the mean of."""
_VOICED = 0.03
_LEVELS = 5
_MULTIPLE = 1 << _LEVELS
"""Of frames: each level of the U-Net halves them."""


class Rmvpe:
    """The tracker."""

    def __init__(self, network: nn.Module, device: str, dtype: torch.dtype) -> None:
        self._network = network.to(device=device, dtype=dtype).eval().requires_grad_(False)
        self._device, self._dtype = device, dtype
        self._mels = torch.from_numpy(mel_filters()).to(device)
        self._window = torch.hann_window(_FFT, device=device)
        tensors = [*network.parameters(), *network.buffers()]
        self.memory_bytes = sum(each.numel() * each.element_size() for each in tensors)

    def track(
        self, samples: NDArray[np.float32], frames: int, low_hz: float, high_hz: float
    ) -> NDArray[np.float64]:
        """As the protocol of trackers says."""
        salience = self.salience(samples)
        centre = _FIRST_CENTS + _CENTS * np.arange(_BINS)
        hz = _ZERO_HZ * 2.0 ** (centre / 1200.0)
        salience[:, (hz < low_hz) | (hz > high_hz)] = 0.0
        found = pitch_of(salience)[:frames]
        return np.pad(found, (0, frames - len(found)))

    @torch.inference_mode()
    def salience(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """[n // 160 + 1, 360], 0 to 1: how likely each pitch is."""
        mel = self._mel(torch.from_numpy(np.array(samples)).to(self._device))
        frames = mel.shape[1]
        more = -frames % _MULTIPLE
        mode = "reflect" if more < frames else "replicate"
        padded = functional.pad(mel[None], (0, more), mode=mode)
        out: Tensor = self._network(padded.to(self._dtype))
        salient: NDArray[np.float32] = out[0, :frames].float().cpu().numpy()
        return salient

    def _mel(self, sound: Tensor) -> Tensor:
        """log [128, n // 160 + 1]."""
        mode = "reflect" if len(sound) > _FFT // 2 else "constant"
        spectrum = torch.stft(
            sound, _FFT, HOP, window=self._window, pad_mode=mode, return_complex=True
        ).abs()
        return (self._mels @ spectrum).clamp(min=_FLOOR).log()


def load_rmvpe(file: Path, device: str, dtype: torch.dtype) -> Rmvpe:
    """The tracker with the weights in `file`. Raises RvcModelInvalid, OutOfMemory."""
    try:
        weights = read_checkpoint(file)
        blocks = 1 + max(int(name.split(".")[5]) for name in weights if _is_first_level(name))
        layers = 1 + max(int(name.split(".")[3]) for name in weights if "unet.intermediate" in name)
        width = weights["cnn.weight"].shape[1]
        network = _Network(blocks, layers, width, weights["fc.1.weight"].shape[1] // 2)
        network.load_state_dict(weights)
    except LoadFailed as error:
        raise RvcModelInvalid(f"{file.name} is no RMVPE that can be used: {error}") from error
    except (AttributeError, KeyError, ValueError, IndexError, TypeError, RuntimeError) as error:
        raise RvcModelInvalid(
            f"{file.name} is no RMVPE: install it again, or remove it and use autocorrelation."
        ) from error
    return Rmvpe(network, device, dtype)


def pitch_of(salience: NDArray[np.float32]) -> NDArray[np.float64]:
    """Hz [n] of `salience` [n, 360]; 0 where nothing is likely."""
    best = salience.argmax(1)
    bins = best[:, None] + np.arange(-_AROUND, _AROUND + 1)
    padded = np.pad(salience, ((0, 0), (_AROUND, _AROUND))).astype(np.float64)
    weights = np.take_along_axis(padded, bins + _AROUND, 1)
    cents = _FIRST_CENTS + _CENTS * bins
    mean = (weights * cents).sum(1) / np.maximum(weights.sum(1), 1e-12)
    return np.where(salience.max(1) > _VOICED, _ZERO_HZ * 2.0 ** (mean / 1200.0), 0.0)


def mel_filters() -> NDArray[np.float32]:
    """[128, 513]: triangles on the mel scale of HTK, each of the same area (Slaney's norm)."""
    low, high = (2595.0 * np.log10(1.0 + hz / 700.0) for hz in (_LOW_HZ, _HIGH_HZ))
    edges = 700.0 * (10.0 ** (np.linspace(low, high, _MELS + 2) / 2595.0) - 1.0)
    bins = np.linspace(0.0, SAMPLE_RATE / 2, _FFT // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    filters = (
        np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (edges[2:] - edges[:-2]))[:, None]
    )
    return filters.astype(np.float32)


def _is_first_level(name: str) -> bool:
    return name.startswith("unet.encoder.layers.0.conv.")


class _Network(nn.Module):
    """Log mel [1, 128, T] to salience [1, T, 360]; T is a multiple of 32."""

    def __init__(self, blocks: int, layers: int, width: int, recurrent: int) -> None:
        super().__init__()
        self.unet = _UNet(blocks, layers, width)
        self.cnn = nn.Conv2d(width, 3, 3, padding=1)
        self.fc = nn.Sequential(_Recurrent(3 * _MELS, recurrent), nn.Linear(2 * recurrent, _BINS))

    def forward(self, mel: Tensor) -> Tensor:
        x = self.cnn(self.unet(mel.transpose(1, 2)[:, None]))
        return self.fc(x.transpose(1, 2).flatten(2)).sigmoid()  # type: ignore[no-any-return]


class _Recurrent(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gru = nn.GRU(width, hidden, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.gru(x)[0]  # type: ignore[no-any-return]


class _UNet(nn.Module):
    def __init__(self, blocks: int, layers: int, width: int) -> None:
        super().__init__()
        deepest = width << _LEVELS
        self.encoder = _Encoder(blocks, width)
        self.intermediate = _Layers(
            _Blocks(deepest if layer else deepest // 2, deepest, blocks) for layer in range(layers)
        )
        self.decoder = _Layers(_Up(deepest >> level, blocks) for level in range(_LEVELS))

    def forward(self, x: Tensor) -> Tensor:
        x, skipped = self.encoder(x)
        for layer in self.intermediate.layers:
            x = layer(x)
        for layer, across in zip(self.decoder.layers, reversed(skipped), strict=True):
            x = layer(x, across)
        return x


class _Layers(nn.Module):
    """A list by the name that the file has for it."""

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)


class _Encoder(nn.Module):
    def __init__(self, blocks: int, width: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(1)
        widths = [1, *(width << level for level in range(_LEVELS))]
        self.layers = nn.ModuleList(
            _Blocks(widths[level], widths[level + 1], blocks) for level in range(_LEVELS)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = self.bn(x)
        skipped = []
        for layer in self.layers:
            x = layer(x)
            skipped.append(x)
            x = functional.avg_pool2d(x, 2)
        return x, skipped


class _Blocks(nn.Module):
    def __init__(self, width: int, out: int, count: int) -> None:
        super().__init__()
        self.conv = nn.ModuleList(_Residual(out if n else width, out) for n in range(count))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.conv:
            x = block(x)
        return x


class _Up(nn.Module):
    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        out = width // 2
        self.conv1 = nn.Sequential(
            nn.ConvTranspose2d(width, out, 3, 2, padding=1, output_padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
        )
        self.conv2 = nn.ModuleList(_Residual(out if n else width, out) for n in range(blocks))

    def forward(self, x: Tensor, across: Tensor) -> Tensor:
        x = torch.cat((self.conv1(x), across), 1)
        for block in self.conv2:
            x = block(x)
        return x


class _Residual(nn.Module):
    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(width, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
        )
        self.shortcut = nn.Conv2d(width, out, 1) if width != out else None

    def forward(self, x: Tensor) -> Tensor:
        beside = x if self.shortcut is None else self.shortcut(x)
        return self.conv(x) + beside  # type: ignore[no-any-return]
