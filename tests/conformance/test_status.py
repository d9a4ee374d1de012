"""R1 to R7, R33 to R35: what clients ask before they speak, and whether they get it in time."""

from __future__ import annotations

import threading
from collections.abc import Callable

import httpx
import pytest
from held import HeldHome
from live import Live

POLLED = ("/api/ready", "/api/voices", "/api/rvcvoices", "/api/currentsettings")
STRINGS = ("current_engine_loaded", "current_model_loaded", "manufacturer_name", "audio_format")
NUMBERS = ("generationspeed_set", "pitch_set", "repetitionpenalty_set", "temperature_set")
BOOLS = (
    *("deepspeed_capable", "deepspeed_available", "deepspeed_enabled", "lowvram_capable"),
    *("lowvram_enabled", "generationspeed_capable", "pitch_capable", "repetitionpenalty_capable"),
    *("streaming_capable", "temperature_capable", "ttsengines_installed", "languages_capable"),
    *("multivoice_capable", "multimodel_capable"),
)
LISTS = ("engines_available", "models_available")


def test_R01_ready_is_the_bare_word(http: httpx.Client) -> None:
    answer = http.get("/api/ready")
    assert (answer.status_code, answer.content) == (200, b"Ready")
    assert "json" not in answer.headers.get("content-type", "")


def test_R02_ready_answers_at_once_while_a_model_loads(
    held: tuple[Live, HeldHome], until: Callable[[Callable[[], object]], None]
) -> None:
    live, home = held
    home.hold_loads()
    answers: list[httpx.Response] = []

    def load(model: str) -> httpx.Response:
        return httpx.post(f"{live.url}/api/reload", params={"tts_method": model}, timeout=60)

    loading = threading.Thread(target=lambda: answers.append(load("tone-b")))
    loading.start()
    until(home.is_loading)
    assert load("nothing").json() == {"status": "model-is currently changing"}
    assert httpx.get(f"{live.url}/api/ready", timeout=60).content in (b"Ready", b"Unloaded")
    assert answers == []
    home.let_load()
    loading.join()
    assert answers[0].json() == {"status": "model-success"}
    assert httpx.get(f"{live.url}/api/ready", timeout=60).content == b"Ready"


def test_R03_voices_has_both_keys(http: httpx.Client) -> None:
    body = http.get("/api/voices").json()
    assert body["status"] == "success"
    assert len(body["voices"]) >= 2
    assert all(isinstance(name, str) for name in body["voices"])


def test_R04_json_is_raw_utf8(http: httpx.Client) -> None:
    content = http.get("/api/voices").content
    assert "Zoë.wav".encode() in content
    assert b"\\" not in content


def test_R05_rvcvoices_has_both_keys_and_disabled_first(http: httpx.Client) -> None:
    body = http.get("/api/rvcvoices").json()
    assert body["rvcvoices"] == body["voices"]
    assert body["voices"][0] == "Disabled"


def test_R06_current_settings_has_every_key_of_its_type(http: httpx.Client) -> None:
    body = http.get("/api/currentsettings").json()
    assert len({*STRINGS, *NUMBERS, *BOOLS, *LISTS}) == 24
    assert all(type(body[key]) is bool for key in BOOLS)
    assert all(type(body[key]) is str for key in STRINGS)
    assert all(type(body[key]) in (int, float) for key in NUMBERS)
    assert all(type(body[key]) is list for key in LISTS)
    names = [model["name"] for model in body["models_available"]]
    assert body["current_model_loaded"] in names


def test_R07_the_keys_of_v1_mirror_those_of_v2(http: httpx.Client) -> None:
    body = http.get("/api/currentsettings").json()
    assert [each["model_name"] for each in body["models_available"]] == [
        each["name"] for each in body["models_available"]
    ]
    assert body["deepspeed_status"] == body["deepspeed_enabled"]
    assert body["low_vram_status"] == body["lowvram_enabled"]
    assert type(body["finetuned_model"]) is bool


def test_R33_status_is_answered_while_others_speak(
    held: tuple[Live, HeldHome], until: Callable[[Callable[[], object]], None]
) -> None:
    live, home = held
    form = {"text_input": "one hold two", "character_voice_gen": "low"}
    answers: list[httpx.Response] = []
    speaking = threading.Thread(
        target=lambda: answers.append(
            httpx.post(f"{live.url}/api/tts-generate", data=form, timeout=60)
        )
    )
    speaking.start()
    until(lambda: httpx.get(f"{live.url}/api/requests", timeout=60).json()["requests"])
    for path in POLLED * 3:
        assert httpx.get(live.url + path, timeout=60).status_code == 200
    assert answers == []
    home.let_speak()
    speaking.join()
    assert answers[0].json()["status"] == "generate-success"


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8000", "null", "chrome-extension://abc"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/api/stop-generation"),
        ("POST", "/api/tts-generate"),
        ("POST", "/api/previewvoice/"),
        ("GET", "/audio/missing.wav"),
        ("GET", "/v1/models"),
    ],
)
def test_R34_pages_of_any_origin_may_ask_with_any_header(
    http: httpx.Client, origin: str, method: str, path: str
) -> None:
    asked = {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": "cache-control, authorization, x-stainless-lang",
    }
    preflight = http.options(path, headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] in ("*", origin)
    allowed = preflight.headers["access-control-allow-headers"].lower()
    assert all(name in allowed for name in ("cache-control", "authorization", "x-stainless-lang"))
    assert method in preflight.headers["access-control-allow-methods"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/ready", 200),
        ("POST", "/api/tts-generate", 422),
        ("GET", "/api/tts-generate-streaming?text=&voice=&language=&output_file=x", 400),
        ("GET", "/audio/missing.wav", 404),
        ("GET", "/nowhere", 404),
    ],
)
def test_R34_errors_and_files_may_be_read_from_any_origin(
    http: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = http.request(method, path, headers={"origin": "null"})
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] in ("*", "null")


def test_R35_the_root_answers(http: httpx.Client) -> None:
    assert http.get("/").status_code == 200
