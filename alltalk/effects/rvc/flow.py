"""Flow: brings latent frames that could be anybody's to those of the voice.

Four mean-only affine couplings (Dinh et al. 2017, arXiv:1605.08803) as in VITS, run backwards.
The names of the parameters are those of RVC's files.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_COUPLINGS = (0, 2, 4, 6)
"""Their places in the list; between them channels are flipped."""
_KERNEL, _LAYERS = 5, 3
REACH = len(_COUPLINGS) * _LAYERS * (_KERNEL // 2)
"""Frames to each side that an output frame depends on."""


class Flow(nn.Module):
    """All couplings."""

    def __init__(self, latent: int, hidden: int, speaker: int) -> None:
        super().__init__()
        self.flows = nn.ModuleList(
            _Coupling(latent, hidden, speaker) if place in _COUPLINGS else nn.Identity()
            for place in range(2 * len(_COUPLINGS))
        )

    def inverse(self, x: Tensor, speaker: Tensor) -> Tensor:
        """[1, latent, T] to the same, as `speaker` [1, width, 1]."""
        for place in reversed(_COUPLINGS):
            coupling = self.flows[place]
            assert isinstance(coupling, _Coupling)
            x = coupling.inverse(x.flip(1), speaker)
        return x


class _Coupling(nn.Module):
    """One half of the channels shifts the other."""

    def __init__(self, latent: int, hidden: int, speaker: int) -> None:
        super().__init__()
        self.pre = nn.Conv1d(latent // 2, hidden, 1)
        self.enc = _WaveNet(hidden, speaker)
        self.post = nn.Conv1d(hidden, latent // 2, 1)

    def inverse(self, x: Tensor, speaker: Tensor) -> Tensor:
        kept, shifted = x.chunk(2, 1)
        return torch.cat((kept, shifted - self.post(self.enc(self.pre(kept), speaker))), 1)


class _WaveNet(nn.Module):
    """Gated convolutions, conditioned on the speaker."""

    def __init__(self, hidden: int, speaker: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.in_layers = nn.ModuleList(
            nn.Conv1d(hidden, 2 * hidden, _KERNEL, padding=_KERNEL // 2) for _ in range(_LAYERS)
        )
        self.res_skip_layers = nn.ModuleList(
            nn.Conv1d(hidden, hidden if layer == _LAYERS - 1 else 2 * hidden, 1)
            for layer in range(_LAYERS)
        )
        self.cond_layer = nn.Conv1d(speaker, 2 * hidden * _LAYERS, 1)

    def forward(self, x: Tensor, speaker: Tensor) -> Tensor:
        skipped = torch.zeros_like(x)
        conditions = self.cond_layer(speaker).chunk(_LAYERS, 1)
        layers = zip(self.in_layers, self.res_skip_layers, conditions, strict=True)
        for convolve, leave, condition in layers:
            signal, gate = (convolve(x) + condition).chunk(2, 1)
            left = leave(signal.tanh() * gate.sigmoid())
            if left.shape[1] > self.hidden:
                x = x + left[:, : self.hidden]
                left = left[:, self.hidden :]
            skipped = skipped + left
        return skipped
