"""`alltalk say` without a file: the machine's own player, and the bar on a terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hearing import hear

if sys.platform == "win32":
    pytest.skip("terminals and players are those of POSIX", allow_module_level=True)
import pty

LONG = "one two three four five. " * 20


@pytest.fixture
def bin(tmp_path):
    """A folder that is all of $PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def write_player(bin: Path, script: str) -> None:
    player = bin / "pw-play"
    player.write_text(f"#!/bin/sh\n{script}\n")
    player.chmod(0o755)


def test_the_sound_is_played_and_not_kept(start, bin, tmp_path):
    write_player(bin, f'/bin/cp "$1" "{tmp_path}/played"; echo "$1" > "{tmp_path}/name"')
    child = start("say", "one two three", "-e", "tone", environ={"PATH": str(bin)})
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err) == (0, b"", b"")
    assert len(hear((tmp_path / "played").read_bytes()).beeps) == 3
    assert not Path((tmp_path / "name").read_text().strip()).exists()


def test_a_player_that_fails_is_told(start, bin):
    write_player(bin, "echo no sound device >&2; exit 3")
    child = start("say", "one", "-e", "tone", environ={"PATH": str(bin)})
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (1, b"")
    assert err.decode().startswith("alltalk: pw-play could not play the sound: no sound device.")
    assert err.count(b"\n") == 1


def test_without_a_player_a_file_has_to_be_named(start, bin):
    child = start("say", "-", environ={"PATH": str(bin)})
    _, err = child.communicate(timeout=60)
    assert child.returncode == 2
    assert b"-o hello.wav" in err


def test_a_format_is_for_a_file(start, bin):
    write_player(bin, "exit 0")
    child = start("say", "one", "--format", "mp3", environ={"PATH": str(bin)})
    _, err = child.communicate(timeout=60)
    assert child.returncode == 2
    assert b"--format" in err


def test_a_long_text_has_a_bar_on_a_terminal(start, slow_home, tmp_path):
    shown = on_terminal(start, "say", LONG, "-e", "tone", "-o", tmp_path / "a.wav", home=slow_home)
    assert b"Speaking" in shown
    assert len(hear((tmp_path / "a.wav").read_bytes()).beeps) == 100


def test_a_short_text_has_none(start, slow_home, tmp_path):
    shown = on_terminal(start, "say", "one", "-e", "tone", "-o", tmp_path / "a.wav", home=slow_home)
    assert shown == b""


def test_what_is_no_terminal_gets_no_bar(start, slow_home, tmp_path):
    child = start("say", LONG, "-e", "tone", "-o", tmp_path / "a.wav", home=slow_home)
    assert child.communicate(timeout=60) == (b"", b"")
    assert child.returncode == 0


def test_sound_is_never_written_to_a_terminal(start):
    shown = on_terminal(start, "say", "one", "-o", "-", stream="stdout", code=2)
    assert shown == b""


@pytest.fixture
def slow_home(tmp_path):
    """A home whose tone engine takes 10 ms for a word."""
    folder = tmp_path / "home" / "engines" / "tone"
    folder.mkdir(parents=True)
    (folder / "model_settings.json").write_text('{"settings": {"step_s": 0.01}}')
    return tmp_path / "home"


def on_terminal(start, *arguments, stream="stderr", code=0, **more):
    """What a terminal shows of the command's `stream`."""
    ours, its = pty.openpty()
    child = start(*arguments, **{stream: its}, environ={"TERM": "xterm"}, **more)
    os.close(its)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # Linux says so that the other end is closed
        pass
    os.close(ours)
    assert child.wait(timeout=60) == code
    return shown
