"""Loading where something is wrong with the machine: no memory, or a folder nobody may write to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from live import live_server
from tiny_models import add_tiny

from alltalk.home import Home
from alltalk.loading import missing_imports
from alltalk.registry import Registry


def add_model(home: Path, engine: str) -> None:
    """A tiny model. Skips where its engine cannot be imported."""
    if missing := missing_imports(Registry(Home(home)).manifest(engine)):
        pytest.skip(f"{engine} needs {', '.join(missing)}")
    add_tiny(home, engine)


SPEAK = """
import os, sys
from pathlib import Path
from alltalk.engine import BatchEngine, Place, Utterance, Voice
from alltalk.home import Home
from alltalk.registry import Registry

home, name = Path(sys.argv[1]), sys.argv[2]
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGING = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod")

def refuse(event, arguments):
    if event == "open":
        path, _, flags = arguments
        changes = isinstance(flags, int) and flags & WRITING
    else:
        path, changes = (arguments or (None,))[0], event in CHANGING
    if changes and isinstance(path, (str, bytes)) and Path(os.fsdecode(path)).is_relative_to(home):
        raise PermissionError(13, "Permission denied", path)

sys.addaudithook(refuse)
try:
    (home / "probe").write_text("")
    sys.exit("the folder can be written to")
except PermissionError:
    pass
registry = Registry(Home(home))
engine = registry.load(name, registry.models(name)[0], Place(), {})
voice = engine.voices()[0]
utterance = Utterance("We are all away.", voice, voice.language)
samples, done = 0, False
if isinstance(engine, BatchEngine):
    engine.open(engine.prepare(utterance))
    while not done:
        for event in engine.step():
            assert event.error is None, event.error
            samples += len(event.chunk.audio) if event.chunk else 0
            done |= event.done
else:
    samples = sum(len(chunk.audio) for chunk in engine.synthesize(utterance) if chunk)
print(samples)
"""


@pytest.mark.parametrize("engine", ["piper", "vits", "xtts"])
def test_a_model_in_a_folder_without_write_permission_is_loaded_and_left_alone(tmp_path, engine):
    """Root may write anywhere, so that Python itself refuses, as the system would."""
    add_model(tmp_path, engine)

    def content() -> dict[Path, tuple[int, int]]:
        states = {file: file.stat() for file in tmp_path.rglob("*")}
        return {file: (state.st_size, state.st_mtime_ns) for file, state in states.items()}

    before = content()
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SPEAK, str(tmp_path), engine],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout.split()[-1]) > 1000
    assert content() == before


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

        refused = change("xtts")
        assert refused["status"] == "error"
        assert "not enough memory" in refused["message"]
        assert speaks(), "as the engine that was there"
        assert client.get("/api/currentsettings").json()["current_engine_loaded"] == "tone"
        config["model_args"] = fitting
        file.write_text(json.dumps(config), encoding="utf-8")
        assert change("xtts") == {"status": "engine-success"}
        assert speaks()
