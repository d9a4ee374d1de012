"""Voices that come with a request, or are uploaded: cloned, kept or not, and refused when bad."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from hearing import hear
from live import Live, live_server

Hum = Callable[[float, float], bytes]
SPEAK, STREAM, ADD = "/v1/audio/speech", "/v1/audio/speech/stream", "/v1/voices"


@pytest.fixture
def ten_hours() -> bytes:
    """A small file that is long: FLAC of silence at 1 kHz."""
    file = io.BytesIO()
    samples = np.zeros(36_000_000, np.int16)
    soundfile.write(file, samples, 1000, format="FLAC", subtype="PCM_16")
    return file.getvalue()


@pytest.fixture
def mute(tmp_path: Path) -> Generator[httpx.Client]:
    """A client of a server whose engine cannot clone."""
    with (
        live_server(tmp_path, "espeak") as live,
        httpx.Client(base_url=live.url, timeout=60) as client,
    ):
        yield client


def send(
    http: httpx.Client, path: str, clip: bytes, field: str = "", **more: str
) -> httpx.Response:
    """Speak with a clip, or store it, as `path` does."""
    form = {"name": "clip"} if path == ADD else {"input": "one two three", **more}
    field = field or "custom_voice_file"
    return http.post(path, data=form, files={field: ("clip.wav", clip)}, timeout=60)


@pytest.mark.parametrize("field", ["custom_voice_file", "speaker_wav"])
def test_a_clip_is_the_voice_of_its_request(http: httpx.Client, hum: Hum, field: str) -> None:
    answer = send(http, SPEAK, hum(500, 4), field, response_format="wav")
    assert hear(answer.content).pitches == [500] * 3
    assert (answer.headers["x-route"], answer.headers["x-cache"]) == ("ADHOC", "ADHOC")


def test_of_two_clips_the_first_field_counts(http: httpx.Client, hum: Hum) -> None:
    files = {"speaker_wav": ("a.wav", hum(300, 4)), "custom_voice_file": ("b.wav", hum(700, 4))}
    form = {"input": "one", "response_format": "wav"}
    answer = http.post(SPEAK, data=form, files=files)
    assert hear(answer.content).pitches == [700]


def test_a_clip_speaks_on_the_stream_route_too(http: httpx.Client, hum: Hum) -> None:
    answer = send(http, STREAM, hum(500, 4))
    heard = hear(answer.content)
    assert (heard.sample_rate, heard.pitches) == (48_000, [500] * 3)


def test_opting_out_changes_nothing_for_a_clip(http: httpx.Client, hum: Hum) -> None:
    answer = send(http, SPEAK, hum(500, 4), cache="false")
    assert (answer.headers["x-route"], answer.headers["x-cache"]) == ("ADHOC", "ADHOC")


def test_nothing_of_a_clip_is_kept(http: httpx.Client, server: Live, hum: Hum) -> None:
    def files() -> set[Path]:
        return {path for path in (server.home / "voices").rglob("*") if path.is_file()}

    before, voices = files(), http.get("/v1/audio/voices").json()
    assert send(http, SPEAK, hum(600, 4)).status_code == 200
    assert files() == before
    assert http.get("/v1/audio/voices").json() == voices


def test_an_engine_that_cannot_clone_says_so(mute: httpx.Client, hum: Hum) -> None:
    for path in (SPEAK, STREAM):
        answer = send(mute, path, hum(500, 4))
        assert answer.status_code == 400
        assert "clip" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", [SPEAK, STREAM, ADD])
@pytest.mark.parametrize(
    "clip",
    [
        b"",
        b"This is a text that calls itself a wav.\n" * 50,
        b"RIFF\x24\0\0\0WAVEfmt ",
        bytes(9999),
    ],
    ids=["empty", "a text", "cut short", "zeros"],
)
def test_what_is_no_sound_is_400(http: httpx.Client, path: str, clip: bytes) -> None:
    answer = send(http, path, clip)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("path", [SPEAK, ADD])
def test_silence_and_blips_are_no_voice(http: httpx.Client, path: str, hum: Hum) -> None:
    for clip in (hum(440, 0.0), hum(440, 0.05), hum(0, 5)):
        assert send(http, path, clip).status_code == 400


@pytest.mark.parametrize("path", [SPEAK, ADD])
def test_ten_hours_are_refused(http: httpx.Client, path: str, ten_hours: bytes) -> None:
    answer = send(http, path, ten_hours)
    assert answer.status_code in (400, 413), answer.text
    assert answer.json()["error"]["message"]


def test_an_uploaded_voice_speaks_until_it_is_deleted(http: httpx.Client, hum: Hum) -> None:
    added = http.post(ADD, data={"name": "hummer"}, files={"clip": ("a.wav", hum(550, 8))})
    assert added.status_code == 200, added.text
    voice = added.json()["id"]
    body = {"input": "one two", "voice": voice, "response_format": "wav"}
    assert hear(http.post(SPEAK, json=body).content).pitches == [550] * 2
    assert voice in {each["id"] for each in http.get("/v1/audio/voices").json()["voices"]}
    assert http.delete(f"/v1/voices/{voice}").status_code == 200
    assert http.post(SPEAK, json={**body, "input": "three"}).json()["error"]["param"] == "voice"
    assert http.delete(f"/v1/voices/{voice}").status_code == 404
