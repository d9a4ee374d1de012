"""Measures how fast an engine speaks, through everything that a request passes but the door."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Any

from alltalk.errors import SynthesisFailed
from alltalk.figures import Figures
from alltalk.service import SpeechService
from alltalk.serving.requests import new_id
from alltalk.speech import SpeechRequest, Ticket

TEXT = (
    "The quick brown fox jumps over the lazy dog. It then looks back, and waits for the others. "
    "They do not come."
)
"""What is spoken unless another text is given: a sentence to hear first, and two more."""
_HEADER = 44
"""Bytes of a wav file's header."""


@dataclass(frozen=True, slots=True)
class Load:
    """What so many clients at once were served, each asking again as soon as it was answered."""

    clients: int
    requests: int
    requests_per_s: float
    first_audio_p50_s: float
    """Until the first sound could be sent: half of all requests took no longer."""
    first_audio_p95_s: float
    request_p50_s: float
    """Until the last."""
    request_p95_s: float
    rtf: float
    """Seconds a request took per second that it spoke, median."""
    audio_per_s: float
    """Seconds spoken per second, all clients together."""


@dataclass(frozen=True, slots=True)
class Report:
    """One engine, measured."""

    engine: str
    model: str
    voice: str
    characters: int
    """Of the text."""
    load_s: float
    """From the start of the service to the engine being ready."""
    memory_mb: float | None
    """The most that the process had, with the engine's own if it has one; None: not known."""
    loads: tuple[Load, ...]
    figures: tuple[Figures, ...] = ()
    """What the engine measured of itself."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Report:
        """What `as_dict` told."""
        loads = tuple(Load(**load) for load in told["loads"])
        figures = tuple(map(Figures.of, told["figures"]))
        return cls(**{**told, "loads": loads, "figures": figures})


@dataclass(frozen=True, slots=True)
class _Take:
    first_s: float
    total_s: float
    audio_s: float


async def measure(
    service: SpeechService, request: SpeechRequest, clients: int, seconds: float
) -> Load:
    """`clients` at once, who ask for `request` as wav for `seconds`, each at least once.

    Raises what speaking raises.
    """
    takes: list[_Take] = []
    started = time.perf_counter()

    async def one() -> None:
        takes.append(await _take(service, request))
        while time.perf_counter() - started < seconds:
            takes.append(await _take(service, request))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(one())
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return _load(clients, takes, time.perf_counter() - started)


def peak_memory_mb() -> float | None:
    """The most that this process had, and the largest of those it started and has seen end."""
    if sys.platform == "win32":
        return None
    import resource

    units = 1024 * 1024 if sys.platform == "darwin" else 1024
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_maxrss for usage in usages) / units


async def _take(service: SpeechService, request: SpeechRequest) -> _Take:
    started = time.perf_counter()
    first_s, sizes, head = 0.0, 0, b""
    ticket = Ticket(id=new_id(), door="bench")
    async with aclosing(service.encoded(request, ticket)) as sound:
        async for piece in sound:
            first_s = first_s or time.perf_counter() - started
            head = head or piece
            sizes += len(piece)
    sample_rate = int.from_bytes(head[24:28], "little")
    if sizes <= _HEADER or not sample_rate:
        raise SynthesisFailed("The engine said nothing; a benchmark needs a text it can speak.")
    audio_s = (sizes - _HEADER) / 2 / sample_rate
    return _Take(first_s, time.perf_counter() - started, audio_s)


def _load(clients: int, takes: Sequence[_Take], elapsed_s: float) -> Load:
    firsts, totals = [take.first_s for take in takes], [take.total_s for take in takes]
    return Load(
        clients=clients,
        requests=len(takes),
        requests_per_s=len(takes) / elapsed_s,
        first_audio_p50_s=statistics.median(firsts),
        first_audio_p95_s=percentile(firsts, 0.95),
        request_p50_s=statistics.median(totals),
        request_p95_s=percentile(totals, 0.95),
        rtf=statistics.median(take.total_s / take.audio_s for take in takes),
        audio_per_s=sum(take.audio_s for take in takes) / elapsed_s,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
