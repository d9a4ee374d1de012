"""Memory for the clips that are spoken: a row each, which a clip owns while its tokens are drawn.

Keys and values, and what is known of each row beside them. Rows 0 to n - 1 decode; the one behind
them may be prefilled.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .manner import Manner

PLACEHOLDER = 1
"""What coqui's prompt ids hold in place of text: the repetition penalty takes it for said."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of a row."""

    layers: int
    positions: int
    """The last is where nobody reads: free rows write there."""
    heads: int
    head_size: int
    tokens: int
    """That there are."""
    most_tokens: int
    """Of a clip."""


class Rows:
    """All rows."""

    def __init__(self, sizes: Sizes, most: int) -> None:
        """Without memory yet, for `most` rows in all."""
        self._sizes, self._most = sizes, most
        self.cache = Cache(sizes)
        self.state: RowState
        """There from the first `reserve` on."""
        self.lengths: list[int] = []
        """Positions that each row holds, of those that decode."""

    def reserve(self, rows: int, like: torch.Tensor) -> bool:
        """Have memory for so many, in steps of powers of two; False: there was enough.

        The cache is of the kind and on the device of `like`. May run out of memory.
        """
        if rows <= self.cache.rows:
            return False
        rows = min(self._most, 1 << (rows - 1).bit_length())
        state = RowState(rows, self._sizes, like.device)
        had_some = self.cache.rows > 0
        self.cache.reserve(rows, like)
        if had_some:
            state.take(self.state)
        self.state = state
        return True

    def join(self, length: int, manner: Manner, seed: int, start_token: int) -> None:
        """The row behind those that decode does so from now on, behind its `length` positions.

        May run out of memory: the row decodes all the same then, and must leave.
        """
        self.lengths.append(length)  # first: `leave` frees the row, should the rest fail
        self.state.place(len(self.lengths) - 1, length, manner, seed, start_token)

    def leave(self, row: int, joining: int) -> int:
        """Free `row` of those that decode; the last of them takes its place. Returns which.

        A row that is being prefilled, `joining` positions of it, then follows them.
        """
        last = len(self.lengths) - 1
        if row != last:
            self.cache.move(last, row, self.lengths[last])
            self.state.move(last, row)
            self.lengths[row] = self.lengths[last]
        if joining:
            self.cache.move(last + 1, last, joining)
        self.state.position[last] = self._sizes.positions - 1
        self.lengths.pop()
        return last


class Cache:
    """Keys and values, [layers, rows, positions, heads, head size]; zero where nothing was.

    Grows by rows. On most systems zeroed memory costs nothing until it is written.
    """

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        self.rows = 0
        self.keys = self.values = torch.empty(0)

    def reserve(self, rows: int, like: torch.Tensor) -> None:
        """Hold at least `rows`, of the kind and on the device of `like`. May run out of memory."""
        sizes = self._sizes
        shape = (sizes.layers, rows, sizes.positions, sizes.heads, sizes.head_size)
        grown = [torch.zeros(shape, dtype=like.dtype, device=like.device) for _ in range(2)]
        for new, old in zip(grown, (self.keys, self.values), strict=True):
            if self.rows:
                new[:, : self.rows] = old
        self.keys, self.values = grown
        self.rows = rows

    def move(self, source: int, target: int, length: int) -> None:
        """Put what row `source` holds, `length` positions of it, into row `target`."""
        for each in (self.keys, self.values):
            each[:, target, :length] = each[:, source, :length]


@dataclass(frozen=True, slots=True)
class Wishes:
    """How rows are drawn; a field each of [rows, 1], on the device."""

    penalty: torch.Tensor
    temperature: torch.Tensor
    top_k: torch.Tensor
    """int64; as many as there are tokens: all."""
    top_p: torch.Tensor
    """Over 1: all."""


class RowState:
    """What is known of each row beside the cache, on the device."""

    def __init__(self, rows: int, sizes: Sizes, device: torch.device) -> None:
        def numbers(value: float, *shape: int, dtype: torch.dtype = torch.int64) -> torch.Tensor:
            return torch.full((rows, *shape), value, dtype=dtype, device=device)

        self.token, self.count = numbers(0), numbers(0)
        """The last token, and how many there are."""
        self.position = numbers(sizes.positions - 1)
        """Where in the cache the token is to be put; the last position: the row is free."""
        self.said = numbers(0, sizes.tokens, dtype=torch.bool)
        self.uniform = numbers(0.0, sizes.most_tokens + 1, dtype=torch.float32)
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
