"""Job and Delivery: what goes into an engine's loop, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass

from alltalk.engine import Chunk, Utterance
from alltalk.errors import AllTalkError


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """An utterance in line, and how it is served."""

    id: str
    """Unique in one host."""
    utterance: Utterance
    flow: str
    """Whose turn it takes: callers share fairly inside a level."""
    level: int
    """0 the first sentences of a live request, 1 the rest of it, 2 background work."""
    cost: float
    """What the turn costs its flow: characters."""


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """What one step did for one job. `done` is the job's last; with `error` it failed."""

    job: Job
    chunk: Chunk | None = None
    done: bool = False
    error: AllTalkError | None = None
