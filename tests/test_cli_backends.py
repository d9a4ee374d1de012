"""`alltalk backends`, beside a server that runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from live import Live, live_server

KEYS = "root=at-root-key"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server that asks for a key."""
    home = tmp_path_factory.mktemp("home")
    with live_server(home, environ={"ALLTALK_API_KEYS": KEYS}) as server:
        yield server


def alltalk(
    server: Live, *arguments: str, key: str = "at-root-key"
) -> subprocess.CompletedProcess[str]:
    """What `alltalk backends …` did."""
    return subprocess.run(
        [sys.executable, "-m", "alltalk", "backends", *arguments],
        env={**os.environ, "ALLTALK_URL": server.url, "ALLTALK_API_KEY": key},
        capture_output=True,
        text=True,
        timeout=60,
    )


def told(server: Live, *arguments: str) -> str:
    """What it printed, having done what it should."""
    done = alltalk(server, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def listed(server: Live) -> dict[str, str]:
    """The line of each backend, by its id."""
    lines = told(server, "list").splitlines()[1:]
    return {line.lstrip("* ").split()[0]: line for line in lines}


@pytest.mark.timeout(600)  # 16 programs, one after the other
def test_a_backend_is_added_changed_used_and_removed(server: Live) -> None:
    id = told(server, "add", "tone", "step_s=0.001", "--title", "Second").strip()
    line = listed(server)[id]
    assert line.endswith("Second")
    assert "tone" in line
    told(server, "edit", id, "model=tone-b", "--title", "Renamed")
    assert told(server, "toggle", id, "off") == "Success.\n"
    assert told(server, "toggle", id, "off") == "No change.\n"
    assert "disabled" in listed(server)[id]
    assert told(server, "toggle", id, "on") == "Success.\n"
    assert told(server, "restart", id) == "1\n"
    told(server, "use", id)
    lines = listed(server)
    assert lines[id].startswith("*")
    assert "Renamed" in lines[id]
    assert told(server, "remove", id) == "Deleted.\n"
    assert told(server, "remove", id) == "Already didn't exist.\n"
    assert list(listed(server)) == ["0"]
    assert listed(server)["0"].startswith("*")


def test_memory_is_freed(server: Live) -> None:
    assert told(server, "free") == "1\n"
    assert "resting" in listed(server)["0"]


def test_types_and_their_settings_are_listed(server: Live) -> None:
    assert "remote" in told(server, "types")
    assert "step_s" in told(server, "types", "tone")


WRONG = {
    "unknown id": (["edit", "99", "a=1"], "Invalid backend ID 99"),
    "unknown type": (["add", "gone"], "Invalid backend type: gone"),
    "unknown setting": (["add", "tone", "colour=red"], "colour"),
    "value of a wrong type": (["edit", "0", "step_s=fast"], "step_s"),
    "no assignment": (["edit", "0", "step_s"], "step_s"),
    "unknown type to describe": (["types", "gone"], "gone"),
}


@pytest.mark.parametrize(("arguments", "problem"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_is_told_with_exit_code_2_and_changes_nothing(
    server: Live, arguments: list[str], problem: str
) -> None:
    done = alltalk(server, *arguments)
    assert done.returncode == 2
    assert problem in done.stderr
    assert "Traceback" not in done.stderr
    assert list(listed(server)) == ["0"]


def test_who_may_not_and_whom_nobody_answers_gets_exit_code_1(server: Live) -> None:
    refused = alltalk(server, "list", key="wrong")
    assert (refused.returncode, "API key" in refused.stderr) == (1, True)
    lonely = alltalk(server, "--url", "http://127.0.0.1:9", "list")
    assert (lonely.returncode, "No server answers" in lonely.stderr) == (1, True)
