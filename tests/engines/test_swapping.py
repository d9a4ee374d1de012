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
CLIENTS = 3
PATIENCE_S = 600
GROWTH = 0.05
GROWTH_BYTES = 30_000_000
"""What memory may grow by, the larger of both: a share of what it was, and so much. The tiny XTTS
alone holds 90 MB."""
CALM_S = 10.0
"""How long memory and threads are looked at: those of an engine let go of end a little later."""
CALM_ROUNDS = 5
"""How often engines are swapped once more, without load, before growth is believed: what the
allocator holds comes and goes by 20 MB, and what a round leaves behind stays."""
FEW_KERNELS = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "16"}
"""PyTorch keeps 1024 compiled kernels, one for each length of sound. Random weights speak at any
length, so that these alone grow by 40 MB in the first rounds, and then no more."""


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
    answers: list[httpx.Response] = []
    with live_server(home, "xtts", FEW_KERNELS) as server:
        await swap_under_load(server, WARM_ROUNDS, answers)
        threads, files, memory = await settled(server)
        most = (threads, files, memory + round(max(GROWTH * memory, GROWTH_BYTES)))
        await swap_under_load(server, ROUNDS - WARM_ROUNDS, answers)
        left = await settled(server)
        for _ in range(CALM_ROUNDS):
            if any(map(operator.gt, left, most)):
                await swap_round(server)
                left = await settled(server)
    assert len(answers) >= ROUNDS * len(ENGINES)
    assert [fault for answer in answers if (fault := fault_of(answer))] == []
    assert all(map(operator.le, left, most)), f"threads, files, bytes: {left}, at most {most}"


async def swap_under_load(server: Live, rounds: int, answers: list[httpx.Response]) -> None:
    """So many rounds, while clients speak."""
    async with speaking_clients(server, answers) as heard:
        for engine in ENGINES * rounds:
            await swap(server, engine)
            await heard()


async def swap_round(server: Live) -> None:
    """Each engine once."""
    for engine in ENGINES:
        await swap(server, engine)


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


async def settled(server: Live) -> tuple[int, int, int]:
    """Threads, open files and resident bytes of the idle server; the least of each in a while."""
    loop = asyncio.get_running_loop()
    found, until = footprint(server), loop.time() + CALM_S
    while loop.time() < until:
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
