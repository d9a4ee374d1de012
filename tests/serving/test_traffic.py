"""A live server under many clients: everybody hears their own, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hearing import hear
from live import Live, live_server

ROOT = Path(__file__).resolve().parent.parent.parent
VOICES = (300, 500, 700, 1000)
Call = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server of two equal backends that take 4 ms for a word."""
    with live_server(tmp_path_factory.mktemp("home")) as server:
        asyncio.run(with_two_backends(server))
        yield server


async def with_two_backends(server: Live) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        call = await backends_api(client)
        await call("AddNewBackend", type_id="tone")
        for id in (0, 1):
            await call("EditBackend", backend_id=id, settings={"step_s": 0.004})
        await until_running(call, 0, 1)


async def backends_api(client: httpx.AsyncClient) -> Call:
    """Calls in a session; a refusal fails the test."""
    session = (await client.post("/API/GetNewSession")).json()["session_id"]

    async def call(route: str, **fields: Any) -> Any:
        body = {"session_id": session, **fields}
        answer = (await client.post(f"/API/{route}", json=body, timeout=60)).json()
        assert "error" not in answer, answer
        return answer

    return call


async def until_running(call: Call, *ids: int) -> None:
    async with asyncio.timeout(60):
        while True:
            backends = await call("ListBackends")
            if all(backends[str(id)]["status"] == "running" for id in ids):
                return
            await asyncio.sleep(0.01)


async def speak(client: httpx.AsyncClient, hz: int, words: int) -> httpx.Response:
    body = {"model": "tts-1", "input": "word " * words, "voice": f"tone-{hz}", "cache": False}
    return await client.post(
        "/v1/audio/speech", json={**body, "response_format": "wav"}, timeout=60
    )


async def test_nobody_hears_a_wrong_or_cut_answer_while_backends_come_and_go(server: Live) -> None:
    over = asyncio.Event()
    answers: list[tuple[int, int, httpx.Response]] = []

    async def keep_speaking(number: int) -> None:
        hz, words = VOICES[number % 4], 3 + number % 5
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            while not over.is_set():
                answers.append((hz, words, await speak(client, hz, words)))

    async def change_backends(client: httpx.AsyncClient) -> None:
        call = await backends_api(client)
        id = (await call("AddNewBackend", type_id="tone"))["id"]
        await call("EditBackend", backend_id=id, settings={"slots": 4, "step_s": 0.004})
        await until_running(call, id)
        await call("MakeBackendCurrent", backend_id=id)
        for each in (0, 1, id):
            await call("EditBackend", backend_id=each, settings={"step_s": 0.003})
            await call("ToggleBackend", backend_id=each, enabled=False)
            await call("FreeBackendMemory")
            await call("ToggleBackend", backend_id=each, enabled=True)
            await call("RestartBackends", backend=each)
            await until_running(call, each)
        await call("EditBackend", backend_id=id, settings={}, new_id=id + 10)
        assert await call("DeleteBackend", backend_id=id + 10) == {"result": "Deleted."}
        assert await call("DeleteBackend", backend_id=1) == {"result": "Deleted."}
        await call("RestartBackends")
        await until_running(call, 0)

    speaking = [asyncio.create_task(keep_speaking(number)) for number in range(16)]
    try:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            await change_backends(client)
    finally:
        over.set()
        await asyncio.gather(*speaking)
    assert len(answers) > 16
    assert {answer.status_code for *_, answer in answers} == {200}
    assert [
        (hz, words, found)
        for hz, words, answer in answers
        if (found := hear(answer.content).pitches) != [hz] * words
    ] == []


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
async def test_a_client_that_leaves_frees_the_engine_for_the_next(
    server: Live, streamed: bool
) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        call = await backends_api(client)
        for id in [int(id) for id in await call("ListBackends")][1:]:
            await call("DeleteBackend", backend_id=id)
        await call("EditBackend", backend_id=0, settings={"step_s": 0.3})
        await until_running(call, 0)
        await asyncio.gather(leave(server, streamed=streamed), leave(server, streamed=streamed))
        # What they asked for takes minutes to speak; whoever still waited would not get here.
        async with asyncio.timeout(60):
            assert hear((await speak(client, 500, 2)).content).pitches == [500, 500]


async def leave(server: Live, *, streamed: bool) -> None:
    """Ask for what takes two minutes to speak, and hang up before or during the answer."""
    text, tag = "word " * 390, secrets.token_hex(8)
    path, body = (
        ("/v1/audio/speech", {"model": "tts-1", "input": text, "voice": "low", "cache": False})
        if streamed
        else ("/api/tts-generate", {"text_input": text, "character_voice_gen": "low"})
    )
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        asking = asyncio.create_task(
            client.post(path, json=body, headers={"x-request-id": tag}, timeout=60)
        )
        async with asyncio.timeout(60):
            while tag not in await tags_in(server):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert not asking.done()
        asking.cancel()
        await asyncio.wait({asking})


async def tags_in(server: Live) -> list[str]:
    """What the clients of the requests that are served call them."""
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        requests = (await client.get("/api/requests", timeout=60)).json()["requests"]
    return [each["tag"] for each in requests]


@pytest.mark.slow
def test_the_figures_of_serving_are_printed_by_one_command() -> None:
    command = [sys.executable, "benchmarks/serving.py", "--quick"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    rows = made.stdout.splitlines()
    assert any(row.startswith("wrong answers") and " 0 of " in row for row in rows), made
    timed = ("from a disconnect", "the scheduler's own cost")  # too much to ask of a busy machine
    assert [row for row in rows if "MISSED" in row and not row.startswith(timed)] == []
    assert all(any(row.startswith(each) for row in rows) for each in timed)
