"""R27 to R30, R48: changing what speaks, and stopping it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager

import httpx
import pytest
from hearing import hear
from held import HeldHome
from live import Live, live_server

several_servers = pytest.mark.timeout(400)
SIX = ("alloy", "echo", "fable", "nova", "onyx", "shimmer")


@pytest.fixture
def changed_model(http: httpx.Client) -> Generator[None]:
    """The first model again, whatever the test loads."""
    yield
    assert http.post("/api/reload?tts_method=tone-a").json() == {"status": "model-success"}


@pytest.mark.usefixtures("changed_model")
@pytest.mark.parametrize("place", ["params", "data", "json"])
def test_R27_reload_takes_the_model_from_query_form_or_json(http: httpx.Client, place: str) -> None:
    answer = http.post("/api/reload", **{place: {"tts_method": "tone-b"}})
    assert (answer.status_code, answer.json()) == (200, {"status": "model-success"})
    assert http.get("/api/currentsettings").json()["current_model_loaded"] == "tone-b"


@pytest.mark.parametrize("spelling", ["xtts%20-%20xttsv2_2.0.3", "xtts+-+xttsv2_2.0.3"])
def test_R27_a_name_with_spaces_arrives_however_they_are_written(
    http: httpx.Client, spelling: str
) -> None:
    body = http.post(f"/api/reload?tts_method={spelling}").json()
    assert body["status"] == "model-failure"
    assert "'xtts - xttsv2_2.0.3'" in body["message"]


@pytest.mark.parametrize("path", ["/api/reload?tts_method=no%20such", "/api/reload"])
def test_R27_an_unknown_model_is_a_status_that_is_no_success(http: httpx.Client, path: str) -> None:
    answer = http.post(path)
    assert (answer.status_code, answer.json()["status"]) == (200, "model-failure")


@pytest.mark.parametrize("value", ["True", "true", "1"])
def test_R28_modes_are_switched_by_a_query_with_an_empty_json_body(
    http: httpx.Client, value: str
) -> None:
    headers = {"content-type": "application/json"}
    for path in (
        f"/api/lowvramsetting?new_low_vram_value={value}",
        "/api/lowvramsetting?new_low_vram_value=False",
    ):
        answer = http.post(path, headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (200, "lowvram-success")
    answer = http.post(f"/api/deepspeed?new_deepspeed_value={value}", headers=headers)
    assert answer.status_code == 200
    assert answer.json()["status"] in ("deepspeed-success", "error")
    answer = http.post("/api/deepspeed?new_deepspeed_value=False", headers=headers)
    assert answer.json()["status"] in ("deepspeed-success", "success")


def test_R29_stop_answers_when_there_is_nothing_to_stop(live: Live, http: httpx.Client) -> None:
    answers = [
        http.request("PUT", "/api/stop-generation?request_id=none"),
        http.put(
            "/api/stop-generation?request_id=none",
            content=b"",
            headers={"content-type": "text/plain"},
        ),
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert answer.json()["message"] == "Cancelling current TTS generation"


def test_R29_stop_stops_what_is_being_spoken(
    held: tuple[Live, HeldHome], until: Callable[[Callable[[], object]], None]
) -> None:
    live, _ = held
    answers: list[httpx.Response] = []
    body = {"text_input": "one hold two"}
    speaking = threading.Thread(
        target=lambda: answers.append(
            httpx.post(f"{live.url}/api/tts-generate", data=body, timeout=60)
        )
    )
    speaking.start()
    until(lambda: httpx.get(f"{live.url}/api/requests", timeout=60).json()["requests"])
    answer = httpx.put(f"{live.url}/api/stop-generation", content=b"", timeout=60)
    assert answer.json()["message"] == "Cancelling current TTS generation"
    speaking.join()
    assert answers[0].json()["status"] == "generate-failure"


def test_R30_reload_config_finds_new_voices(live: Live, http: httpx.Client) -> None:
    new = live.home / "voices" / "dropped_in.wav"
    new.write_bytes((live.home / "voices" / "Zoë.wav").read_bytes())
    try:
        answer = http.get("/api/reload_config")
        assert (answer.status_code, answer.text) == (200, "Config file reloaded successfully")
        assert "json" not in answer.headers["content-type"]
        assert "dropped_in.wav" in http.get("/api/voices").json()["voices"]
    finally:
        new.unlink()


def test_R30_settings_that_do_not_hold_are_told_and_not_used(
    live: Live, http: httpx.Client, settings: Callable[..., AbstractContextManager[None]]
) -> None:
    file = live.home / "confignew.json"
    before = file.read_text("utf-8")
    try:
        file.write_text("{", "utf-8")
        answer = http.get("/api/reload_config")
        assert (answer.status_code, answer.json()["status"]) == (500, "error")
        assert http.post("/api/tts-generate", data={"text_input": "one"}).status_code == 200
    finally:
        file.write_text(before, "utf-8")
        http.get("/api/reload_config")


@several_servers
def test_R48_a_voice_map_is_in_force_at_once_and_after_a_restart(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    home = tmp_path_factory.mktemp("mapped")
    with live_server(home) as live:
        assert pitches(live, "nova") == [880]
        mapped = dict.fromkeys(SIX, "tone-600")
        answer = httpx.put(f"{live.url}/api/openai-voicemap", json=mapped, timeout=60)
        assert answer.json() == {"message": "OpenAI voice mappings updated successfully"}
        assert pitches(live, "nova") == [600]
    with live_server(home) as live:
        assert pitches(live, "nova") == [600]


def test_R48_all_six_names_are_needed(http: httpx.Client) -> None:
    answer = http.put("/api/openai-voicemap", json=dict.fromkeys(SIX[1:], "low"))
    assert answer.status_code == 422


@several_servers
def test_another_engine_and_model_are_still_chosen_after_a_restart(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    home = tmp_path_factory.mktemp("chosen")
    with live_server(home) as live:
        assert httpx.post(f"{live.url}/api/reload?tts_method=tone-b", timeout=60).json() == {
            "status": "model-success"
        }
    with live_server(home) as live:
        current = httpx.get(f"{live.url}/api/currentsettings", timeout=60).json()
        assert current["current_model_loaded"] == "tone-b"
        switched = httpx.post(f"{live.url}/api/enginereload?engine=espeak", timeout=60)
        assert switched.json() == {"status": "engine-success"}
    with live_server(home) as live:
        current = httpx.get(f"{live.url}/api/currentsettings", timeout=60).json()
        assert current["current_engine_loaded"] == "espeak"


def pitches(live: Live, voice: str) -> list[int]:
    body = {"model": "tts-1", "input": "one", "voice": voice, "response_format": "wav"}
    return hear(httpx.post(f"{live.url}/v1/audio/speech", json=body, timeout=60).content).pitches
