"""Draws the next token of all rows at once, each by its own wishes and its own random numbers.

Filters and their order are those of transformers' `generate`: repetition penalty (Keskar et al.
2019), temperature, top-k, top-p (Holtzman et al. 2020).
"""

from __future__ import annotations

import torch

from .rows import Wishes


def draw(
    logits: torch.Tensor, said: torch.Tensor, wishes: Wishes, uniform: torch.Tensor
) -> torch.Tensor:
    """Tokens int64 [n] from `logits` [n, tokens].

    `said`: bool [n, tokens]; `uniform`: a number of [0, 1) for each row, [n, 1]: where in the
    distribution the token lies. With equal logits a row draws the same in any company.
    """
    ranked, order, shares = filtered(logits, said, wishes)
    shares = shares.masked_fill(ranked == -torch.inf, 0.0).cumsum(-1)
    place = (shares <= uniform * shares[:, -1:]).sum(-1, keepdim=True)
    return order.gather(-1, place.clamp_max(order.shape[-1] - 1))[:, 0]


def filtered(
    logits: torch.Tensor, said: torch.Tensor, wishes: Wishes
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(logits by rank, -inf where ruled out; the tokens by rank; probabilities of those left)."""
    penalized = torch.where(logits < 0, logits * wishes.penalty, logits / wishes.penalty)
    logits = torch.where(said, penalized, logits) / wishes.temperature
    ranked, order = logits.sort(dim=-1, descending=True, stable=True)
    least = ranked.gather(-1, (wishes.top_k - 1).clamp(0, ranked.shape[-1] - 1))
    ranked = ranked.masked_fill(ranked < least, -torch.inf)
    shares = ranked.softmax(-1)
    likelier = shares.cumsum(-1) - shares
    ruled_out = likelier >= wishes.top_p
    ruled_out[:, 0] = False
    ranked = ranked.masked_fill(ruled_out, -torch.inf)
    return ranked, order, ranked.softmax(-1)
