"""Changing the model, the engine, their modes, OpenAI's voices and the settings."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hearing import hear
from held import HeldEngine

from alltalk.engines.tone.plain import Tone
from alltalk.errors import BadValue, LoadFailed
from alltalk.service import SpeechService
from alltalk.serving.backend import BackendView, State, Timing
from alltalk.serving.backend_store import BackendSpec

SIX = ("alloy", "echo", "fable", "nova", "onyx", "shimmer")
EMPTY_JSON = {"content-type": "application/json"}


async def heard(client: httpx.AsyncClient, voice: str = "low") -> list[int]:
    body = {"text_input": "one two", "character_voice_gen": voice}
    answer = await client.post("/api/tts-generate", data=body)
    assert answer.status_code == 200, answer.text
    return hear((await client.get(answer.json()["output_file_url"])).content).pitches


async def current(client: httpx.AsyncClient) -> dict[str, object]:
    return (await client.get("/api/currentsettings")).json()


@pytest.mark.parametrize("place", ["params", "data", "json"])
async def test_another_model_is_loaded_wherever_its_name_stands(
    client: httpx.AsyncClient, place: str
) -> None:
    answer = await client.post("/api/reload", **{place: {"tts_method": "tone-b"}})
    assert (answer.status_code, answer.json()) == (200, {"status": "model-success"})
    assert (await current(client))["current_model_loaded"] == "tone-b"
    assert await heard(client) == [440, 440]


@pytest.mark.parametrize("query", ["?tts_method=nothing", "?tts_method=", "", "?tts_method=a%00b"])
async def test_a_model_that_is_not_there_is_told_and_the_old_one_speaks(
    client: httpx.AsyncClient, query: str
) -> None:
    answer = await client.post(f"/api/reload{query}")
    assert (answer.status_code, answer.json()["status"]) == (200, "model-failure")
    assert answer.json()["message"]
    assert await heard(client) == [220, 220]


async def test_a_second_change_at_once_is_told_so_and_the_server_speaks_meanwhile(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads, may_load = threading.Event(), threading.Event()

    def load(*arguments: Any) -> Tone:
        loads.set()
        assert may_load.wait(60)
        return Tone(*arguments)

    monkeypatch.setattr("alltalk.engines.tone.engine.Tone", load)
    first = asyncio.ensure_future(client.post("/api/reload?tts_method=tone-b"))
    assert await asyncio.to_thread(loads.wait, 60)
    for path in ("/api/reload?tts_method=tone-a", "/api/reload?tts_method=nothing"):
        second = await client.post(path)
        assert second.json() == {"status": "model-is currently changing"}
    assert (await client.get("/api/ready")).content == b"Ready"
    assert await heard(client) == [220, 220]
    assert not first.done()
    may_load.set()
    assert (await first).json() == {"status": "model-success"}
    assert await heard(client) == [440, 440]


async def test_a_request_ends_on_the_model_that_it_began_with(
    client: httpx.AsyncClient, service: SpeechService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.pool.retime(Timing(drain_s=3600))
    held = HeldEngine(monkeypatch)
    book = {"text_input": "word " * 30, "character_voice_gen": "low"}
    speaking = asyncio.ensure_future(client.post("/api/tts-generate", data=book))
    await until(lambda: service.pool.backends[0].usages)
    loading = asyncio.ensure_future(client.post("/api/reload?tts_method=tone-b"))
    await until(lambda: service.pool.backends[0].current_model == "tone-b")
    assert (await current(client))["current_model_loaded"] == "tone-b"
    held.let_speak()
    assert (await loading).json()["status"] == "model-success"
    url = (await speaking).json()["output_file_url"]
    assert set(hear((await client.get(url)).content).pitches) == {220}


async def test_another_engine_is_loaded_and_speaks(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/enginereload?engine=espeak")
    assert (answer.status_code, answer.json()) == (200, {"status": "engine-success"})
    assert (await current(client))["current_engine_loaded"] == "espeak"
    assert await heard(client, "")
    assert (await client.post("/api/enginereload", data={"engine": "tone"})).json() == {
        "status": "engine-success"
    }
    assert await heard(client) == [220, 220]


@pytest.mark.parametrize("engine", ["", "nothing", "../tone"])
async def test_an_unknown_engine_is_told_in_v2s_words(
    client: httpx.AsyncClient, engine: str
) -> None:
    answer = await client.post("/api/enginereload", params={"engine": engine})
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "error", "message": "Invalid TTS engine specified"},
    )


@pytest.mark.parametrize(("on", "off"), [("True", "False"), ("true", "false"), ("1", "OFF")])
async def test_low_vram_is_switched_and_the_model_still_speaks(
    client: httpx.AsyncClient, on: str, off: str
) -> None:
    async def switch(value: str) -> dict[str, str]:
        path = f"/api/lowvramsetting?new_low_vram_value={value}"
        return (await client.post(path, headers=EMPTY_JSON)).json()

    assert await switch(off) == {"status": "success", "message": "LowVRAM is already disabled"}
    assert await switch(on) == {"status": "lowvram-success", "message": ""}
    assert (await current(client))["lowvram_enabled"] is True
    assert await heard(client) == [220, 220]
    assert await switch(on) == {"status": "success", "message": "LowVRAM is already enabled"}
    assert await switch(off) == {"status": "lowvram-success", "message": ""}


async def test_deepspeed_is_switched_where_it_is_installed(
    client: httpx.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = await client.post("/api/deepspeed?new_deepspeed_value=True", headers=EMPTY_JSON)
    assert missing.json()["status"] == "error"
    assert "pip install" in missing.json()["message"]
    (tmp_path / "packages" / "deepspeed").mkdir(parents=True)
    (tmp_path / "packages" / "deepspeed" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "packages")
    done = await client.post("/api/deepspeed?new_deepspeed_value=True", headers=EMPTY_JSON)
    assert done.json() == {"status": "deepspeed-success"}
    assert (await current(client))["deepspeed_enabled"] is True
    again = await client.post("/api/deepspeed", data={"new_deepspeed_value": "true"})
    assert again.json() == {"status": "success", "message": "DeepSpeed is already enabled"}


async def test_deepspeed_that_was_asked_for_and_does_not_run_can_be_turned_off(
    client: httpx.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "packages" / "deepspeed").mkdir(parents=True)
    (tmp_path / "packages" / "deepspeed" / "__init__.py").touch()
    with monkeypatch.context() as installed:
        installed.syspath_prepend(tmp_path / "packages")
        await client.post("/api/deepspeed?new_deepspeed_value=True", headers=EMPTY_JSON)
    assert (await current(client))["deepspeed_enabled"] is False
    off = await client.post("/api/deepspeed?new_deepspeed_value=False", headers=EMPTY_JSON)
    assert off.json() == {"status": "deepspeed-success"}
    again = await client.post("/api/deepspeed?new_deepspeed_value=False", headers=EMPTY_JSON)
    assert again.json() == {"status": "success", "message": "DeepSpeed is already disabled"}


async def test_an_engine_without_a_mode_says_so(client: httpx.AsyncClient) -> None:
    await client.post("/api/enginereload?engine=espeak")
    for path in ("deepspeed?new_deepspeed_value=1", "lowvramsetting?new_low_vram_value=1"):
        answer = await client.post(f"/api/{path}")
        assert (answer.status_code, answer.json()["status"]) == (200, "error")
        assert answer.json()["message"]


@pytest.mark.parametrize("path", ["/api/deepspeed", "/api/lowvramsetting"])
@pytest.mark.parametrize("query", ["", "?new_deepspeed_value=maybe&new_low_vram_value=maybe"])
async def test_a_value_that_is_missing_or_no_bool_is_422(
    client: httpx.AsyncClient, path: str, query: str
) -> None:
    answer = await client.post(path + query)
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], list)


async def test_openais_names_mean_other_voices_at_once_and_are_saved(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    answer = await client.put("/api/openai-voicemap", json=dict.fromkeys(SIX, "tone-500"))
    assert answer.json() == {"message": "OpenAI voice mappings updated successfully"}
    body = {"input": "one", "voice": "nova", "response_format": "wav"}
    spoken = await client.post("/v1/audio/speech", json=body)
    assert hear(spoken.content).pitches == [500]
    saved = json.loads((tmp_path / "engines" / "tone" / "model_settings.json").read_bytes())
    assert saved["openai_voices"]["nova"] == "tone-500"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({name: "low" for name in SIX[1:]}, 422),
        ({**dict.fromkeys(SIX, "low"), "nova": 7}, 422),
        ({**dict.fromkeys(SIX, "low"), "nova": "nobody"}, 400),
        ([], 422),
    ],
)
async def test_a_wrong_voice_map_changes_nothing(
    client: httpx.AsyncClient, body: object, status: int
) -> None:
    assert (await client.put("/api/openai-voicemap", json=body)).status_code == status
    spoken = await client.post(
        "/v1/audio/speech", json={"input": "one", "voice": "nova", "response_format": "wav"}
    )
    assert hear(spoken.content).pitches == [880]


async def test_changed_settings_and_new_voices_are_in_force_after_reload_config(
    client: httpx.AsyncClient, service: SpeechService, tmp_path: Path
) -> None:
    settings = json.loads((tmp_path / "confignew.json").read_bytes())
    settings |= {"output_folder": "elsewhere", "transcode_audio_format": "flac"}
    (tmp_path / "confignew.json").write_text(json.dumps(settings))
    tone = tmp_path / "engines" / "tone"
    tone.mkdir(parents=True, exist_ok=True)
    (tone / "model_settings.json").write_text('{"settings": {"def_character_voice": "tone-600"}}')
    (tmp_path / "voices" / "Zoë.wav").write_bytes(b"")
    answer = await client.get("/api/reload_config")
    assert (answer.status_code, answer.content) == (200, b"Config file reloaded successfully")
    assert "Zoë.wav" in (await client.get("/api/voices")).json()["voices"]
    made = (await client.post("/api/tts-generate", data={"text_input": "one"})).json()
    path = Path(made["output_file_path"])
    assert (path.parent, path.suffix) == (tmp_path / "elsewhere", ".flac")
    assert hear((await client.get(made["output_file_url"])).content).pitches == [600]


async def test_settings_that_do_not_hold_are_an_error_and_the_old_ones_stay(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    (tmp_path / "confignew.json").write_text('{"api_def": {"api_port_number": "many"}}')
    answer = await client.get("/api/reload_config")
    assert answer.status_code == 500
    assert "api_port_number" in answer.json()["message"]
    assert await heard(client) == [220, 220]


async def test_an_engines_own_setting_has_it_loaded_again_and_nobody_notices(
    client: httpx.AsyncClient, service: SpeechService, tmp_path: Path
) -> None:
    tone = tmp_path / "engines" / "tone"
    tone.mkdir(parents=True, exist_ok=True)
    (tone / "model_settings.json").write_text('{"settings": {"slots": 3}}')
    await client.get("/api/reload_config")
    while service.pool.backends[0].max_usages != 3:
        assert await heard(client) == [220, 220]


async def test_changed_engine_settings_are_kept_and_the_engine_is_loaded_with_them(
    app: FastAPI, client: httpx.AsyncClient, service: SpeechService, tmp_path: Path
) -> None:
    change, file = app.state.control.change_engine_settings, tmp_path / "engines/tone"
    await service.pool.add(BackendSpec(0, "tone", settings={"slots": 2}))
    assert await change("tone", {"slots": "4", "step_s": 0}) == 2
    assert json.loads((file / "model_settings.json").read_bytes())["settings"]["slots"] == 4
    assert service.pool.backends[0].max_usages == 4
    await until(lambda: service.pool.spec(1).settings["slots"] == 4)  # it had a value of its own
    assert await change("tone", {"def_character_voice": "mid"}) == 0
    assert await heard(client, voice="") == [440, 440]


async def test_a_change_of_settings_does_not_wait_for_those_who_speak_on_other_backends(
    app: FastAPI,
    client: httpx.AsyncClient,
    service: SpeechService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service.pool.retime(Timing(drain_s=3600))
    await service.pool.add(BackendSpec(0, "tone"))
    await until(lambda: len(running(service)) == 2)
    engine = HeldEngine(monkeypatch)
    talks = [asyncio.create_task(heard(client)) for _ in range(2)]
    await until(lambda: [each.usages for each in running(service)] == [1, 1])
    async with asyncio.timeout(60):
        assert await app.state.control.change_engine_settings("tone", {"slots": 4}) == 2
    assert [each.done() for each in talks] == [False, False]
    engine.let_speak()
    assert await asyncio.gather(*talks) == [[220, 220], [220, 220]]
    await until(lambda: [each.max_usages for each in running(service)] == [4, 4])


async def test_a_backend_that_goes_while_settings_change_does_not_undo_them(
    app: FastAPI, service: SpeechService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await service.pool.add(BackendSpec(0, "tone", settings={"slots": 2}))
    await until(lambda: len(running(service)) == 2)
    loads, may_load = threading.Event(), threading.Event()

    def load(*arguments: Any) -> Tone:
        loads.set()
        assert may_load.wait(60)
        return Tone(*arguments)

    monkeypatch.setattr("alltalk.engines.tone.engine.Tone", load)
    change = asyncio.create_task(app.state.control.change_engine_settings("tone", {"slots": 4}))
    assert await asyncio.to_thread(loads.wait, 60)
    await service.pool.remove(1)
    may_load.set()
    await change
    saved = json.loads((tmp_path / "engines/tone/model_settings.json").read_bytes())
    assert (saved["settings"]["slots"], running(service)[0].max_usages) == (4, 4)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def running(service: SpeechService) -> list[BackendView]:
    return [each for each in service.pool.backends if each.status is State.RUNNING]


async def test_engine_settings_that_do_not_hold_change_nothing(
    app: FastAPI,
    client: httpx.AsyncClient,
    service: SpeechService,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change, loaded = app.state.control.change_engine_settings, service.pool.offers
    for patch in ({"slots": 0}, {"slots": "many"}, {"colour": "red"}):
        with pytest.raises(BadValue):
            await change("tone", patch)

    def fails(*arguments: Any) -> Tone:
        raise LoadFailed("No room for that many.")

    monkeypatch.setattr("alltalk.engines.tone.engine.load", fails)
    with pytest.raises(LoadFailed, match="No room"):
        await change("tone", {"slots": 200})
    assert service.pool.offers[0] is loaded[0]
    saved = json.loads((tmp_path / "engines/tone/model_settings.json").read_bytes())
    assert saved["settings"]["slots"] == 1
    assert await heard(client) == [220, 220]


async def test_a_file_that_is_changed_is_followed_without_being_asked(
    client: httpx.AsyncClient, app: FastAPI, tmp_path: Path
) -> None:
    settings = json.loads((tmp_path / "confignew.json").read_bytes())
    settings["api_def"]["api_max_characters"] = 5
    (tmp_path / "confignew.json").write_text(json.dumps(settings))
    await app.state.control.follow()
    answer = await client.post("/api/tts-generate", data={"text_input": "one two"})
    assert (answer.status_code, answer.json()["status"]) == (400, "generate-failure")
