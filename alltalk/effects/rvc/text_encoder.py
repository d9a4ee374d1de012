"""Text encoder: what is said, and at which pitch, to the mean and spread of the latent frames.

The transformer of VITS (Kim et al. 2021, arXiv:2106.06103) with relative positions (Shaw et al.
2018, arXiv:1803.02155), fed with features of an embedder in place of phonemes. The names of the
parameters are those of RVC's files.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

PITCH_IDS = 256
_REACH = 10
"""Frames to each side whose distance matters; all further ones are as far."""


class TextEncoder(nn.Module):
    """Features and pitch to mean and log of the standard deviation."""

    def __init__(
        self,
        features: int,
        latent: int,
        hidden: int,
        inner: int,
        heads: int,
        layers: int,
        kernel: int,
        *,
        pitched: bool,
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.emb_phone = nn.Linear(features, hidden)
        if pitched:
            self.emb_pitch = nn.Embedding(PITCH_IDS, hidden)
        self.encoder = _Transformer(hidden, inner, heads, layers, kernel)
        self.proj = nn.Conv1d(hidden, 2 * latent, 1)

    def forward(self, phone: Tensor, pitch_ids: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and log sigma, [1, latent, T] each, of `phone` [1, T, features], ids [1, T]."""
        x = self.emb_phone(phone)
        if pitch_ids is not None:
            x = x + self.emb_pitch(pitch_ids)
        x = functional.leaky_relu(x * math.sqrt(self.hidden), 0.1).transpose(1, 2)
        mean, log_sigma = self.proj(self.encoder(x)).chunk(2, 1)
        return mean, log_sigma


class _Transformer(nn.Module):
    """Post-norm blocks of attention and feed-forward."""

    def __init__(self, hidden: int, inner: int, heads: int, layers: int, kernel: int) -> None:
        super().__init__()
        self.attn_layers = nn.ModuleList(_Attention(hidden, heads) for _ in range(layers))
        self.norm_layers_1 = nn.ModuleList(_Norm(hidden) for _ in range(layers))
        self.ffn_layers = nn.ModuleList(_FeedForward(hidden, inner, kernel) for _ in range(layers))
        self.norm_layers_2 = nn.ModuleList(_Norm(hidden) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        blocks = zip(
            self.attn_layers, self.norm_layers_1, self.ffn_layers, self.norm_layers_2, strict=True
        )
        for attend, norm_1, feed, norm_2 in blocks:
            x = norm_1(x + attend(x))
            x = norm_2(x + feed(x))
        return x


class _Attention(nn.Module):
    """Self-attention with relative positions, which all heads share."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.conv_q = nn.Conv1d(hidden, hidden, 1)
        self.conv_k = nn.Conv1d(hidden, hidden, 1)
        self.conv_v = nn.Conv1d(hidden, hidden, 1)
        self.conv_o = nn.Conv1d(hidden, hidden, 1)
        self.emb_rel_k = nn.Parameter(torch.zeros(1, 2 * _REACH + 1, hidden // heads))
        self.emb_rel_v = nn.Parameter(torch.zeros(1, 2 * _REACH + 1, hidden // heads))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            self._split(conv(x)) for conv in (self.conv_q, self.conv_k, self.conv_v)
        )
        query = query / math.sqrt(query.shape[-1])
        scores = query @ key.transpose(2, 3)
        near = query @ self.emb_rel_k[0].T  # [1, heads, T, 21]
        for offset in self._offsets(x):
            _diagonal(scores, offset).add_(_rows(near[..., _REACH + offset], offset))
        weights = scores.softmax(-1)
        out = weights @ value
        bands = torch.zeros_like(near)
        for offset in self._offsets(x):
            _rows(bands[..., _REACH + offset], offset).copy_(_diagonal(weights, offset))
        out = out + bands @ self.emb_rel_v[0]
        return self.conv_o(out.transpose(2, 3).reshape(x.shape))  # type: ignore[no-any-return]

    def _split(self, x: Tensor) -> Tensor:
        """[1, hidden, T] as [1, heads, T, hidden / heads]."""
        return x.view(1, self.heads, -1, x.shape[2]).transpose(2, 3)

    @staticmethod
    def _offsets(x: Tensor) -> range:
        reach = min(_REACH, x.shape[2] - 1)
        return range(-reach, reach + 1)


def _diagonal(square: Tensor, offset: int) -> Tensor:
    """A view of the cells whose column is their row + `offset`."""
    return torch.diagonal(square, offset, -2, -1)


def _rows(column: Tensor, offset: int) -> Tensor:
    """A view of the rows that such a diagonal has."""
    length = column.shape[-1]
    return column[..., max(0, -offset) : length - max(0, offset)]


class _FeedForward(nn.Module):
    def __init__(self, hidden: int, inner: int, kernel: int) -> None:
        super().__init__()
        self.padding = ((kernel - 1) // 2, kernel // 2)
        self.conv_1 = nn.Conv1d(hidden, inner, kernel)
        self.conv_2 = nn.Conv1d(inner, hidden, kernel)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_1(functional.pad(x, self.padding)).relu()
        return self.conv_2(functional.pad(x, self.padding))  # type: ignore[no-any-return]


class _Norm(nn.Module):
    """Layer norm over channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        normed = functional.layer_norm(x.transpose(1, 2), self.gamma.shape, self.gamma, self.beta)
        return normed.transpose(1, 2)
