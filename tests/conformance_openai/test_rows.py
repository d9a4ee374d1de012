"""What clients of OpenAI's API need, requirement by requirement, against a live server.

The numbers are those of the table of requirements that was gathered from the clients' sources.
"""

from __future__ import annotations

import base64
import io
import json
import wave
from collections.abc import Callable

import httpx
import pytest
from hearing import hear, hear_pcm

Speak = Callable[..., httpx.Response]

FORMATS = {
    "mp3": ("audio/mpeg", "mp3float", (b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")),
    "opus": ("audio/ogg", "opus", (b"OggS",)),
    "aac": ("audio/aac", "aac", (b"\xff\xf1", b"\xff\xf9")),
    "flac": ("audio/flac", "flac", (b"fLaC",)),
    "wav": ("audio/wav", "pcm_s16le", (b"RIFF",)),
    "ogg": ("audio/ogg", "opus", (b"OggS",)),
    "m4a": ("audio/mp4", "aac", (b"\x00\x00\x00",)),
    "vorbis": ("audio/ogg", "opus", (b"OggS",)),
}
OPENAI_VOICES = (
    *("alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer"),
    *("verse", "marin", "cedar"),
)


@pytest.mark.parametrize("model", ["tts-1", "gpt-4o-mini-tts", "any_model_name", "hexgrad/Kokoro"])
def test_r36_any_model_id_is_served(speak: Speak, model: str) -> None:
    assert hear(speak(model=model).content).pitches == [220] * 3


def test_r36_without_an_input_there_is_nothing_to_say(speak: Speak) -> None:
    answer = speak(input=None)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input")


@pytest.mark.parametrize("format", FORMATS)
def test_r37_each_format_has_its_true_bytes_and_content_type(speak: Speak, format: str) -> None:
    content_type, codec, beginnings = FORMATS[format]
    answer = speak(response_format=format)
    assert answer.headers["content-type"] == content_type
    assert answer.content.startswith(beginnings)
    heard = hear(answer.content)
    assert (heard.codec, heard.pitches) == (codec, [220] * 3)


def test_r37_without_a_format_it_is_mp3(speak: Speak) -> None:
    answer = speak(response_format=None)
    assert answer.headers["content-type"] == "audio/mpeg"
    assert hear(answer.content).codec == "mp3float"


def test_r38_pcm_is_the_wav_without_its_header(speak: Speak) -> None:
    pcm, wav = speak(response_format="pcm"), speak(response_format="wav")
    assert pcm.headers["content-type"] == "audio/pcm"
    assert pcm.content == wav.content[44:]
    assert hear(wav.content).sample_rate == 24_000
    assert hear_pcm(pcm.content, 24_000).pitches == [220] * 3


def test_r38_pcm_is_24_khz_whatever_the_engine_speaks_at(speak: Speak) -> None:
    answer = speak(model="tone/tone-a", response_format="pcm", sample_rate=None)
    assert hear_pcm(answer.content, 24_000).pitches == [220] * 3


@pytest.mark.parametrize("voice", OPENAI_VOICES)
def test_r39_openais_thirteen_voices_are_spoken(speak: Speak, voice: str) -> None:
    assert len(hear(speak(voice=voice).content).beeps) == 3


@pytest.mark.parametrize("voice", ["high", {"id": "high"}])
def test_r39_own_voices_are_spoken_by_name_and_by_id(speak: Speak, voice: object) -> None:
    assert hear(speak(voice=voice).content).pitches == [880] * 3


def test_r39_an_unknown_voice_is_400_and_the_known_ones_are_named(speak: Speak) -> None:
    answer = speak(voice="nobody")
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "voice")
    assert "nobody" in error["message"]
    assert "high" in error["message"]


@pytest.mark.parametrize(("speed", "status"), [(0.25, 200), (4, 200), (0.24, 400), (4.01, 400)])
def test_r40_speed_goes_from_a_quarter_to_four(speak: Speak, speed: float, status: int) -> None:
    answer = speak(speed=speed)
    assert answer.status_code == status
    if status == 200:
        assert hear(answer.content).seconds == pytest.approx(3 * 0.08 / speed, abs=0.03)
    else:
        assert answer.json()["error"]["param"] == "speed"


@pytest.mark.parametrize(("length", "status"), [(0, 400), (4096, 200), (4097, 400)])
def test_r40_an_input_has_1_to_4096_characters(speak: Speak, length: int, status: int) -> None:
    answer = speak(input=("word " * 1000)[:length].replace(" ", ", ")[:length].ljust(length, "a"))
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["error"]["param"] == "input"


def test_r41_fields_of_other_servers_are_accepted(speak: Speak) -> None:
    answer = speak(
        instructions="cheerfully",
        stream_format="audio",
        lang_code="a",
        autoplay="on",
        volume_multiplier=1.0,
        nested={"any": ["thing"]},
    )
    assert hear(answer.content).pitches == [220] * 3


@pytest.mark.parametrize("format", ["mp3", "wav", "pcm", "opus"])
def test_r41_events_carry_the_same_sound_and_then_its_usage(speak: Speak, format: str) -> None:
    answer = speak(stream_format="sse", response_format=format, cache=False)
    assert answer.headers["content-type"].startswith("text/event-stream")
    *deltas, done = [json.loads(data) for data in event_data(answer.text)]
    sound = b"".join(base64.b64decode(delta["audio"]) for delta in deltas)
    heard = hear_pcm(sound) if format == "pcm" else hear(sound)
    assert heard.pitches == [220] * 3
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    usage = done["usage"]
    assert done["type"] == "speech.audio.done"
    assert usage["input_tokens"] == len("one two three")
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["output_tokens"] > 0


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/audio/speech", b"", 400),
        ("POST", "/v1/audio/speech", b"{", 400),
        ("POST", "/v1/audio/speech", b'"text"', 400),
        ("POST", "/v1/audio/speech", b'{"input": {}}', 400),
        ("POST", "/v1/audio/speech", b'{"input": "a", "speed": "fast"}', 400),
        ("POST", "/v1/audio/speech", b'{"input": "a", "speed": NaN}', 400),
        ("POST", "/v1/audio/speech", b'{"input": "a", "response_format": "exe"}', 400),
        ("POST", "/v1/audio/speech", b'{"input": "a", "stream_format": "mpeg"}', 400),
        ("POST", "/v1/audio/speech", b'{"input": "a", "voice": ["low"]}', 400),
        ("POST", "/v1/audio/speech", b'{"input": "a", "model": "tone/none"}', 404),
        ("POST", "/v1/audio/speech/stream", b'{"input": ""}', 400),
        ("GET", "/v1/audio/speech", b"", 405),
        ("GET", "/v1/models/no/such", b"", 404),
        ("GET", "/v1/nothing", b"", 404),
    ],
)
def test_r42_every_failure_has_openais_shape(
    http: httpx.Client, method: str, path: str, body: bytes, status: int
) -> None:
    headers = {"content-type": "application/json"}
    answer = http.request(method, path, content=body, headers=headers)
    assert answer.status_code == status
    assert answer.json().keys() == {"error"}
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["message"]
    assert isinstance(error["type"], str)


def test_r43_what_stays_wrong_is_no_status_that_clients_repeat(speak: Speak) -> None:
    for fields in ({"voice": "nobody"}, {"input": "..."}, {"language": "xx"}, {"speed": 9}):
        answer = speak(**fields)
        assert answer.status_code == 400
        assert "retry-after" not in answer.headers


@pytest.mark.parametrize("authorization", [None, "Bearer", "bearer none", "Bearer sk-1"])
def test_r44_without_keys_any_authorization_will_do(
    http: httpx.Client, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    body = {"model": "tts-1", "input": "one", "voice": "low"}
    assert http.post("/v1/audio/speech", json=body, headers=headers).status_code == 200
    assert http.get("/v1/models", headers=headers).status_code == 200


def test_r45_models_are_listed_in_openais_shape(http: httpx.Client) -> None:
    listed = http.get("/v1/models").json()
    assert listed["object"] == "list"
    assert {"tts-1", "tone", "tone/tone-a"} <= {model["id"] for model in listed["data"]}
    for model in listed["data"]:
        assert model.keys() == {"id", "object", "created", "owned_by"}
        assert (model["object"], type(model["created"])) == ("model", int)
        assert http.get(f"/v1/models/{model['id']}").json() == model
        assert http.get(f"/v1/models/{model['id'].replace('/', '%2F')}").json() == model


def test_r46_models_and_voices_are_listed_as_web_uis_read_them(
    http: httpx.Client, speak: Speak
) -> None:
    models = http.get("/v1/audio/models").json()["models"]
    voices = http.get("/v1/audio/voices").json()["voices"]
    assert all(voice["id"] and voice["name"] for voice in voices)
    for model in models:
        assert speak(model=model["id"], input="one").status_code == 200
    for voice in voices:
        assert speak(voice=voice["id"], input="one").status_code == 200


def test_r47_no_probe_takes_us_for_another_server(http: httpx.Client) -> None:
    assert http.get("/v1/readyz").status_code == 404
    assert http.get("/v1/test").status_code == 404
    health = http.get("/health")
    assert health.headers["content-type"] == "application/json"
    assert health.json()["status"] == "ok"


def test_r49_every_answer_has_a_request_id_of_its_own(http: httpx.Client, speak: Speak) -> None:
    answers = [
        *(speak(), speak(), speak(voice="nobody")),
        *(http.get("/v1/models"), http.get("/v1/nothing")),
    ]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    "path",
    [
        "/static/openaittstest.html",
        "/static/tts_generator/tts_generator.html",
        "/api/word_addin/taskpane.html",
    ],
)
def test_r52_bookmarked_pages_of_v2_are_there_or_not_found(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code in (200, 404)


def test_an_answer_from_the_cache_knows_its_length(speak_until_kept: Speak) -> None:
    kept = speak_until_kept(input="lengths known beforehand")
    assert int(kept.headers["content-length"]) == len(kept.content)
    with wave.open(io.BytesIO(kept.content)) as file:
        assert file.getnframes() * 2 == len(kept.content) - 44


def test_a_wav_that_is_still_spoken_says_that_its_length_is_unknown(speak: Speak) -> None:
    answer = speak(cache=False)
    assert "content-length" not in answer.headers
    assert answer.content[4:8] == answer.content[40:44] == b"\xff\xff\xff\xff"


@pytest.mark.parametrize("format", ["mp3", "wav"])
def test_the_stream_route_is_a_growing_48_khz_wav(http: httpx.Client, format: str) -> None:
    body = {"input": "one two three", "voice": "low", "response_format": format}
    answer = http.post("/v1/audio/speech/stream", json=body)
    heard = hear(answer.content)
    assert answer.headers["content-type"] == "audio/wav"
    assert (answer.headers["x-route"], answer.headers.get("x-cache")) == ("HOT", None)
    assert (heard.sample_rate, heard.pitches) == (48_000, [220] * 3)


def event_data(text: str) -> list[str]:
    """The data of each event, as the consumers in the field read them: `data: `, one space."""
    events = [event for event in text.split("\n\n") if event]
    assert all(event.startswith("data: ") and "\n" not in event for event in events)
    return [event.removeprefix("data: ") for event in events]
