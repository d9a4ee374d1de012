"""Requests as the clients in the field send them, and their answers read as those read them."""

from __future__ import annotations

import base64
import json
import wave
from io import BytesIO

import httpx
from hearing import hear, hear_pcm

SENTENCE = "One two three."


def test_pipecat_streams_pcm_and_plays_it_as_24_khz(http: httpx.Client) -> None:
    body = {
        "input": SENTENCE,
        "model": "gpt-4o-mini-tts",
        "voice": "alloy",
        "response_format": "pcm",
        "instructions": "Speak clearly.",
        "speed": 1.0,
    }
    with http.stream("POST", "/v1/audio/speech", json=body, headers=SDK) as answer:
        assert answer.status_code == 200
        frames = b"".join(answer.iter_bytes(1024))
    assert not frames.startswith(b"RIFF")
    assert len(frames) % 2 == 0
    assert hear_pcm(frames, 24_000).pitches == [440] * 3


def test_livekit_reads_events_for_its_default_model(http: httpx.Client) -> None:
    body = {
        "input": SENTENCE,
        "model": "gpt-4o-mini-tts",
        "voice": "ash",
        "response_format": "mp3",
        "speed": 1.0,
        "stream_format": "sse",
    }
    sound, usage = b"", None
    with http.stream("POST", "/v1/audio/speech", json=body, headers=SDK) as answer:
        assert answer.headers["content-type"].partition(";")[0] == "text/event-stream"
        for line in answer.iter_lines():
            if not line.startswith("data: "):
                assert line == ""
                continue
            event = json.loads(line[6:])
            if event["type"] == "speech.audio.delta":
                sound += base64.b64decode(event.get("delta") or event["audio"])
            elif event["type"] == "speech.audio.done":
                usage = event["usage"]
    heard = hear(sound)
    assert (heard.codec, heard.sample_rate) == ("mp3float", 24_000)
    assert heard.pitches == [300] * 3
    assert usage is not None


def test_livekit_reads_sound_for_tts_1_and_picks_the_decoder_by_its_type(
    http: httpx.Client,
) -> None:
    body = {
        "input": SENTENCE,
        "model": "tts-1",
        "voice": "ash",
        "speed": 1.0,
        "stream_format": "audio",
    }
    for format in ("mp3", "opus", "aac", "flac", "wav", "pcm"):
        answer = http.post("/v1/audio/speech", json={**body, "response_format": format})
        kind = answer.headers["content-type"].partition(";")[0]
        assert kind in LIVEKIT_DECODES
        heard = hear_pcm(answer.content) if kind == "audio/pcm" else hear(answer.content)
        assert heard.pitches == [300] * 3


def test_open_webui_sends_no_format_and_stores_an_mp3(http: httpx.Client) -> None:
    headers = {"Authorization": "Bearer", "X-OpenWebUI-User-Name": "Zo%C3%AB"}
    voices = http.get("/v1/audio/voices", headers=headers).json()["voices"]
    models = http.get("/v1/audio/models", headers=headers).json()["models"]
    body = {"input": SENTENCE, "voice": voices[0]["id"], "model": models[0]["id"]}
    answer = http.post("/v1/audio/speech", json=body, headers=headers)
    assert hear(answer.content).codec == "mp3float"


def test_open_webui_shows_the_message_of_an_error(http: httpx.Client) -> None:
    answer = http.post("/v1/audio/speech", json={"input": " ", "voice": "x", "model": "tts-1"})
    assert answer.json()["error"]["message"] == "The text is empty. Send at least one word."


def test_librechat_joins_the_bodies_of_a_long_text_into_one_mp3(http: httpx.Client) -> None:
    pieces = ["One two three.", "Four five."]
    bodies = [
        {"input": piece, "model": "tts-1", "voice": "echo", "backend": "any"} for piece in pieces
    ]
    joined = b"".join(http.post("/v1/audio/speech", json=body).content for body in bodies)
    assert hear(joined).pitches == [220] * 5


def test_home_assistant_plays_mp3_and_streams_opus_without_a_key(http: httpx.Client) -> None:
    body = {"model": "tts-1", "input": SENTENCE, "voice": "nova", "speed": 1.0}
    whole = http.post("/v1/audio/speech", json={**body, "response_format": "mp3"})
    assert hear(whole.content).pitches == [880] * 3
    streaming = {**body, "response_format": "opus", "instructions": "calm", "chunk": 512}
    with http.stream("POST", "/v1/audio/speech", json=streaming) as answer:
        sound = b"".join(answer.iter_raw())
    assert hear(sound).codec == "opus"
    listed = http.get("/v1/audio/voices").json()["voices"]
    assert {"nova", "low"} <= {voice["id"] for voice in listed if voice["name"]}


def test_wyoming_takes_rate_and_width_from_a_wav_header_of_unknown_length(
    http: httpx.Client,
) -> None:
    body = {"model": "tts-1", "input": "never heard before", "voice": "sage"}
    fields = {**body, "response_format": "wav", "cache": False}
    with http.stream("POST", "/v1/audio/speech", json=fields) as answer:
        sound = b"".join(answer.iter_bytes())
    with wave.open(BytesIO(sound[:44])) as header:
        assert (header.getframerate(), header.getsampwidth(), header.getnchannels()) == (
            *(24_000, 2, 1),
        )
    assert hear_pcm(sound[44:]).pitches == [700] * 3


def test_sillytavern_sends_an_empty_bearer(http: httpx.Client) -> None:
    body = {
        "input": SENTENCE,
        "response_format": "mp3",
        "voice": "shimmer",
        "speed": 1,
        "model": "tts-1",
    }
    answer = http.post("/v1/audio/speech", json=body, headers={"Authorization": "Bearer"})
    assert hear(answer.content).pitches == [1000] * 3


def test_v2s_test_page_asks_from_a_file_with_unknown_fields(http: httpx.Client) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Origin": "null"}
    asked["Access-Control-Request-Headers"] = "content-type"
    assert http.options("/v1/audio/speech", headers=asked).status_code == 200
    body = {"model": "x", "input": SENTENCE, "voice": "fable", "autoplay": "on", "speed": 1.0}
    for format in ("wav", "mp3", "ogg", "flac", "aac", "m4a"):
        sent = {**body, "response_format": format}
        answer = http.post("/v1/audio/speech", json=sent, headers={"Origin": "null"})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert hear(answer.content).pitches == [600] * 3


SDK = {
    "Accept": "application/octet-stream",
    "Authorization": "Bearer not-a-key",
    "X-Stainless-Lang": "python",
    "X-Stainless-Raw-Response": "stream",
}
LIVEKIT_DECODES = {
    f"audio/{name}"
    for name in (
        *("mpeg", "mp3", "x-mpeg", "aac", "x-aac", "flac", "x-flac", "wav", "wave", "x-wav"),
        *("opus", "ogg", "webm", "mp4", "pcm"),
    )
}
