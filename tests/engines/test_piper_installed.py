"""Piper's voices come and go in a running server, as commands beside it install and remove them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from hub import LocalHub, local_hub
from live import Live, live_server
from tiny_models import add_tiny, tiny

from alltalk.home import Home
from alltalk.loading import missing_imports
from alltalk.registry import Registry

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    with local_hub() as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, hub: LocalHub) -> Path:
    """Piper with its tiny voices; the first of them can be installed as `new`, too."""
    if missing := missing_imports(Registry(Home(tmp_path)).manifest("piper")):
        pytest.skip(f"piper needs {', '.join(missing)}")
    add_tiny(tmp_path, "piper")
    model = min(tiny("piper").rglob("*.onnx"))
    files = []
    for path, source in (("new.onnx", model), ("new.onnx.json", Path(f"{model}.json"))):
        hub.share(f"/{path}", source.read_bytes())
        files.append({"path": path, "url": f"https://huggingface.co/{path}"})
    entry = {"name": "new", "folder": "", "files": files}
    catalogue = tmp_path / "engines/piper/available_models.json"
    catalogue.write_text(json.dumps({"models": [entry]}), encoding="utf-8")
    return tmp_path


def test_a_running_server_takes_over_what_a_command_installs_or_removes(
    home: Path, hub: LocalHub
) -> None:
    def models(*arguments: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "alltalk", "models", *arguments, "--home", str(home)],
            env={**os.environ, "HF_ENDPOINT": hub.url},
            stdin=subprocess.DEVNULL,
            check=True,
        )

    with live_server(home, "piper") as server:
        assert "new.onnx" not in voices(server)
        models("install", "piper/new")
        until(lambda: "new.onnx" in voices(server))
        body = {"model": "tts-1", "voice": "new.onnx", "input": "We are all away."}
        spoken = httpx.post(f"{server.url}/v1/audio/speech", json=body, timeout=60)
        assert spoken.status_code == 200, spoken.text
        models("remove", "piper/new", "--yes")
        until(lambda: "new.onnx" not in voices(server))
        assert voices(server)


def voices(server: Live) -> list[str]:
    """Of the current engine."""
    answer = httpx.get(f"{server.url}/api/voices", timeout=60).json()
    return list(answer["voices"])


def until(holds: Callable[[], bool]) -> None:
    """Wait for what the server does by itself, however busy the machine is."""
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
