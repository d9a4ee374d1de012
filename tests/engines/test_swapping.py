"""Engines swapped under a live server while clients speak: nobody is cut off, nothing is left."""

from __future__ import annotations

import asyncio
import io
import operator
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from live import Live, live_server
from tiny_models import add_tiny

from alltalk.home import Home
from alltalk.loading import missing_imports
from alltalk.registry import Registry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ENGINES = ("piper", "vits", "xtts")
ROUNDS = 20
WARM_ROUNDS = 3
CLIENTS = 2
PATIENCE_S = 600
UNREST = 0.25
"""Share by which the allocator's memory comes and goes. One engine kept of each round would be
six times that: the tiny XTTS alone holds 90 MB."""
LOOKED_S = 10.0
"""How long the least of an idle server is looked for after the first rounds."""
SETTLED_S = 120.0
"""The longest that threads of an engine let go of may take to end."""
PATIENT = {"ALLTALK_SERVER__DRAIN_S": "600"}
"""A request may last longer than the usual time to drain where others use the machine, too."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a tiny model of each engine. Skips where one cannot be imported."""
    registry = Registry(Home(tmp_path))
    for engine in ENGINES:
        if missing := missing_imports(registry.manifest(engine)):
            pytest.skip(f"{engine} needs {', '.join(missing)}")
        add_tiny(tmp_path, engine)
    return tmp_path


async def test_swapping_engines_twenty_times_under_load_leaves_nothing_behind(home: Path) -> None:
    sizes: list[tuple[int, int, int]] = []
    answers: list[httpx.Response] = []
    with live_server(home, "xtts", PATIENT) as server:
        for rounds in (WARM_ROUNDS, ROUNDS - WARM_ROUNDS):
            async with speaking_clients(server, answers) as heard:
                for engine in ENGINES * rounds:
                    await swap(server, engine)
                    await heard()
            sizes.append(await settled(server, sizes[:1]))
    assert len(answers) >= ROUNDS * len(ENGINES)
    assert [fault for answer in answers if (fault := fault_of(answer))] == []
    (threads, files, memory), (more_threads, more_files, more_memory) = sizes
    assert more_threads <= threads
    assert more_files <= files
    assert more_memory <= (1 + UNREST) * memory


async def swap(server: Live, engine: str) -> None:
    """Have another engine be the current one, as V2's clients do."""
    async with httpx.AsyncClient(base_url=server.url, timeout=PATIENCE_S) as client:
        answer = await client.post("/api/enginereload", params={"engine": engine})
        assert answer.json() == {"status": "engine-success"}
        assert fault_of(await ask(client, 0)) == ""
        assert (await client.get("/api/currentsettings")).json()["current_engine_loaded"] == engine


@asynccontextmanager
async def speaking_clients(
    server: Live, answers: list[httpx.Response]
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Clients that speak with whatever is current, again and again, and keep what they hear.

    Inside, one can wait until one of them has heard something since one waited last.
    """
    over, news = asyncio.Event(), asyncio.Event()

    async def speak(number: int) -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=PATIENCE_S) as client:
            while not over.is_set():
                answers.append(await ask(client, number))
                news.set()

    async def heard() -> None:
        waiting = asyncio.create_task(news.wait())
        # A client that fails is told of when all of them are waited for.
        await asyncio.wait([waiting, *speaking], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        news.clear()

    speaking = [asyncio.create_task(speak(number)) for number in range(CLIENTS)]
    try:
        yield heard
    finally:
        over.set()
        await asyncio.gather(*speaking)


async def ask(client: httpx.AsyncClient, more: int) -> httpx.Response:
    """A text that is the longer the larger `more` is, spoken by whatever is current."""
    body = {"model": "tts-1", "voice": "alloy", "response_format": "wav", "cache": False}
    text = f"Mary rows a boat. {'On. ' * more}"
    return await client.post("/v1/audio/speech", json={**body, "input": text})


async def settled(server: Live, before: list[tuple[int, int, int]]) -> tuple[int, int, int]:
    """Threads, open files and resident bytes of the idle server; the least of each in a while.

    An engine that was let go of ends its threads, and gives its memory back, a little later.
    """
    loop = asyncio.get_running_loop()
    found, until = footprint(server), loop.time() + (SETTLED_S if before else LOOKED_S)
    while loop.time() < until and (not before or any(map(operator.gt, found, before[0]))):
        await asyncio.sleep(0.2)
        threads, files, memory = map(min, found, footprint(server))
        found = (threads, files, memory)
    return found


def footprint(server: Live) -> tuple[int, int, int]:
    """Threads, open files and resident bytes of the server's process now."""
    process = Path(f"/proc/{server.process.pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    files = len(list((process / "fd").iterdir()))
    return int(status["Threads"]), files, int(status["VmRSS"].split()[0]) * 1024


def fault_of(answer: httpx.Response) -> str:
    """What is wrong with an answer; empty: it is speech."""
    if answer.status_code != 200:
        return f"{answer.status_code} {answer.text[:200]}"
    with wave.open(io.BytesIO(answer.content)) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
        rate = sound.getframerate()
    if len(samples) < rate / 4 or np.abs(samples).max() < 300:
        return f"{len(samples) / rate:.2f} s at most {np.abs(samples).max(initial=0)} loud"
    return ""
