"""What many callers at once find, and what the scheduler costs; each figure beside its bound.

python benchmarks/serving.py [--quick]

Speaks with the tone engine, whose voices can be told apart by ear. `--quick` asks for less of
everything. Exit status 1 when a figure is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from load import Client, get, percentile, post
from process import Running, alltalk, script
from traffic import Tally, hear_answer, into_file, leave, speech, traffic

from alltalk.engine import Place, Utterance, Voice
from alltalk.home import Home
from alltalk.product import Product, build, running
from alltalk.serving.requests import new_id
from alltalk.speech import Effects, Role, Segment, Ticket

STEP_S = 0.01
"""Seconds that a slow engine takes for a word."""


@dataclass(slots=True)
class Report:
    """The table, printed as it grows."""

    missed: list[str] = field(default_factory=list)

    def row(self, what: str, ours: str, bound: str, *, held: bool) -> None:
        """One figure, and whether it holds."""
        print(f"{what:<50} {ours:>16}   {bound}{'' if held else '   MISSED'}", flush=True)
        if not held:
            self.missed.append(what)


def main() -> int:
    """Measure everything; how many figures were missed decides the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    share = 0.1 if parser.parse_args().quick else 1.0
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    report = Report()
    asyncio.run(wrong_answers(report, round(2000 * share)))
    asyncio.run(crowd(report, round(500 * share)))
    asyncio.run(growth(report, round(10_000 * share)))
    asyncio.run(next_turn(report, round(50 * share)))
    asyncio.run(cost(report, round(3000 * share)))
    return 1 if report.missed else 0


async def wrong_answers(report: Report, requests: int) -> None:
    """64 clients, two backends, every way to ask, one in ten leaves: who heard another?"""
    with alltalk("tone") as server:
        async with backends_api(server.port) as call:
            await call("EditBackend", backend_id=0, settings={"step_s": 0.001})
            await call("AddNewBackend", type_id="tone")
            await call("EditBackend", backend_id=1, settings={"step_s": 0.002, "slots": 8})
            await ready(call)
        tally = await traffic(server.port, clients=64, requests=requests, leaving=0.1)
    wrong = tally.wrong
    heard = f"{len(tally.heard)} heard, {tally.left} left, {tally.refused} refused"
    report.row(
        "wrong answers, 64 clients",
        f"{wrong} of {tally.total}",
        f"0; {heard}",
        held=wrong == 0 and tally.total >= requests,
    )
    for line in tally.failed[:3]:
        print(f"  {line}")


async def crowd(report: Report, clients: int) -> None:
    """All clients at once at an engine that is slow: an answer or 429 for each."""
    with alltalk("tone", ALLTALK_ADMISSION__MAX_WAITING_REQUESTS=str(clients // 2)) as server:
        async with backends_api(server.port) as call:
            await call("EditBackend", backend_id=0, settings={"step_s": STEP_S})
            await ready(call)
        await traffic(server.port, clients=8, requests=80, leaving=0.0)
        before, peak, tally = server.resident_mb, Peak(server), Tally()

        async def one(number: int) -> None:
            async with Client(server.port) as client:
                await hear_answer(client, speech((300, 500, 700)[number % 3], 4), tally)

        async with peak:
            await asyncio.gather(*(one(number) for number in range(clients)))
        await asyncio.sleep(1.0)
        after = server.resident_mb
    wrong = tally.wrong
    counts = f"{len(tally.heard)} heard, {tally.refused} refused"
    report.row(
        f"{clients} clients at once: neither heard nor refused",
        f"{wrong}",
        f"0; {counts}",
        held=wrong == 0 and tally.total == clients and len(tally.heard) >= clients // 2,
    )
    grown = f"+{peak.mb - before:.0f} MB"
    report.row("  memory at its peak", grown, "under +200 MB", held=peak.mb - before < 200)
    report.row(
        "  memory one second after",
        f"{after - before:+.0f} MB",
        "under +30 MB",
        held=after - before < 30,
    )


async def growth(report: Report, requests: int) -> None:
    """What a long day leaves behind: counts after 30 % of the requests, and after all."""
    with (
        tempfile.TemporaryDirectory() as home,
        script(Path(__file__).with_name("counted.py"), home) as server,
    ):
        async with backends_api(server.port) as call:
            await ready(call)
        early = round(requests * 0.3)
        await traffic(server.port, clients=16, requests=early, leaving=0.1)
        before = await counts(server)
        await traffic(server.port, clients=16, requests=requests - early, leaving=0.1)
        after = await counts(server)
    for name in ("threads", "open files", "tasks", "children"):
        report.row(
            f"{name} after {requests} requests",
            f"{after[name]:.0f}",
            f"no more than {before[name]:.0f}, after {early}",
            held=after[name] <= before[name],
        )
    allowed = max(30.0, 0.05 * before["MB"])
    report.row(
        "memory then",
        f"{after['MB']:.0f} MB",
        f"at most {before['MB']:.0f} + {allowed:.0f} MB",
        held=after["MB"] <= before["MB"] + allowed,
    )


async def next_turn(report: Report, trials: int) -> None:
    """From a client's leaving to the start of the one that waits: at the next chunk."""
    times = []
    with alltalk("tone") as server:
        async with backends_api(server.port) as call:
            await call("EditBackend", backend_id=0, settings={"step_s": STEP_S})
            await ready(call)
        for _ in range(trials):
            times.append(await _turn(server.port))
    report.row(
        "from a disconnect to the next request's start: median",
        f"{statistics.median(times) * 1e3:.1f} ms",
        f"under 20 ms; a chunk is {STEP_S * 1e3:.0f}, most {max(times) * 1e3:.1f}",
        held=statistics.median(times) < 0.02,
    )


async def _turn(port: int) -> float:
    """Seconds from one client's leaving to the engine's start on the other's request."""
    async with Client(port) as client:
        leaving = asyncio.create_task(leave(port, speech(300, 40).raw, 0.05))
        await asyncio.sleep(0.02)
        began = time.perf_counter()
        waiting = asyncio.create_task(client.send(speech(500, 1).raw))
        await leaving
        left = time.perf_counter()
        return began + (await waiting).first_s - left - STEP_S


async def cost(report: Report, requests: int) -> None:
    """A request through admission, pool, engine loop and back, less what the engine takes."""
    with tempfile.TemporaryDirectory() as home:
        product = build(Home(Path(home)), engine="tone")
        async with running(product):
            await product.pool.ready()
            utterance = Utterance("word", Voice("low"), "en")
            ours = [await _spoken(product, utterance) for _ in range(requests)]
            engine = product.registry.load("tone", "tone-a", Place(), {})
            alone = []
            for _ in range(requests):
                began = time.perf_counter()
                list(engine.synthesize(utterance))
                alone.append(time.perf_counter() - began)
    ms = (statistics.median(ours) - statistics.median(alone)) * 1e3
    report.row(
        "the scheduler's own cost of a request: median",
        f"{ms:.3f} ms",
        f"under 0.3 ms; 99th percentile {percentile(ours, 0.99) * 1e3:.3f}",
        held=ms < 0.3,
    )


async def _spoken(product: Product, utterance: Utterance) -> float:
    """Seconds that one request of one segment takes."""
    segment = Segment(0, Role.CHARACTER, utterance, Effects(), 0.0, (0, 4), "tone", "tone-a")
    began = time.perf_counter()
    with product.service.requests.open(
        Ticket(new_id()), voice="low", characters=4, engine="tone"
    ) as live:
        async with aclosing(product.pool.speak([segment], live, whole=True)) as pieces:
            async for _ in pieces:
                pass
    return time.perf_counter() - began


class Peak:
    """The most memory that a server has while inside."""

    def __init__(self, server: Running) -> None:
        self._server = server
        self.mb = 0.0

    async def __aenter__(self) -> Peak:
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watching.cancel()

    async def _watch(self) -> None:
        while True:
            self.mb = max(self.mb, self._server.resident_mb)
            await asyncio.sleep(0.02)


async def counts(server: Running) -> dict[str, float]:
    """What the server holds once nobody asks for anything.

    Starlette reads files on threads that AnyIO keeps for 10 s and lets go at the next read.
    """
    await asyncio.sleep(11.0)
    async with Client(server.port) as client:
        await hear_answer(client, into_file("last", 300, 1), Tally())
        await client.send(get("/"))
        await asyncio.sleep(0.5)
        tasks = int((await client.send(get("/"))).body)
        return {
            "threads": server.threads,
            "open files": server.open_files,
            "tasks": tasks,
            "children": server.children,
            "MB": server.resident_mb,
        }


@asynccontextmanager
async def backends_api(port: int) -> AsyncGenerator[Any]:
    """`call(route, **fields)` in a session."""
    async with Client(port) as client:

        async def call(route: str, **fields: Any) -> Any:
            answer = await client.send(post(f"/API/{route}", {"session_id": session, **fields}))
            return answer.json

        session = ""
        session = (await call("GetNewSession"))["session_id"]
        yield call


async def ready(call: Any) -> None:
    """Wait until every backend runs."""
    while True:
        backends = await call("ListBackends")
        if all(each["status"] == "running" for each in backends.values()):
            return
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main())
