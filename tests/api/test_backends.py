"""`POST /API/…`: the backends API, and what goes wrong in a backend as its callers see it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hearing import hear

from alltalk.app import create_app
from alltalk.home import Home
from alltalk.service import SpeechService
from alltalk.serving.backend import Timing

SECRET = "\t<secret>"
FIELDS = [
    *("type", "status", "id", "settings", "modcount", "features", "enabled", "title"),
    *("max_usages", "seconds_since_used", "time_since_used", "can_load_models"),
]
"""Of a backend, in the order that clients know."""
BROKEN = 'def load(folder, model, place, settings):\n    raise RuntimeError("no weights today")\n'
PRINTS = """
print("imported")
from alltalk.engines.tone.engine import load as load_tone

def load(folder, model, place, settings):
    print("loading " * 1000)
    tone = load_tone(folder, "tone-b", place, settings)
    speak = tone.synthesize
    def synthesize(utterance):
        print("speaking " * 1000, flush=True)
        return speak(utterance)
    tone.synthesize = synthesize
    return tone
"""
FROM_A_FILE = """
from alltalk.engines.tone.engine import load as load_tone

def load(folder, model, place, settings):
    (folder / "models" / model / "w.bin").read_bytes()
    return load_tone(folder, "tone-b", place, settings)
"""
WAITS = """
import time
from alltalk.engines.tone.engine import load as load_tone

def load(folder, model, place, settings):
    while not (folder / "go").exists():
        time.sleep(0.02)
    return load_tone(folder, "tone-b", place, settings)
"""
ENGINES = {
    "broken": (BROKEN, {}),
    "prints": (PRINTS, {}),
    "waits": (WAITS, {}),
    "file": (FROM_A_FILE, {"alltalk": {"models": {"files": ["w.bin"]}}}),
}
Call = Callable[..., Awaitable[Any]]


@pytest.fixture
async def app(tmp_path: Path) -> AsyncGenerator[FastAPI]:
    """As everywhere, with engines of the home's own, saved backends, and short pauses."""
    for name, (code, sections) in ENGINES.items():
        folder = tmp_path / "engines" / name
        folder.mkdir(parents=True)
        (folder / "engine.py").write_text(code)
        (folder / "model_settings.json").write_text(json.dumps(sections))
    saved = {"current": 0, "backends": [{"id": 0, "type": "tone"}]}
    (tmp_path / "backends.json").write_text(json.dumps(saved))
    app = create_app(Home(tmp_path))
    pool = app.state.service.pool
    pool.retime(Timing(retry_pause_s=0.01, ready_wait_s=60.0))
    async with app.router.lifespan_context(app):
        await pool.ready()
        yield app


@pytest.fixture
async def call(client: httpx.AsyncClient) -> Call:
    """One call in a session: the answer's content."""
    session = (await client.post("/API/GetNewSession", json={})).json()["session_id"]

    async def call(route: str, **fields: Any) -> Any:
        content = json.dumps({"session_id": session, **fields})
        answer = await client.post(f"/API/{route}", content=content)
        assert answer.status_code == 200
        return answer.json()

    return call


async def status(call: Call, id: int, *wanted: str) -> dict[str, Any]:
    """The backend, once its status is one of `wanted`."""
    async with asyncio.timeout(60):
        while True:
            shown: dict[str, Any] = (await call("ListBackends"))[str(id)]
            if shown["status"] in wanted:
                return shown
            await asyncio.sleep(0.005)


async def speak(client: httpx.AsyncClient, text: str = "one two", **fields: Any) -> httpx.Response:
    body = {"model": "tts-1", "input": text, "voice": "low", "response_format": "wav", **fields}
    return await client.post("/v1/audio/speech", json=body)


async def heard(client: httpx.AsyncClient, **fields: Any) -> list[int]:
    answer = await speak(client, **fields)
    assert answer.status_code == 200, answer.text
    return hear(answer.content).pitches


# Sessions, names, rights


async def test_a_session_is_asked_for_once_and_told_as_clients_know_it(
    client: httpx.AsyncClient,
) -> None:
    session = (await client.post("/API/GetNewSession")).json()
    keys = {"session_id", "user_id", "output_append_user", "version", "server_id"}
    assert session.keys() == keys
    by_header = {"x-session-id": session["session_id"]}
    assert "0" in (await client.post("/API/ListBackends", headers=by_header)).json()


@pytest.mark.parametrize("sent", ["", "UNKNOWN", 7, None, ["a"]])
async def test_without_a_session_of_ours_the_answer_is_401(
    client: httpx.AsyncClient, sent: Any
) -> None:
    answer = await client.post("/API/ListBackends", json={"session_id": sent})
    assert answer.status_code == 401
    assert answer.json()["error_id"] == "invalid_session_id"


@pytest.mark.parametrize("route", ["ListBackends", "listbackends", "LISTBACKENDS"])
async def test_route_names_are_found_in_any_letter_case(call: Call, route: str) -> None:
    assert "0" in await call(route)


async def test_an_unknown_route_is_told_as_such(call: Call) -> None:
    assert (await call("MakeCoffee"))["error_id"] == "bad_route"


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe", b'{"backend_id": "x"}'])
async def test_a_body_that_cannot_be_read_is_an_error_with_status_200(
    client: httpx.AsyncClient, content: bytes
) -> None:
    session = (await client.post("/API/GetNewSession")).json()["session_id"]
    headers = {"x-session-id": session}
    answer = await client.post("/API/DeleteBackend", content=content, headers=headers)
    assert (answer.status_code, list(answer.json())) == (200, ["error"])


async def test_who_is_not_on_this_machine_has_no_rights_without_a_key(app: FastAPI) -> None:
    transport = httpx.ASGITransport(app, client=("192.168.1.9", 9999))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as far:
        session = (await far.post("/API/GetNewSession")).json()["session_id"]
        for route in ("ListBackends", "AddNewBackend", "FreeBackendMemory"):
            answer = await far.post(f"/API/{route}", json={"session_id": session})
            assert (answer.status_code, answer.json()["error_id"]) == (200, "bad_permissions")


# Listing


async def test_a_backend_has_the_fields_that_clients_know_in_their_order(call: Call) -> None:
    listed = await call("ListBackends")
    assert list(listed) == ["0"]
    backend = listed["0"]
    assert list(backend)[: len(FIELDS)] == FIELDS
    assert (backend["id"], backend["type"], backend["status"]) == (0, "tone", "running")
    assert (backend["modcount"], backend["time_since_used"]) == (0, "Never")
    assert "streaming" in backend["features"]
    assert "error" not in backend
    assert "current_model" not in backend
    assert (await call("ListBackends", full_data=True))["0"]["current_model"] == "tone-a"


async def test_a_type_tells_its_settings_as_clients_know_them(call: Call) -> None:
    types = {each["id"]: each for each in (await call("ListBackendTypes"))["list"]}
    assert {"espeak", "tone", "remote"} <= types.keys()
    settings = {each["name"]: each for each in types["tone"]["settings"]}
    keys = "name type description placeholder is_secret values value_names"
    assert {" ".join(each) for each in settings.values()} == {keys}
    assert {each["type"] for each in settings.values()} == {
        *("text", "integer", "decimal", "boolean", "dropdown")
    }
    assert settings["process"]["values"] == ["auto", "here", "worker"]
    assert settings["step_s"]["values"] is None


# Changes


async def test_one_that_is_added_runs_beside_the_first_and_under_the_next_id(call: Call) -> None:
    added = await call("AddNewBackend", type_id="tone")
    assert (added["id"], added["current"], added["enabled"]) == (1, False, True)
    assert added["status"] in ("waiting", "loading")
    assert (await status(call, 1, "running"))["type"] == "tone"
    await call("DeleteBackend", backend_id=1)
    assert (await call("AddNewBackend", type_id="tone"))["id"] == 2


async def test_each_change_is_saved_at_once(call: Call, tmp_path: Path) -> None:
    def saved() -> list[tuple[int, str, bool]]:
        content = json.loads((tmp_path / "backends.json").read_text())
        return [(each["id"], each["title"], each["enabled"]) for each in content["backends"]]

    await call("AddNewBackend", type_id="tone")
    assert saved() == [(0, "", True), (1, "", True)]
    await call("EditBackend", backend_id=1, title="Second", settings={})
    await call("ToggleBackend", backend_id=1, enabled=False)
    assert saved() == [(0, "", True), (1, "Second", False)]
    await call("DeleteBackend", backend_id=1)
    assert saved() == [(0, "", True)]


async def test_an_edit_changes_what_it_names_and_counts(
    call: Call, client: httpx.AsyncClient
) -> None:
    edited = await call("EditBackend", backend_id=0, title="T", settings={"step_s": 0.001})
    assert (edited["title"], edited["modcount"]) == ("T", 1)
    edited = await call("EditBackend", backend_id=0, settings={"model": "tone-b"})
    assert (edited["title"], edited["modcount"]) == ("T", 2)
    assert (edited["settings"]["step_s"], edited["settings"]["model"]) == (0.001, "tone-b")
    assert await heard(client) == [440, 440]


@pytest.mark.parametrize(
    "body",
    [
        {"settings": {"slots": 3}},
        {"raw_inp": {"settings": {"slots": 3}}},
        {"raw_inp": {"slots": 3}},
    ],
)
async def test_settings_may_be_sent_in_the_ways_that_clients_send_them(
    call: Call, body: dict[str, Any]
) -> None:
    assert (await call("EditBackend", backend_id=0, **body))["settings"]["slots"] == 3


@pytest.mark.parametrize("body", [{}, {"settings": [1]}, {"raw_inp": {}}, {"raw_inp": "a"}])
async def test_an_edit_without_settings_is_told_so(call: Call, body: dict[str, Any]) -> None:
    assert await call("EditBackend", backend_id=0, **body) == {"error": "Missing settings."}


async def test_a_backend_can_get_another_id_unless_it_is_taken(call: Call) -> None:
    await call("AddNewBackend", type_id="tone")
    taken = await call("EditBackend", backend_id=0, settings={}, new_id=1)
    assert taken == {"error": "Backend ID 1 is already in use."}
    moved = await call("EditBackend", backend_id=0, settings={}, new_id=7)
    assert (moved["id"], moved["current"]) == (7, True)
    assert list(await call("ListBackends")) == ["1", "7"]
    assert (await call("AddNewBackend", type_id="tone"))["id"] == 8


async def test_a_secret_is_not_told_and_stays_when_it_is_sent_back(
    call: Call, service: SpeechService
) -> None:
    id = (await call("AddNewBackend", type_id="remote"))["id"]
    remote = {"base_url": "http://127.0.0.1:1", "api_key": "sk-1"}
    settings = (await call("EditBackend", backend_id=id, settings=remote))["settings"]
    assert settings == {"base_url": "http://127.0.0.1:1", "api_key": SECRET, "model": ""}
    settings = {**settings, "base_url": "http://127.0.0.1:2"}
    settings = (await call("EditBackend", backend_id=id, settings=settings))["settings"]
    assert settings["api_key"] == SECRET
    assert service.pool.spec(id).settings["api_key"] == "sk-1"
    settings = (await call("EditBackend", backend_id=id, settings={"api_key": ""}))["settings"]
    assert settings["api_key"] == ""


async def test_a_toggle_disables_and_enables(call: Call, client: httpx.AsyncClient) -> None:
    assert await call("ToggleBackend", backend_id=0, enabled=True) == {"result": "No change."}
    assert await call("ToggleBackend", backend_id=0, enabled=False) == {"result": "Success."}
    assert (await status(call, 0, "disabled"))["enabled"] is False
    assert (await client.get("/api/ready")).text == "Unloaded"
    assert (await speak(client)).status_code == 503
    assert await call("ToggleBackend", backend_id=0, enabled=True) == {"result": "Success."}
    assert await heard(client) == [220, 220]


async def test_a_restart_counts_those_that_were_loaded_again(call: Call) -> None:
    await call("AddNewBackend", type_id="tone")
    assert await call("RestartBackends") == {"result": "Success.", "count": 2}
    assert await call("RestartBackends", backend=1) == {"result": "Success.", "count": 1}
    assert await call("RestartBackends", backend="1") == {"result": "Success.", "count": 1}
    assert await call("RestartBackends", backend=99) == {"result": "Success.", "count": 0}
    await call("ToggleBackend", backend_id=1, enabled=False)
    assert await call("RestartBackends", backend=1) == {"result": "Success.", "count": 0}


async def test_freed_memory_is_counted_and_the_next_utterance_wakes_the_engine(
    call: Call, client: httpx.AsyncClient
) -> None:
    assert await call("FreeBackendMemory") == {"result": True, "count": 1}
    resting = (await call("ListBackends"))["0"]
    assert (resting["status"], resting["resting"]) == ("running", True)
    assert await call("FreeBackendMemory") == {"result": False, "count": 0}
    assert await call("FreeBackendMemory", backend=99) == {"result": False, "count": 0}
    assert await heard(client) == [220, 220]
    assert (await call("ListBackends"))["0"]["resting"] is False


async def test_the_last_backend_can_be_deleted_and_another_takes_its_place(
    call: Call, client: httpx.AsyncClient
) -> None:
    assert await call("DeleteBackend", backend_id=0) == {"result": "Deleted."}
    assert await call("DeleteBackend", backend_id=0) == {"result": "Already didn't exist."}
    assert await call("ListBackends") == {}
    assert (await client.get("/api/ready")).text == "Unloaded"
    assert (await speak(client)).status_code == 503
    spoken = await client.post("/api/tts-generate", data={"text_input": "one"})
    assert (spoken.status_code, spoken.json()["status"]) == (503, "generate-failure")
    for path in ("/api/voices", "/v1/models", "/v1/audio/voices"):
        assert (await client.get(path)).status_code == 200
    await call("AddNewBackend", type_id="espeak")
    assert (await status(call, 1, "running"))["current"] is True
    assert (await speak(client, voice="alloy")).status_code == 200


async def test_another_backend_can_be_made_current(call: Call, client: httpx.AsyncClient) -> None:
    await call("AddNewBackend", type_id="tone")
    await call("EditBackend", backend_id=1, settings={"model": "tone-b"})
    assert await call("MakeBackendCurrent", backend_id=1) == {"result": "Success."}
    await status(call, 1, "running")
    assert await heard(client) == [440, 440]


# What is wrong in a call

UNKNOWN = {
    "EditBackend": {"backend_id": 5, "settings": {}},
    "ToggleBackend": {"backend_id": 5, "enabled": True},
    "MakeBackendCurrent": {"backend_id": 5},
}


@pytest.mark.parametrize(("route", "fields"), UNKNOWN.items())
async def test_an_unknown_id_is_told(call: Call, route: str, fields: dict[str, Any]) -> None:
    assert await call(route, **fields) == {"error": "Invalid backend ID 5"}


@pytest.mark.parametrize("type", ["gone", "", "../tone", "Tone", "x" * 5000])
async def test_an_unknown_type_is_told_and_nothing_is_added(call: Call, type: str) -> None:
    answer = await call("AddNewBackend", type_id=type)
    assert answer == {"error": f"Invalid backend type: {type[:80]}"}
    assert list(await call("ListBackends")) == ["0"]


WRONG = {
    "text for a number": {"settings": {"step_s": "fast"}},
    "NaN": {"settings": {"step_s": "nan"}},
    "unknown setting": {"settings": {"colour": "red"}},
    "unknown model": {"settings": {"model": "tone-z"}},
    "negative threads": {"settings": {"threads": -1}},
    "number as title": {"settings": {}, "title": 5},
    "endless title": {"settings": {}, "title": "t" * 300},
    "half a letter": {"settings": {}, "title": "\ud800"},
    "truth as id": {"settings": {}, "new_id": True},
    "word as id": {"settings": {}, "new_id": "seven"},
}


@pytest.mark.parametrize("fields", WRONG.values(), ids=WRONG.keys())
async def test_what_does_not_fit_is_told_and_changes_nothing(
    call: Call, client: httpx.AsyncClient, fields: dict[str, Any]
) -> None:
    before = (await call("ListBackends"))["0"]
    assert (await call("EditBackend", backend_id=0, **fields))["error"]
    assert (await call("ListBackends"))["0"] == before
    assert await heard(client) == [220, 220]


# What goes wrong in a backend


async def test_an_engine_that_cannot_be_loaded_says_why_and_the_others_speak(
    call: Call, client: httpx.AsyncClient
) -> None:
    await call("AddNewBackend", type_id="broken")
    errored = await status(call, 1, "errored")
    assert "no weights today" in errored["problem"]
    assert await heard(client) == [220, 220]
    assert await call("RestartBackends", backend=1) == {"result": "Success.", "count": 1}
    assert (await status(call, 1, "errored"))["problem"]


async def test_an_engine_that_hangs_while_it_loads_can_be_given_up(
    call: Call, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    await call("AddNewBackend", type_id="waits")
    await status(call, 1, "loading")
    assert await heard(client) == [220, 220]
    assert await call("ToggleBackend", backend_id=1, enabled=False) == {"result": "Success."}
    assert (await status(call, 1, "disabled"))["enabled"] is False
    (tmp_path / "engines/waits/go").touch()
    await call("ToggleBackend", backend_id=1, enabled=True)
    await status(call, 1, "running")


@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("word", ["boom", "nan"])
async def test_an_engine_that_fails_in_mid_utterance_fails_that_request_alone(
    call: Call, client: httpx.AsyncClient, word: str, slots: int
) -> None:
    settings = {"faults": True, "slots": slots, "step_s": 0.001}
    await call("EditBackend", backend_id=0, settings=settings)
    await status(call, 0, "running")
    text = f"one {word} three"
    bad, *good = await asyncio.gather(
        client.post("/api/tts-generate", data={"text_input": text}),
        *(heard(client, voice=voice) for voice in ("low", "high", "mid")),
    )
    assert (bad.status_code, bad.json()["status"]) == (500, "generate-failure")
    assert good == [[220, 220], [880, 880], [440, 440]]
    assert (await call("ListBackends"))["0"]["status"] == "running"


async def test_a_worker_may_print_what_it_likes(call: Call, client: httpx.AsyncClient) -> None:
    await call("AddNewBackend", type_id="prints")
    await call("EditBackend", backend_id=1, settings={"process": "worker"})
    await status(call, 1, "running")
    assert await heard(client, model="prints") == [440, 440]


async def test_a_model_that_vanishes_speaks_on_until_it_is_loaded_again(
    call: Call, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    weights = tmp_path / "engines/file/models/small/w.bin"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"w")
    id = (await call("AddNewBackend", type_id="file"))["id"]
    running = await status(call, id, "running", "errored")
    assert running["status"] == "running", running
    weights.unlink()
    assert await heard(client, model="file") == [440, 440]
    await call("RestartBackends", backend=id)
    assert (await status(call, id, "errored"))["problem"]
    assert await heard(client) == [220, 220]


async def test_a_saved_backend_whose_engine_is_gone_is_listed_and_can_be_deleted(
    tmp_path: Path,
) -> None:
    saved = [{"id": 0, "type": "tone"}, {"id": 4, "type": "gone", "settings": {"key": "k"}}]
    (tmp_path / "backends.json").write_text(json.dumps({"current": 0, "backends": saved}))
    app = create_app(Home(tmp_path))
    app.state.service.pool.retime(Timing(retry_pause_s=0.01))
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 9999))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        session = (await client.post("/API/GetNewSession")).json()["session_id"]

        async def call(route: str, **fields: Any) -> Any:
            body = {"session_id": session, **fields}
            return (await client.post(f"/API/{route}", json=body)).json()

        errored = await status(call, 4, "errored")
        assert "gone" in errored["problem"]
        assert "key" not in errored["settings"]
        assert await call("DeleteBackend", backend_id=4) == {"result": "Deleted."}
        assert await heard(client) == [220, 220]


async def test_how_long_a_change_waits_for_running_requests_is_a_setting(
    app: FastAPI, service: SpeechService
) -> None:
    assert service.pool.timing.drain_s == 10
    await app.state.control.change_settings({"server.drain_s": 60})
    assert service.pool.timing.drain_s == 60
