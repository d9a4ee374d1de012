"""A tour of the API with OpenAI's SDK for JavaScript. `tour.mjs` asks; here its answers are read.

The tour is one program, as starting one takes longer than all its requests.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hearing import hear, hear_pcm
from live import Live

pytestmark = pytest.mark.timeout(400)
"""The first test waits for npm and for the whole tour."""
HERE = Path(__file__).parent
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
SPEECH = "/v1/audio/speech"
Needs = Callable[[str], str]
RequestsAt = Callable[[str], dict[str, int]]


@pytest.fixture(scope="module")
def sdk(needs: Needs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tour and the SDK as the lock file says."""
    folder = tmp_path_factory.mktemp("sdk")
    for name in ("package.json", "package-lock.json", "tour.mjs"):
        shutil.copy(HERE / name, folder)
    command = [needs("npm"), "ci", "--prefer-offline", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)
    if done.returncode:
        stop = pytest.fail if os.environ.get("CI") else pytest.skip
        stop(f"npm cannot install OpenAI's SDK: {done.stderr[-300:]}")
    return folder


@pytest.fixture(scope="module")
def tour(
    needs: Needs, sdk: Path, server: Live, clip: Path, requests_at: RequestsAt
) -> dict[str, Any]:
    """All that the tour brought home, and as `requests` what it asked the server for, by status."""
    before = requests_at(SPEECH)
    command = [needs("node"), "tour.mjs", f"{server.url}/v1", str(clip)]
    done = subprocess.run(command, cwd=sdk, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    made = {status: n - before.get(status, 0) for status, n in requests_at(SPEECH).items()}
    return {**json.loads(done.stdout), "requests": made}


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_spoken_whole(tour: dict[str, Any], format: str) -> None:
    assert pitches(tour["whole"][format], format) == [440] * 3
    assert tour["whole"][format]["type"].startswith("audio/")


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_streamed(tour: dict[str, Any], format: str) -> None:
    assert pitches(tour["streamed"][format], format) == [880] * 3
    assert tour["streamed"][format]["route"] == "HOT"


def test_events_carry_the_sound_and_its_usage(tour: dict[str, Any]) -> None:
    *deltas, done = tour["events"]
    sound = b"".join(base64.b64decode(delta["audio"]) for delta in deltas)
    assert hear_pcm(sound).pitches == [220] * 3
    assert done["type"] == "speech.audio.done"
    assert done["usage"]["input_tokens"] == len("one two three")


@pytest.mark.parametrize("param", ["voice", "input", "speed"])
def test_bad_input_is_told_with_its_param(tour: dict[str, Any], param: str) -> None:
    failure = tour["failures"][param]
    assert (failure["name"], failure["status"]) == ("BadRequestError", 400)
    assert (failure["param"], failure["type"]) == (param, "invalid_request_error")
    assert failure["code"]
    assert failure["requestID"]


def test_what_is_not_there_is_not_found(tour: dict[str, Any]) -> None:
    for failure in (tour["failures"]["model"], tour["missing"]):
        assert (failure["name"], failure["status"]) == ("NotFoundError", 404)


def test_models_and_voices_are_listed(tour: dict[str, Any]) -> None:
    assert {"tts-1", "tone", "tone/tone-a"} <= {model["id"] for model in tour["models"]}
    assert tour["model"]["id"] == "tone/tone-a"
    assert {"alloy", "low"} <= {voice["id"] for voice in tour["voices"]["voices"]}


def test_an_uploaded_voice_speaks_and_is_deleted(tour: dict[str, Any]) -> None:
    uploaded = tour["uploaded"]
    assert pitches(uploaded, "wav") == [550] * 3
    assert uploaded["deleted"]["deleted"] is True
    assert uploaded["voice"]["id"] not in {each["id"] for each in tour["voices"]["voices"]}


def test_nothing_that_failed_was_asked_for_twice(tour: dict[str, Any]) -> None:
    spoken = len(tour["whole"]) + len(tour["streamed"]) + 2
    assert tour["requests"] == {"200": spoken, "400": 3, "404": 1}


def test_the_example_in_the_docs_runs(needs: Needs, sdk: Path, server: Live) -> None:
    page = (HERE.parents[1] / "docs/openai-api.md").read_text(encoding="utf-8")
    [example] = re.findall(r"^```javascript\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (sdk / "example.mjs").write_text(example.replace("http://127.0.0.1:7851", server.url))
    subprocess.run([needs("node"), "example.mjs"], cwd=sdk, check=True, timeout=100)
    assert hear((sdk / "hello.mp3").read_bytes()).codec == "mp3float"


def pitches(answer: dict[str, str], format: str) -> list[int]:
    """Of an answer's beeps, Hz."""
    content = base64.b64decode(answer["sound"])
    return (hear_pcm(content) if format == "pcm" else hear(content)).pitches
