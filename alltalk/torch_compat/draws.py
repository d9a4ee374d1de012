"""Random draws of one utterance: the same for the same seed, whatever other threads draw."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from torch.overrides import TorchFunctionMode

T = TypeVar("T")


class Draws(TorchFunctionMode):
    """Inside it, what torch draws in this thread comes from generators of its own.

    The same numbers as after `torch.manual_seed(seed)`, without touching the generator that all
    threads share. May be entered again: the draws go on.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed
        self._generators: dict[torch.device, torch.Generator] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if func is torch.randn_like:  # older versions of torch take no generator here
            like = torch.empty_like(*args, **named)
            return like.normal_(generator=self._on(like.device))
        if func in (torch.randn, torch.rand):
            device = torch.device(named.get("device") or "cpu")
            return func(*args, **{**named, "generator": self._on(device)})
        if func is torch.multinomial:
            return func(*args, **{**named, "generator": self._on(args[0].device)})
        return func(*args, **named)

    def _on(self, device: torch.device) -> torch.Generator:
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self._seed)
        return self._generators[device]


def drawing(seed: int | None) -> AbstractContextManager[Any]:
    """`Draws` of `seed`; without one, what all threads draw from."""
    return nullcontext() if seed is None else Draws(seed)


def each_within(context: AbstractContextManager[Any], steps: Generator[T]) -> Generator[T]:
    """The same `steps`, each of them taken inside `context`, which is left in between."""
    try:
        while True:
            with context:
                try:
                    step = next(steps)
                except StopIteration:
                    return
            yield step
    finally:
        steps.close()
