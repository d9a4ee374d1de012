"""What is known of each row of the cache: where its clip is, and how its tokens are drawn."""

from __future__ import annotations

import torch

from .manner import Manner
from .sampler import PLACEHOLDER, Wishes


class RowState:
    """What is known of each row beside the cache, on the device."""

    def __init__(
        self, rows: int, tokens: int, most_tokens: int, past_end: int, device: torch.device
    ) -> None:
        def numbers(value: float, *shape: int, dtype: torch.dtype = torch.int64) -> torch.Tensor:
            return torch.full((rows, *shape), value, dtype=dtype, device=device)

        self.token, self.count = numbers(0), numbers(0)
        """The last token, and how many there are."""
        self.position = numbers(past_end)
        """Where in the cache the token is to be put; `past_end`: nowhere, the row is free."""
        self.said = numbers(0, tokens, dtype=torch.bool)
        self.uniform = numbers(0.0, most_tokens + 1, dtype=torch.float32)
        self.penalty, self.temperature, self.top_p = (
            numbers(1.0, 1, dtype=torch.float32) for _ in range(3)
        )
        self.top_k = numbers(1, 1)

    def place(self, row: int, length: int, manner: Manner, seed: int, start_token: int) -> None:
        """A new clip in `row`: a draw for each of its tokens, from a generator of its own."""
        generator = torch.Generator().manual_seed(seed)
        self.uniform[row] = torch.rand(self.uniform.shape[1], generator=generator)
        self.said[row] = False
        self.said[row, [PLACEHOLDER, start_token]] = True
        self.count[row], self.position[row] = 0, length - 1
        likeliest = manner.temperature <= 0
        self.temperature[row] = 1.0 if likeliest else manner.temperature
        self.top_k[row] = 1 if likeliest else manner.top_k or self.said.shape[1]
        self.top_p[row] = manner.top_p if manner.top_p < 1 else 2.0
        self.penalty[row] = manner.repetition_penalty

    def wishes(self, rows: slice) -> Wishes:
        """How `rows` are drawn."""
        return Wishes(
            self.penalty[rows], self.temperature[rows], self.top_k[rows], self.top_p[rows]
        )

    def move(self, source: int, target: int) -> None:
        """Put what row `source` holds into row `target`, too."""
        for each in vars(self).values():
            each[target] = each[source]

    def take(self, smaller: RowState) -> None:
        """Put all rows of `smaller` into the first of these."""
        for name, each in vars(smaller).items():
            getattr(self, name)[: len(each)] = each

    def saved(self) -> Saved:
        """What it is now."""
        return Saved({name: each.clone() for name, each in vars(self).items()}, self)


class Saved:
    """The state at some time."""

    def __init__(self, copies: dict[str, torch.Tensor], state: RowState) -> None:
        self._copies, self._state = copies, state

    def restore(self) -> None:
        """Put it back, in place."""
        for name, each in self._copies.items():
            getattr(self._state, name).copy_(each)
