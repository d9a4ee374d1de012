"""Drives a batch engine: some utterances together, or one alone, each with what it said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alltalk.engine import Utterance


def spoken(engine: Any, *utterances: Utterance) -> list[list[NDArray[np.float32]]]:
    """The chunks of each, all opened before the first step. Raises the first error."""
    streams = [engine.open(engine.prepare(each)) for each in utterances]
    heard: dict[Any, list[NDArray[np.float32]]] = {stream: [] for stream in streams}
    try:
        step_all(engine, heard)
    finally:
        for stream in streams:
            engine.close_stream(stream)
    return list(heard.values())


def step_all(engine: Any, heard: dict[Any, list[NDArray[np.float32]]], most: int = 10_000) -> None:
    """Step until all streams of `heard` have ended, and fill in what they say."""
    running = set(heard)
    for _ in range(most):
        if not running:
            return
        for event in engine.step():
            if event.error is not None:
                raise event.error
            if event.chunk is not None:
                heard[event.stream].append(event.chunk.audio.samples)
            if event.done:
                running.discard(event.stream)
    raise AssertionError(f"{len(running)} streams do not end")


def whole(chunks: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Chunks as one sound."""
    return np.concatenate([np.zeros(0, np.float32), *chunks])
