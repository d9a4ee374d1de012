"""Loading where something is wrong with the machine: no memory, or a folder nobody may write to."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from live import live_server
from read_only import SCRIPT, content
from tiny_models import add_tiny

from alltalk.home import Home
from alltalk.loading import missing_imports
from alltalk.registry import Registry


def add_model(home: Path, engine: str) -> None:
    """A tiny model. Skips where its engine cannot be imported."""
    if missing := missing_imports(Registry(Home(home)).manifest(engine)):
        pytest.skip(f"{engine} needs {', '.join(missing)}")
    add_tiny(home, engine)


@pytest.mark.parametrize("engine", ["piper", "vits", "xtts"])
def test_a_model_in_a_folder_without_write_permission_is_loaded_and_left_alone(tmp_path, engine):
    add_model(tmp_path, engine)
    before = content(tmp_path)
    run = subprocess.run(
        [sys.executable, "-W", "ignore", SCRIPT, str(tmp_path), engine],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout.split()[-1]) > 1000
    assert content(tmp_path) == before


def test_a_model_that_does_not_fit_into_memory_leaves_a_server_that_speaks(tmp_path):
    add_model(tmp_path, "xtts")
    file = tmp_path / "engines/xtts/models/tiny/config.json"
    config = json.loads(file.read_text("utf-8"))
    fitting = dict(config["model_args"])
    config["model_args"]["gpt_max_audio_tokens"] = 10**14
    file.write_text(json.dumps(config), encoding="utf-8")
    with live_server(tmp_path) as server, httpx.Client(base_url=server.url, timeout=120) as client:

        def change(engine: str) -> dict[str, str]:
            return client.post("/api/enginereload", params={"engine": engine}).json()

        def speaks() -> bool:
            body = {"model": "tts-1", "voice": "alloy", "input": "We are all away."}
            answer = client.post("/v1/audio/speech", json={**body, "cache": False})
            return answer.status_code == 200 and len(answer.content) > 500

        def ask(route: str, **fields: Any) -> Any:
            return client.post(f"/API/{route}", json={"session_id": session, **fields}).json()

        def status(id: int, wanted: str) -> dict[str, Any]:
            """The backend once it is so, however long it takes to be."""
            deadline = time.monotonic() + 120
            while (backend := ask("ListBackends")[str(id)])["status"] != wanted:
                assert time.monotonic() < deadline, backend
                time.sleep(0.1)
            return backend

        session = client.post("/API/GetNewSession").json()["session_id"]
        refused = change("xtts")
        assert refused["status"] == "error"
        assert "not enough memory" in refused["message"]
        assert speaks(), "as the engine that was there"
        added = ask("AddNewBackend", type_id="xtts")["id"]
        errored = status(added, "errored")
        assert "not enough memory" in errored["problem"]
        assert speaks(), "as the other backend"
        assert client.get("/api/currentsettings").json()["current_engine_loaded"] == "tone"
        config["model_args"] = fitting
        file.write_text(json.dumps(config), encoding="utf-8")
        assert ask("RestartBackends", backend=added)["count"] == 1
        assert status(added, "running")["problem"] == ""
        assert change("xtts") == {"status": "engine-success"}
        assert speaks()
