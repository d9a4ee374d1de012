"""A tour of the API with OpenAI's SDK for Python, with and without asyncio."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path

import openai
import pytest
from hearing import hear, hear_pcm
from live import Live

WORDS = "one two three"
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
SPEECH = "/v1/audio/speech"


@pytest.fixture
def client(server: Live) -> Generator[openai.OpenAI]:
    """The SDK as its users make it: its own transport, its own retries."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="anything") as client:
        yield client


@pytest.fixture
async def aclient(server: Live) -> AsyncGenerator[openai.AsyncOpenAI]:
    """The same with asyncio."""
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="anything") as client:
        yield client


def pitches(content: bytes, format: str) -> list[int]:
    return (hear_pcm(content) if format == "pcm" else hear(content)).pitches


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_spoken_whole(client: openai.OpenAI, format: str) -> None:
    answer = client.audio.speech.create(
        model="tts-1", voice="alloy", input=WORDS, response_format=format
    )
    assert pitches(answer.content, format) == [440] * 3


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_streamed(client: openai.OpenAI, format: str, tmp_path: Path) -> None:
    speech = client.audio.speech.with_streaming_response
    with speech.create(
        model="gpt-4o-mini-tts",
        voice="alloy",
        input=WORDS,
        response_format=format,
        instructions="Whisper.",
        extra_body={"cache": False},
    ) as answer:
        assert answer.headers["x-cache"] == "BYPASS"
        answer.stream_to_file(tmp_path / "spoken")
    assert pitches((tmp_path / "spoken").read_bytes(), format) == [440] * 3


@pytest.mark.parametrize("format", FORMATS)
async def test_every_format_is_spoken_whole_with_asyncio(
    aclient: openai.AsyncOpenAI, format: str
) -> None:
    answer = await aclient.audio.speech.create(
        model="tts-1", voice="nova", input=WORDS, response_format=format, speed=0.5
    )
    assert pitches(answer.content, format) == [880] * 3


@pytest.mark.parametrize("format", FORMATS)
async def test_every_format_is_streamed_with_asyncio(
    aclient: openai.AsyncOpenAI, format: str
) -> None:
    speech = aclient.audio.speech.with_streaming_response
    async with speech.create(
        model="tts-1", voice="nova", input=WORDS, response_format=format
    ) as answer:
        content = b"".join([piece async for piece in answer.iter_bytes()])
    assert pitches(content, format) == [880] * 3


def test_events_are_read_from_the_stream(client: openai.OpenAI) -> None:
    speech = client.audio.speech.with_streaming_response
    with speech.create(
        model="gpt-4o-mini-tts",
        voice="echo",
        input=WORDS,
        response_format="pcm",
        stream_format="sse",
    ) as answer:
        events = [json.loads(line[6:]) for line in answer.iter_lines() if line]
    sound = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert hear_pcm(sound).pitches == [220] * 3
    assert events[-1]["type"] == "speech.audio.done"


def test_a_voice_may_be_an_id_of_our_own(client: openai.OpenAI) -> None:
    answer = client.audio.speech.create(
        model="tone/tone-a", voice={"id": "high"}, input=WORDS, response_format="wav"
    )
    assert hear(answer.content).pitches == [880] * 3


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"voice": "nobody"}, "voice"),
        ({"input": ""}, "input"),
        ({"input": "a" * 5000}, "input"),
        ({"speed": 5.0}, "speed"),
        ({"response_format": "exe"}, "response_format"),
    ],
)
def test_bad_input_is_told_with_its_param_and_asked_for_once(
    client: openai.OpenAI,
    requests_at: Callable[[str], dict[str, int]],
    fields: dict[str, object],
    param: str,
) -> None:
    before = requests_at(SPEECH).get("400", 0)
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.speech.create(**{"model": "tts-1", "voice": "low", "input": WORDS, **fields})
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"
    assert caught.value.code
    assert caught.value.request_id
    assert requests_at(SPEECH)["400"] == before + 1


async def test_an_unknown_model_of_a_known_engine_is_not_found(
    aclient: openai.AsyncOpenAI, requests_at: Callable[[str], dict[str, int]]
) -> None:
    before = requests_at(SPEECH).get("404", 0)
    with pytest.raises(openai.NotFoundError) as caught:
        await aclient.audio.speech.create(model="tone/none", voice="low", input=WORDS)
    assert caught.value.param == "model"
    assert requests_at(SPEECH)["404"] == before + 1


async def test_models_are_listed_and_found(aclient: openai.AsyncOpenAI) -> None:
    models = [model async for model in aclient.models.list()]
    assert {"tts-1", "tone", "tone/tone-a"} <= {model.id for model in models}
    for model in models:
        assert await aclient.models.retrieve(model.id) == model
    with pytest.raises(openai.NotFoundError):
        await aclient.models.retrieve("no/such")


def test_every_voice_that_is_listed_can_be_spoken_with(client: openai.OpenAI) -> None:
    listed = client.get("/audio/voices", cast_to=object)["voices"]
    for voice in listed:
        answer = client.audio.speech.create(model="tts-1", voice=voice["id"], input="one")
        assert answer.content


def test_an_uploaded_voice_speaks_and_is_deleted(client: openai.OpenAI, clip: Path) -> None:
    voice = client.post(
        "/voices",
        cast_to=object,
        body={"name": "from-python"},
        files=[("clip", ("clip.wav", clip.read_bytes()))],
        options={"headers": {"Content-Type": "multipart/form-data"}},
    )
    answer = client.audio.speech.create(
        model="tts-1", voice=voice["id"], input=WORDS, response_format="wav"
    )
    assert hear(answer.content).pitches == [550] * 3
    assert client.delete(f"/voices/{voice['id']}", cast_to=object)["deleted"] is True


def test_a_clip_speaks_for_one_request(client: openai.OpenAI, clip: Path) -> None:
    answer = client.post(
        "/audio/speech",
        cast_to=openai.HttpxBinaryResponseContent,
        body={"input": WORDS, "response_format": "wav"},
        files=[("custom_voice_file", ("clip.wav", clip.read_bytes()))],
        options={"headers": {"Content-Type": "multipart/form-data"}},
    )
    assert hear(answer.content).pitches == [550] * 3
