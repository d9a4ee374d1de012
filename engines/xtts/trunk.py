"""XTTS's GPT-2 over a static cache: the same blocks for a piece of prompt and for a decode step.

Radford et al. 2019; the weights are those of coqui's `gpt.gpt`, whose own position embeddings are
null, so that a row's place in the cache is all that orders its keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import gelu, scaled_dot_product_attention

from .linear import Linear, made_linear
from .rows import Cache


@dataclass(frozen=True, slots=True)
class _Block:
    before_attention: Any
    project: Linear
    unproject: Linear
    before_mlp: Any
    widen: Linear
    narrow: Linear


class Trunk:
    """The blocks and the two norms behind them: embeddings in, latents out."""

    def __init__(self, gpt: Any, precision: str) -> None:
        """`gpt`: coqui's. On the CPU its blocks' large weights are copied, and may be dropped."""
        self.width, self.heads = int(gpt.model_dim), int(gpt.heads)
        self._norm, self._final_norm = gpt.gpt.ln_f, gpt.final_norm
        self.blocks = [
            _Block(
                block.ln_1,
                made_linear(block.attn.c_attn, precision),
                made_linear(block.attn.c_proj, precision),
                block.ln_2,
                made_linear(block.mlp.c_fc, precision),
                made_linear(block.mlp.c_proj, precision),
            )
            for block in gpt.gpt.h
        ]

    def __call__(
        self, x: torch.Tensor, cache: Cache, first: int, positions: torch.Tensor, length: int
    ) -> torch.Tensor:
        """Latents float32 [n, t, width] of embeddings `x` of that shape.

        They are those of rows `first` to `first + n`, at `positions` [n, t], all below `length`,
        where their keys and values are written; each sees its row up to itself.
        """
        n, t, _ = x.shape
        kind = self._norm.weight.dtype
        seen = torch.arange(length, device=x.device) <= positions[:, None, :, None]
        hidden = torch.zeros((), dtype=kind, device=x.device)
        mask = hidden.new_zeros(n, 1, t, length).masked_fill_(~seen, -torch.inf)
        rows = torch.arange(first, first + n, device=x.device)[:, None].expand(n, t)
        x = x.to(kind)
        for index, block in enumerate(self.blocks):
            keys, values = cache.keys[index], cache.values[index]
            q, k, v = self._heads(block.project, block.before_attention(x))
            keys.index_put_((rows, positions), k)
            values.index_put_((rows, positions), v)
            mixed = scaled_dot_product_attention(
                q.transpose(1, 2),
                keys[first : first + n, :length].transpose(1, 2),
                values[first : first + n, :length].transpose(1, 2),
                attn_mask=mask,
            )
            x = x + _flat(block.unproject, mixed.transpose(1, 2).reshape(n, t, self.width))
            wide = gelu(_flat(block.widen, block.before_mlp(x)), approximate="tanh")
            x = x + _flat(block.narrow, wide)
        latents: torch.Tensor = self._final_norm(self._norm(x).float())
        return latents

    def _heads(self, project: Linear, x: torch.Tensor) -> list[torch.Tensor]:
        """Queries, keys and values, [n, t, heads, head size] each."""
        n, t, _ = x.shape
        return [each.view(n, t, self.heads, -1) for each in _flat(project, x).chunk(3, dim=-1)]


def _flat(product: Linear, x: torch.Tensor) -> torch.Tensor:
    """`product` of [n, t, width], which takes rows."""
    n, t, width = x.shape
    return product(x.reshape(n * t, width)).view(n, t, -1)
