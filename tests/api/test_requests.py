"""What waits and runs: listing it, stopping it, its limits, and clients that leave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hearing import hear
from held import HeldEngine

from alltalk.app import create_app
from alltalk.home import Home
from alltalk.keys import hashed
from alltalk.service import SpeechService

BOOK = "word " * 40
"""A single utterance."""

Doors = Mapping[str, Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]]
DOORS: Doors = {
    "generate": lambda client: client.post(
        "/api/tts-generate", data={"text_input": BOOK, "character_voice_gen": "low"}
    ),
    "streaming": lambda client: client.get(
        "/api/tts-generate-streaming",
        params={"text": BOOK, "voice": "low", "language": "en", "output_file": "a.wav"},
    ),
    "openai": lambda client: client.post(
        "/v1/audio/speech",
        json={"model": "tts-1", "input": BOOK, "voice": "low", "cache": False},
    ),
}
"""Each API's way of asking for the same."""


@pytest.fixture
def held(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> Generator[HeldEngine]:
    """The engine of `app`, which speaks when told to."""
    held = HeldEngine(monkeypatch)
    yield held
    held.let_speak()  # so that a test that failed leaves nothing to wait for


def client_at(app: FastAPI, address: str, key: str = "") -> httpx.AsyncClient:
    """A client that calls from `address`."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 9999))
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers)


async def until_live(service: SpeechService, count: int) -> None:
    """Return once so many requests are being served; those asked for after it come later."""
    async with asyncio.timeout(60):
        while len(service.requests) != count:  # noqa: ASYNC110  # nothing rings for a test
            await asyncio.sleep(0.001)


async def listed(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    requests: list[dict[str, Any]] = (await client.get("/api/requests")).json()["requests"]
    return requests


def message_in(answer: httpx.Response) -> str:
    """What a client of the answer's API shows: each has its shape."""
    body = answer.json()
    if "/v1/" in str(answer.url):
        assert set(body["error"]) == {"message", "type", "param", "code"}
        return str(body["error"]["message"])
    assert body["status"] == "generate-failure"
    return str(body["error"])


async def test_a_listing_tells_who_waits_and_how_far_the_others_are(
    client: httpx.AsyncClient, service: SpeechService, held: HeldEngine
) -> None:
    books = [asyncio.ensure_future(DOORS["generate"](client)) for _ in range(2)]
    await until_live(service, 2)
    shown = await listed(client)
    keys = {"id", "tag", "client", "door", "engine", "voice", "state", "age_s", "progress"}
    assert keys <= shown[0].keys()
    assert [each["voice"] for each in shown] == ["low", "low"]
    assert all(each["state"] in ("waiting", "speaking") for each in shown)
    await client.put("/api/stop-generation")
    await asyncio.gather(*books)
    assert await listed(client) == []


@pytest.mark.parametrize("door", DOORS)
async def test_a_cancelled_request_is_told_499_in_the_shape_of_its_api(
    client: httpx.AsyncClient, service: SpeechService, held: HeldEngine, door: str
) -> None:
    book = asyncio.ensure_future(DOORS["generate"](client))
    await until_live(service, 1)
    asked = asyncio.ensure_future(DOORS[door](client))
    await until_live(service, 2)
    waiting = (await listed(client))[1]
    stopped = await client.delete(f"/api/requests/{waiting['id']}")
    assert stopped.json()["status"] == "success"
    answer = await asked
    assert answer.status_code == 499
    assert answer.headers["x-request-id"] == waiting["id"]
    assert "cancelled" in message_in(answer)
    held.let_speak()
    assert (await book).status_code == 200


@pytest.mark.parametrize("door", DOORS)
async def test_a_full_server_refuses_before_any_work_in_the_shape_of_the_api(
    client: httpx.AsyncClient, service: SpeechService, held: HeldEngine, door: str
) -> None:
    service._admission.limit(1, 100_000)  # as the settings say, once they are read again
    book = asyncio.ensure_future(DOORS["generate"](client))
    await until_live(service, 1)
    answer = await DOORS[door](client)
    assert (answer.status_code, len(service.requests)) == (429, 1)
    assert int(answer.headers["retry-after"]) >= 1
    assert "busy" in message_in(answer)
    held.let_speak()
    assert (await book).status_code == 200


@pytest.mark.parametrize("door", ["generate", "openai"])
async def test_a_request_past_its_deadline_is_told_504(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    (tmp_path / "confignew.json").write_text('{"admission": {"deadline_s": 0.05}}')
    app = create_app(Home(tmp_path), engine="tone")
    async with app.router.lifespan_context(app), client_at(app, "127.0.0.1") as client:
        await app.state.service.pool.ready()
        HeldEngine(monkeypatch)
        answer = await DOORS[door](client)
        assert answer.status_code == 504
        assert "0.05 s" in message_in(answer)
        assert len(app.state.service.requests) == 0


async def test_who_is_no_admin_sees_and_stops_its_own_requests_only(
    app: FastAPI, client: httpx.AsyncClient, service: SpeechService, held: HeldEngine
) -> None:
    async with client_at(app, "10.0.0.1") as ann, client_at(app, "10.0.0.2") as ben:
        anns = asyncio.ensure_future(DOORS["generate"](ann))
        await until_live(service, 1)
        bens = asyncio.ensure_future(DOORS["generate"](ben))
        await until_live(service, 2)
        assert [each["client"] for each in await listed(ann)] == ["10.0.0.1"]
        assert [each["client"] for each in await listed(ben)] == ["10.0.0.2"]
        assert len(await listed(client)) == 2
        of_ben = (await listed(ben))[0]["id"]
        stopped = await ann.put("/api/stop-generation", params={"request_id": of_ben})
        assert stopped.json()["cancelled"] == 0
        assert (await ann.put("/api/stop-generation")).json()["cancelled"] == 1
        held.let_speak()
        assert [answer.status_code for answer in await asyncio.gather(anns, bens)] == [499, 200]


async def test_requests_belong_to_the_key_they_came_with_not_to_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roles = {"ann": "user", "ben": "user", "root": "admin"}
    keys = [{"name": n, "hash": hashed(f"at-{n}"), "role": r} for n, r in roles.items()]
    config = httpx.Request("POST", "http://x", json={"server": {"api_keys": keys}}).content
    (tmp_path / "confignew.json").write_bytes(config)
    app = create_app(Home(tmp_path), engine="tone")
    async with (
        app.router.lifespan_context(app),
        client_at(app, "127.0.0.1", "at-ann") as ann,
        client_at(app, "127.0.0.1", "at-ben") as ben,
        client_at(app, "127.0.0.1", "at-root") as root,
    ):
        await app.state.service.pool.ready()
        held = HeldEngine(monkeypatch)
        anns = asyncio.ensure_future(DOORS["generate"](ann))
        await until_live(app.state.service, 1)
        bens = asyncio.ensure_future(DOORS["generate"](ben))
        await until_live(app.state.service, 2)
        assert [each["client"] for each in await listed(ann)] == ["ann"]
        assert [each["client"] for each in await listed(root)] == ["ann", "ben"]
        assert (await ben.put("/api/stop-generation")).json()["cancelled"] == 1
        held.let_speak()
        assert [each.status_code for each in await asyncio.gather(anns, bens)] == [200, 499]


async def test_stopping_narrowed_to_an_id_leaves_the_clients_other_requests(
    client: httpx.AsyncClient, service: SpeechService, held: HeldEngine
) -> None:
    first = asyncio.ensure_future(DOORS["generate"](client))
    await until_live(service, 1)
    second = asyncio.ensure_future(DOORS["generate"](client))
    await until_live(service, 2)
    id = (await listed(client))[1]["id"]
    stopped = await client.put("/api/stop-generation", params={"request_id": id})
    assert stopped.json()["cancelled"] == 1
    held.let_speak()
    assert [each.status_code for each in await asyncio.gather(first, second)] == [200, 499]


async def test_a_tag_that_a_client_sent_is_listed_and_cancels_nothing(
    client: httpx.AsyncClient, service: SpeechService, held: HeldEngine
) -> None:
    fields = {"text_input": BOOK}
    speaking = asyncio.ensure_future(
        client.post("/api/tts-generate", data=fields, headers={"x-request-id": "my-book"})
    )
    await until_live(service, 1)
    assert [each["tag"] for each in await listed(client)] == ["my-book"]
    assert (await client.delete("/api/requests/my-book")).status_code == 404
    held.let_speak()
    assert (await speaking).status_code == 200


async def test_the_voice_after_a_cancelled_one_is_heard_whole(
    client: httpx.AsyncClient, service: SpeechService, held: HeldEngine
) -> None:
    book = asyncio.ensure_future(DOORS["generate"](client))
    await until_live(service, 1)
    of_book = (await listed(client))[0]["id"]
    body = {"input": "one two", "voice": "high", "response_format": "wav", "cache": False}
    next_one = asyncio.ensure_future(client.post("/v1/audio/speech", json=body))
    await until_live(service, 2)
    stopped = await client.delete(f"/api/requests/{of_book}")
    assert stopped.json()["status"] == "success"
    assert (await book).status_code == 499
    held.let_speak()
    assert hear((await next_one).content).pitches == [880, 880]
