"""Decode steps captured as CUDA graphs: a GPU's step is short, and launching its kernels is not.

Only ever used on a CUDA device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch

LENGTHS = 256
"""A graph is for a power of two of rows, and a multiple of this of positions."""
Step = Callable[[int, int], tuple[torch.Tensor, torch.Tensor]]
"""(rows, positions) → tokens [rows], latents [rows, width]."""


class Saved(Protocol):
    """State as it was."""

    def restore(self) -> None:
        """Put it back."""
        ...


class Graphs:
    """Runs `step` by replaying it. Captured when first needed; `forget` when memory has moved."""

    def __init__(self, step: Step, save: Callable[[], Saved]) -> None:
        """`save`: what keeps the state that `step` changes, for the run that warms up."""
        self._step, self._save = step, save
        self._captured: dict[
            tuple[int, int], tuple[torch.cuda.CUDAGraph, torch.Tensor, torch.Tensor]
        ] = {}

    def __call__(self, rows: int, positions: int) -> tuple[torch.Tensor, torch.Tensor]:
        """As `step`, but for more rows and positions, perhaps."""
        key = (1 << (rows - 1).bit_length(), -(-positions // LENGTHS) * LENGTHS)
        if key not in self._captured:
            self._captured[key] = self._capture(*key)
        graph, tokens, latents = self._captured[key]
        graph.replay()
        return tokens, latents.clone()  # the next replay writes over it

    def forget(self) -> None:
        """Drop all graphs: they hold addresses."""
        self._captured.clear()

    def _capture(
        self, rows: int, positions: int
    ) -> tuple[torch.cuda.CUDAGraph, torch.Tensor, torch.Tensor]:
        saved = self._save()
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call, unused-ignore]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # libraries set themselves up outside the capture
            self._step(rows, positions)
        torch.cuda.current_stream().wait_stream(side)
        saved.restore()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            tokens, latents = self._step(rows, positions)
        return graph, tokens, latents
