"""Live servers that clients of OpenAI's API talk to, and the ways in which they do."""

from __future__ import annotations

import io
import json
import time
import wave
from collections.abc import Callable, Generator
from pathlib import Path

import httpx
import numpy as np
import pytest
from live import Live, live_server
from prometheus_client.parser import text_string_to_metric_families

WORDS = "one two three"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Live]:
    """A server with the tone engine and the settings it comes with."""
    with live_server(tmp_path_factory.mktemp("home")) as live:
        yield live


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Generator[Live]:
    """A server that keeps no answers, and whose engine is slow and fails at the word `boom`."""
    home = tmp_path_factory.mktemp("faulty")
    write_tone_settings(home, faults=True, step_s=0.02)
    with live_server(home, environ={"ALLTALK_CACHE__TTL_MINUTES": "0"}, may_fail=True) as live:
        yield live


@pytest.fixture
def http(server: Live) -> Generator[httpx.Client]:
    """A client of `server` that sends nothing by itself but the usual headers."""
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


@pytest.fixture
def broken(faulty: Live) -> Generator[httpx.Client]:
    """A client of `faulty`."""
    with httpx.Client(base_url=faulty.url, timeout=60) as client:
        yield client


@pytest.fixture
def speak(http: httpx.Client) -> Callable[..., httpx.Response]:
    """Ask for speech; arguments are fields of the body, None leaves one out."""

    def ask(**fields: object) -> httpx.Response:
        body = {"model": "tts-1", "input": WORDS, "voice": "low", "response_format": "wav"}
        sent = {name: value for name, value in {**body, **fields}.items() if value is not None}
        return http.post("/v1/audio/speech", json=sent)

    return ask


@pytest.fixture
def speak_until_kept(speak: Callable[..., httpx.Response]) -> Callable[..., httpx.Response]:
    """Ask until the answer comes from the cache: it is kept just after its last byte was sent."""

    def ask(**fields: object) -> httpx.Response:
        deadline = time.monotonic() + 60
        while (answer := speak(**fields)).headers["x-cache"] != "HIT":
            assert time.monotonic() < deadline, "nothing was kept"
            time.sleep(0.01)
        return answer

    return ask


@pytest.fixture(scope="session")
def hum() -> Callable[[float, float], bytes]:
    """A wav in which somebody hums: how high, Hz, and how long, seconds."""

    def make(hz: float, seconds: float) -> bytes:
        time_s = np.arange(int(seconds * 24_000)) / 24_000
        swelling = np.abs(np.sin(2 * np.pi * 1.5 * time_s))
        samples = 0.3 * np.sin(2 * np.pi * hz * time_s) * swelling
        file = io.BytesIO()
        with wave.open(file, "wb") as clip:
            clip.setnchannels(1)
            clip.setsampwidth(2)
            clip.setframerate(24_000)
            clip.writeframes((samples * 32767).astype("<i2").tobytes())
        return file.getvalue()

    return make


@pytest.fixture(scope="session")
def count() -> Callable[..., float]:
    """The sum of a server's samples called `name` that have `labels`."""

    def read(server: Live, name: str, **labels: str) -> float:
        text = httpx.get(f"{server.url}/metrics", timeout=60).text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    return read


def write_tone_settings(home: Path, **settings: object) -> None:
    """Settings of the tone engine of the server in `home`."""
    folder = home / "engines/tone"
    folder.mkdir(parents=True)
    (folder / "model_settings.json").write_text(json.dumps({"settings": settings}))
