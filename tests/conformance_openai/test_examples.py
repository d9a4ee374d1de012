"""The examples of docs/openai-api.md run as they stand, but for the address.

The one in JavaScript runs in tests/sdk, where its SDK is installed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from live import Live

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/openai-api.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```(python|sh)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
Needs = Callable[[str], str]


@pytest.fixture
def folder(tmp_path: Path, hum: Callable[[float, float], bytes]) -> Path:
    """Where the examples run; their clip lies there."""
    (tmp_path / "clip.wav").write_bytes(hum(440, 10))
    return tmp_path


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs(server: Live, needs: Needs, folder: Path, number: int) -> None:
    language, text = EXAMPLES[number]
    program = [sys.executable, "-c"] if language == "python" else [needs("sh"), "-ec"]
    if language == "sh":
        needs("curl")
    ran([*program, at(server, text)], folder)


def test_there_is_an_example_of_every_kind() -> None:
    assert len(EXAMPLES) >= 10


def at(server: Live, text: str) -> str:
    """`text` with the address of `server`."""
    assert "http://127.0.0.1:7851" in text
    return text.replace("http://127.0.0.1:7851", server.url)


def ran(command: list[str], folder: Path) -> None:
    """Run `command` in `folder`; it must say that all went well."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
