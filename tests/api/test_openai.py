"""`/v1`: OpenAI's speech API."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import openai
import pytest
from fastapi import FastAPI
from hearing import hear, hear_pcm

WORDS = "one two three"

FORMATS = {
    "wav": ("audio/wav", "pcm_s16le"),
    "mp3": ("audio/mpeg", "mp3float"),
    "opus": ("audio/ogg", "opus"),
    "aac": ("audio/aac", "aac"),
    "flac": ("audio/flac", "flac"),
}


@pytest.fixture
def sdk(client: httpx.AsyncClient) -> openai.AsyncOpenAI:
    """The official SDK, pointed at the application."""
    return openai.AsyncOpenAI(
        api_key="anything", base_url="http://127.0.0.1/v1", http_client=client, max_retries=2
    )


async def speak(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    body = {"model": "tts-1", "input": WORDS, "voice": "low", "response_format": "wav", **fields}
    return await client.post("/v1/audio/speech", json=body)


@pytest.mark.parametrize("format", FORMATS)
async def test_every_format_has_its_own_bytes_and_type(
    client: httpx.AsyncClient, format: str
) -> None:
    answer = await speak(client, response_format=format)
    heard = hear(answer.content)
    assert (answer.headers["content-type"], heard.codec) == FORMATS[format]
    assert heard.pitches == [220, 220, 220]


async def test_pcm_is_headerless_24_khz(client: httpx.AsyncClient) -> None:
    answer = await speak(client, response_format="pcm")
    assert answer.headers["content-type"] == "audio/pcm"
    assert hear_pcm(answer.content, 24000).pitches == [220, 220, 220]


async def test_mp3_is_the_default(client: httpx.AsyncClient) -> None:
    answer = await speak(client, response_format=None)
    assert answer.headers["content-type"] == "audio/mpeg"


async def test_openai_names_and_ids_and_own_names_are_voices(client: httpx.AsyncClient) -> None:
    for voice in ("alloy", "ash", "marin", {"id": "high"}, "mid", "tone-300"):
        assert (await speak(client, voice=voice)).status_code == 200
    assert hear((await speak(client, voice={"id": "high"})).content).pitches == [880, 880, 880]


async def test_speed_changes_the_duration(client: httpx.AsyncClient) -> None:
    slow, fast = [hear((await speak(client, speed=s)).content).seconds for s in (0.5, 2.0)]
    assert slow > 2.5 * fast


async def test_eight_at_once_each_hear_their_own_voice(client: httpx.AsyncClient) -> None:
    pitch = {"low": 220, "mid": 440, "high": 880}
    voices = [*pitch, *pitch, "low", "high"]
    answers = await asyncio.gather(*(speak(client, voice=voice) for voice in voices))
    assert [hear(a.content).pitches for a in answers] == [[pitch[v]] * 3 for v in voices]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": "  \n"}, "input"),
        ({"input": "😀😀"}, "input"),
        ({"input": "word " * 1000}, "input"),
        ({"input": None}, "input"),
        ({"input": ["a"]}, "input"),
        ({"voice": "nobody"}, "voice"),
        ({"voice": "../../etc/passwd"}, "voice"),
        ({"voice": 7}, "voice"),
        ({"response_format": "exe"}, "response_format"),
        ({"speed": 0.1}, "speed"),
        ({"speed": 4.1}, "speed"),
        ({"speed": "fast"}, "speed"),
        ({"stream_format": "mpeg"}, "stream_format"),
        ({"language": "xx-nowhere"}, "language"),
    ],
)
async def test_bad_input_is_400_in_openais_shape(
    client: httpx.AsyncClient, fields: dict[str, Any], param: str
) -> None:
    answer = await speak(client, **fields)
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert (error["param"] or "").startswith(param)
    assert (await speak(client)).status_code == 200


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"[" * 100_000, b""])
async def test_malformed_json_is_400(client: httpx.AsyncClient, content: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = await client.post("/v1/audio/speech", content=content, headers=headers)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_the_sdk_speaks_whole_and_streamed(sdk: openai.AsyncOpenAI) -> None:
    whole = await sdk.audio.speech.create(
        model="tts-1", voice="alloy", input=WORDS, response_format="wav"
    )
    assert len(hear(whole.content).beeps) == 3
    async with sdk.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="nova", input=WORDS, response_format="pcm"
    ) as streamed:
        content = b"".join([piece async for piece in streamed.iter_bytes()])
    assert len(hear_pcm(content).beeps) == 3


async def test_the_sdk_sees_bad_input_as_such_and_does_not_repeat_it(
    sdk: openai.AsyncOpenAI, client: httpx.AsyncClient
) -> None:
    sent: list[httpx.Request] = []

    async def count(request: httpx.Request) -> None:
        sent.append(request)

    client.event_hooks = {"request": [count], "response": []}
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.audio.speech.create(model="tts-1", voice="nobody", input=WORDS)
    assert caught.value.param == "voice"
    assert caught.value.request_id
    assert len(sent) == 1


async def test_the_sdk_lists_models(sdk: openai.AsyncOpenAI) -> None:
    ids = [model.id async for model in sdk.models.list()]
    assert {"tts-1", "tone"} <= set(ids)
    assert (await sdk.models.retrieve("tone")).owned_by == "alltalk"
    with pytest.raises(openai.NotFoundError):
        await sdk.models.retrieve("no/such")


async def test_every_listed_voice_can_be_used(client: httpx.AsyncClient) -> None:
    voices = (await client.get("/v1/audio/voices")).json()["voices"]
    assert all(voice.keys() == {"id", "name"} for voice in voices)
    for voice in voices:
        assert (await speak(client, voice=voice["id"])).status_code == 200


async def test_unknown_paths_and_methods_have_openais_shape(client: httpx.AsyncClient) -> None:
    for answer, status in (
        (await client.get("/v1/nothing"), 404),
        (await client.get("/v1/audio/speech"), 405),
    ):
        assert (answer.status_code, answer.json()["error"]["param"]) == (status, None)


async def test_the_name_the_server_goes_by_is_the_first_model(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    await app.state.control.change_settings({"speech.served_model_name": "my-voice"})
    listed = (await client.get("/v1/models")).json()["data"]
    assert listed[0]["id"] == "my-voice"
    assert (await client.get("/v1/models/my-voice")).json()["id"] == "my-voice"
