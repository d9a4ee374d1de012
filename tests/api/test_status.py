"""Ready, voices, current settings, files, requests: what clients ask before and beside speaking."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import FastAPI
from hearing import hear
from held import HeldEngine

from alltalk.service import SpeechService

TYPES = {
    "engines_available": list,
    "current_engine_loaded": str,
    "models_available": list,
    "current_model_loaded": str,
    "manufacturer_name": str,
    "audio_format": str,
    "deepspeed_capable": bool,
    "deepspeed_available": bool,
    "deepspeed_enabled": bool,
    "generationspeed_capable": bool,
    "generationspeed_set": (int, float),
    "lowvram_capable": bool,
    "lowvram_enabled": bool,
    "pitch_capable": bool,
    "pitch_set": (int, float),
    "repetitionpenalty_capable": bool,
    "repetitionpenalty_set": (int, float),
    "streaming_capable": bool,
    "temperature_capable": bool,
    "temperature_set": (int, float),
    "ttsengines_installed": bool,
    "languages_capable": bool,
    "multivoice_capable": bool,
    "multimodel_capable": bool,
}


async def test_ready_is_the_bare_word(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/ready")
    assert (answer.status_code, answer.content) == (200, b"Ready")
    assert "json" not in answer.headers["content-type"]


async def test_voices_are_plain_names(client: httpx.AsyncClient) -> None:
    body = (await client.get("/api/voices")).json()
    assert body["status"] == "success"
    assert {"low", "mid", "high"} <= set(body["voices"])


async def test_current_settings_have_every_key_of_its_type(client: httpx.AsyncClient) -> None:
    body = (await client.get("/api/currentsettings")).json()
    assert {key: True for key in TYPES} == {
        key: isinstance(body[key], kind) for key, kind in TYPES.items()
    }
    assert body["current_model_loaded"] in [model["name"] for model in body["models_available"]]
    assert body["current_engine_loaded"] in body["engines_available"]


async def test_every_answer_has_an_id_of_ours_and_tells_the_clients_own(
    client: httpx.AsyncClient,
) -> None:
    for path in ("/api/ready", "/nothing"):
        answer = await client.get(path, headers={"x-request-id": "my-tag"})
        assert answer.headers["x-request-id"] != "my-tag"
        assert answer.headers["x-request-tag"] == "my-tag"
    odd = await client.get("/api/ready", headers={"x-request-id": "a b\x7f"})
    assert "x-request-tag" not in odd.headers


async def test_files_have_ranges_and_no_way_out(client: httpx.AsyncClient) -> None:
    made = await client.post("/api/tts-generate", data={"text_input": "one"})
    url = made.json()["output_file_url"]
    whole = await client.get(f"{url}?t=1")
    part = await client.get(url, headers={"range": "bytes=0-99"})
    assert whole.headers["content-type"] == "audio/wav"
    assert (part.status_code, part.content) == (206, whole.content[:100])
    for name in ("missing.wav", "..%2Fconfignew.json", "%2Fetc%2Fpasswd", "a%00b", "."):
        assert (await client.get(f"/audio/{name}")).status_code == 404
    assert (await client.get("/audiocache/missing.wav")).json()["detail"]


async def test_a_reader_of_the_old_file_is_not_disturbed(
    client: httpx.AsyncClient, service: SpeechService
) -> None:
    fixed = {"output_file_name": "mine", "output_file_timestamp": "false"}
    await client.post("/api/tts-generate", data={"text_input": "one", **fixed})
    path = service.outputs.path("mine.wav")
    before = path.read_bytes()
    with path.open("rb") as reader:
        start = reader.read(10)
        await client.post("/api/tts-generate", data={"text_input": "one two", **fixed})
        assert start + reader.read() == before
    assert len(hear(path.read_bytes()).beeps) == 2


async def test_a_request_is_listed_and_can_be_stopped(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    HeldEngine(monkeypatch)
    book = {"text_input": "word " * 300, "character_voice_gen": "low"}
    speaking = asyncio.ensure_future(client.post("/api/tts-generate", data=book))
    while not (listed := (await client.get("/api/requests")).json()["requests"]):  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    assert listed[0]["voice"] == "low"
    stopped = await client.delete(f"/api/requests/{listed[0]['id']}")
    assert stopped.status_code == 200
    answer = await speaking
    assert (answer.status_code, answer.json()["status"]) == (499, "generate-failure")
    assert answer.headers["x-request-id"] == listed[0]["id"]
    assert (await client.delete("/api/requests/none")).status_code == 404


async def test_stop_generation_always_answers(client: httpx.AsyncClient) -> None:
    for content in (b"", b"text"):
        answer = await client.put("/api/stop-generation", content=content)
        assert answer.json()["message"] == "Cancelling current TTS generation"


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
async def test_the_api_describes_itself(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 200


async def test_no_route_is_hidden_from_the_description(app: FastAPI) -> None:
    described = app.openapi()["paths"]
    assert {"/api/tts-generate", "/v1/audio/speech", "/API/ListBackends"} <= described.keys()
