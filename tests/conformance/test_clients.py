"""Whole conversations of clients that people use, as they send them."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import closing
from typing import Any
from urllib.parse import quote

import httpx
from hearing import hear
from live import Live

SILLYTAVERN = {"origin": "http://127.0.0.1:8000"}


def test_sillytavern_starts_previews_speaks_and_streams(http: httpx.Client) -> None:
    http.headers.update(SILLYTAVERN)
    assert http.get("/api/ready").text == "Ready"
    current = http.get("/api/currentsettings").json()
    names = sorted(model["name"] for model in current["models_available"])
    assert {"engines_available", "current_engine_loaded", "current_model_loaded"} <= current.keys()
    assert http.get("/api/rvcvoices").json()["rvcvoices"]
    voices = http.get("/api/voices").json()["voices"]
    assert http.get("/api/rvcvoices").json()["rvcvoices"]
    for path in (
        f"/api/reload?tts_method={quote(names[0])}",
        "/api/deepspeed?new_deepspeed_value=False",
        "/api/lowvramsetting?new_low_vram_value=False",
    ):
        answer = http.post(path)
        assert answer.is_success
        assert answer.json()["status"]
    preview = http.post("/api/previewvoice/", data={"voice": voices[0]}).json()
    assert http.get(preview["output_file_url"]).headers["content-type"].startswith("audio/")
    form = {
        "text_input": '*He waves.* "Hello there," he says.',
        "text_filtering": "standard",
        "character_voice_gen": "high",
        "narrator_enabled": "true",
        "narrator_voice_gen": "low",
        "text_not_inside": "narrator",
        "language": "en",
        "output_file_name": "st_output",
        "output_file_timestamp": "true",
        "autoplay": "false",
        "autoplay_volume": "0.8",
    }
    made = http.post("/api/tts-generate", data=form, headers={"cache-control": "no-cache"})
    assert made.headers["access-control-allow-origin"]
    file = http.get(made.json()["output_file_url"])
    assert file.headers["content-type"].startswith("audio/")
    assert file.headers["access-control-allow-origin"]
    assert hear(file.content).pitches == [220, 220, 880, 880, 220, 220]
    query = {"text": "Hello there", "voice": voices[0], "language": "en"}
    stream = http.get(
        "/api/tts-generate-streaming", params={**query, "output_file": "stream_output.wav"}
    )
    assert stream.content[:4] == b"RIFF"


class WikiClient:
    """A client as V2's documentation teaches to write one."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=60)

    def close(self) -> None:
        self._http.close()

    def wait_until_ready(self, most_s: float = 60.0) -> bool:
        deadline = time.monotonic() + most_s
        while time.monotonic() < deadline:
            if self._http.get("/api/ready").text == "Ready":
                return True
            time.sleep(0.5)
        return False

    def describe(self) -> dict[str, Any]:
        return {
            "settings": self._get("/api/currentsettings"),
            "voices": self._get("/api/voices")["voices"],
            "rvc_voices": self._get("/api/rvcvoices").get("rvcvoices", []),
        }

    def reload_config(self) -> bool:
        return self._http.get("/api/reload_config").status_code == 200

    def speak(self, text: str, voice: str, narrator: str = "false", **more: str) -> dict[str, Any]:
        form = {"text_input": text, "character_voice_gen": voice, "narrator_enabled": narrator}
        answer = self._http.post("/api/tts-generate", data={**form, **more})
        assert answer.status_code == 200
        return answer.json()

    def fetch(self, url: str) -> bytes:
        return self._http.get(url).content

    def stop(self) -> dict[str, Any]:
        return self._http.put("/api/stop-generation", params={"request_id": "none"}).json()

    def post(self, path: str, **query: str) -> dict[str, Any]:
        answer = self._http.post(path, params=query)
        assert answer.status_code == 200
        return answer.json()

    def _get(self, path: str) -> dict[str, Any]:
        answer = self._http.get(path)
        answer.raise_for_status()
        return answer.json()


def test_the_python_class_of_v2s_wiki_works(live: Live) -> None:
    with closing(WikiClient(live.url)) as client:
        assert client.wait_until_ready()
        assert client.reload_config()
        about = client.describe()
        model = about["settings"]["models_available"][0]["name"]
        made = client.speak("one two", "low", language="en", output_file_name="wiki")
        assert hear(client.fetch(made["output_file_url"])).pitches == [220, 220]
        assert client.stop()["message"]
        assert client.post("/api/reload", tts_method=model)["status"] == "model-success"
        off = "false"
        assert client.post("/api/deepspeed", new_deepspeed_value=off)["status"] == "success"
        assert client.post("/api/lowvramsetting", new_low_vram_value=off)["status"] == "success"


SUBTITLE_EDIT = (
    b"--b5f3\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Disposition: form-data; name=text_input\r\n\r\n"
    + rb"He said: \"one\"\ntwo"
    + b"\r\n--b5f3\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Disposition: form-data; name=character_voice_gen\r\n\r\nlow"
    b"\r\n--b5f3\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Disposition: form-data; name=output_file_name\r\n\r\noutput"
    b"\r\n--b5f3\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Disposition: form-data; name=output_file_timestamp\r\n\r\nfalse"
    b"\r\n--b5f3--\r\n"
)
"""What .NET's MultipartFormDataContent makes of it: names without quotes, a type on each part."""


def test_subtitle_edits_calls_work_byte_for_byte(live: Live) -> None:
    assert exchange(live, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")[0] == 200
    assert b"voices" in exchange(live, b"GET /api/voices HTTP/1.1\r\nHost: localhost\r\n\r\n")[1]
    head = (
        b"POST /api/tts-generate HTTP/1.1\r\nHost: localhost\r\n"
        b'Content-Type: multipart/form-data; boundary="b5f3"\r\n'
        b"Content-Length: %d\r\n\r\n" % len(SUBTITLE_EDIT)
    )
    for _ in range(2):  # the file is moved away each time
        status, content = exchange(live, head + SUBTITLE_EDIT)
        assert status == 200, content
        path = json.loads(content)["output_file_path"]
        with open(path, "rb") as file:
            assert hear(file.read()).pitches == [220] * 4
        os.replace(path, live.home / "taken.wav")


def test_echokraut_stops_and_streams(live: Live) -> None:
    stop = (
        b"PUT /api/stop-generation?request_id=none HTTP/1.1\r\nHost: 127.0.0.1:7851\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 0\r\n\r\n"
    )
    assert exchange(live, stop)[0] == 200
    stream = (
        b"GET /api/tts-generate-streaming?text=Ein%20Satz&voice=Zo%C3%AB.wav&language=de"
        b"&output_file=ignoreme.wav HTTP/1.1\r\nHost: 127.0.0.1:7851\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", live.port), timeout=60) as connection:
        connection.sendall(stream)
        assert connection.recv(15) == b"HTTP/1.1 200 OK"


def exchange(live: Live, request: bytes) -> tuple[int, bytes]:
    """Send `request` as it is; the answer's status and body."""
    with socket.create_connection(("127.0.0.1", live.port), timeout=60) as connection:
        connection.sendall(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        received = b""
        while piece := connection.recv(65536):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), body
