"""A live server, alone and among sixteen other clients; every row is tested with both."""

from __future__ import annotations

import json
import time
import wave
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from crowd import crowd
from hearing import Heard, hear
from held import HeldHome
from live import Live, live_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Live]:
    """One server for all rows; whoever changes it changes it back."""
    home = tmp_path_factory.mktemp("home")
    (home / "voices").mkdir()
    for name, hz in (("Zoë.wav", 350), ("Morgan_Freeman CC3 (enhanced).wav", 250)):
        clip(home / "voices" / name, hz)
    with live_server(home) as live:
        yield live


@pytest.fixture(scope="module", params=["alone", "among 16 others"])
def live(server: Live, request: pytest.FixtureRequest) -> Generator[Live]:
    """The server, with and without other clients who speak all the while.

    A fixture of the session would have them speak beside all tests that come after these.
    """
    others: AbstractContextManager[None] = nullcontext()
    if request.param != "alone":
        others = crowd(server)
    with others:
        yield server


@pytest.fixture(scope="module")
def held_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Live, HeldHome]]:
    """A server whose engine waits at each word `hold`."""
    home = HeldHome(tmp_path_factory.mktemp("held"))
    with live_server(home.path, "held") as live:
        yield live, home


@pytest.fixture
def held(held_server: tuple[Live, HeldHome]) -> Generator[tuple[Live, HeldHome]]:
    """That server, its engine held until the test lets it go on."""
    held_server[1].hold()
    yield held_server
    held_server[1].let_speak()
    held_server[1].let_load()


@pytest.fixture
def http(live: Live) -> Generator[httpx.Client]:
    """A client as patient as the most patient ones are."""
    with httpx.Client(base_url=live.url, timeout=60) as client:
        yield client


@pytest.fixture
def speak(http: httpx.Client) -> Callable[..., dict[str, Any]]:
    """`speak(text, **fields)` → the JSON of a successful tts-generate."""

    def speak(text: str = "one two", **fields: str) -> dict[str, Any]:
        answer = http.post("/api/tts-generate", data={"text_input": text, **fields})
        assert answer.status_code == 200, answer.text
        return answer.json()

    return speak


@pytest.fixture
def listen(http: httpx.Client) -> Callable[[dict[str, Any]], Heard]:
    """What the file of an answer sounds like."""
    return lambda answer: hear(http.get(answer["output_file_url"]).content)


@pytest.fixture
def settings(live: Live, http: httpx.Client) -> Callable[..., AbstractContextManager[None]]:
    """`with settings("section", key=value)`: a changed confignew.json, until the block ends."""

    @contextmanager
    def changed(section: str, **values: Any) -> Generator[None]:
        file = live.home / "confignew.json"
        before = file.read_text("utf-8")
        content = json.loads(before)
        content[section] |= values
        file.write_text(json.dumps(content), "utf-8")
        assert http.get("/api/reload_config").status_code == 200
        try:
            yield
        finally:
            file.write_text(before, "utf-8")
            assert http.get("/api/reload_config").status_code == 200

    return changed


def clip(file: Path, hz: float) -> None:
    """Write a recording of a hum to be cloned."""
    time_s = np.arange(24000) / 24000
    samples = (0.3 * np.sin(2 * np.pi * hz * time_s) * 32767).astype("<i2")
    with wave.open(str(file), "wb") as writer:
        writer.setparams((1, 2, 24000, 0, "NONE", ""))
        writer.writeframes(samples.tobytes())


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """`until(holds)` returns once `holds()` is true of a server, which tells nobody."""

    def wait(holds: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < deadline, "it never came to hold"
            time.sleep(0.02)

    return wait
