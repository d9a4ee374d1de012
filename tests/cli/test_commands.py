"""What a newcomer meets: help, `voices`, `doctor`, and what a crash looks like."""

from __future__ import annotations

import re
import socket
import subprocess
import sys

import pytest
import typer.main

from alltalk.cli import app as command_line

COMMANDS = tuple(typer.main.get_command(command_line).commands)


def test_the_help_begins_with_what_a_newcomer_needs(alltalk):
    done = alltalk("--help")
    assert done.code == 0
    words = re.findall(r"^\W*(\w+) {2,}\S", done.out.decode(), re.MULTILINE)
    assert [word for word in words if word in COMMANDS][:4] == ["serve", "say", "voices", "doctor"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(alltalk, command):
    for flag in ("--help", "-h"):
        done = alltalk(command, flag)
        assert (done.code, done.err) == (0, "")
        assert "Usage:" in done.out.decode()


@pytest.mark.parametrize("command", ["serve", "say", "voices"])
def test_the_help_gives_examples(alltalk, command):
    _, found, examples = alltalk(command, "--help").out.decode().partition("Examples:")
    assert found
    assert f"alltalk {command}" in examples


def test_a_command_that_is_not_there_is_refused(alltalk):
    done = alltalk("sing")
    assert done.code == 2
    assert "sing" in done.err


def test_a_crash_of_our_own_is_an_ordinary_traceback_without_what_was_in_it():
    code = (
        "from alltalk.cli import app, main\n"
        "@app.command()\n"
        "def crash():\n"
        "    secret = 'hunter2' * 2\n"
        "    raise ZeroDivisionError('a bug')\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, "crash"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last)")
    assert done.stderr.rstrip().endswith("ZeroDivisionError: a bug")
    assert "hunter2" not in done.stderr
    assert "╭" not in done.stderr


def test_voices_are_listed_with_their_language_a_line_each(alltalk):
    done = alltalk("voices")
    assert (done.code, done.err) == (0, "")
    rows = [line.split("\t") for line in done.lines]
    assert len(rows) > 100
    assert {len(row) for row in rows} == {2}
    assert ["English (America)", "en-us"] in rows


def test_a_listed_voice_can_be_spoken_with(alltalk, tmp_path):
    name = alltalk("voices", "--language", "de").lines[0].split("\t")[0]
    assert alltalk("say", "Guten Tag", "-v", name, "-o", tmp_path / "a.wav").code == 0


@pytest.mark.parametrize(
    ("language", "listed", "left_out"),
    [("en", "en-us", "de"), ("EN-gb", "en-gb-scotland", "en-us"), ("de", "de", "en-us")],
)
def test_voices_are_chosen_by_language(alltalk, language, listed, left_out):
    languages = {line.split("\t")[1] for line in alltalk("voices", "-l", language).lines}
    assert listed in languages
    assert left_out not in languages
    assert all(f"{tag}-".startswith(f"{language.lower()}-") for tag in languages)


def test_a_language_without_voices_is_told(alltalk):
    done = alltalk("voices", "-l", "tlh")
    assert (done.code, done.out) == (2, b"")
    assert "'tlh'" in done.err


def test_voices_of_an_engine_are_listed(alltalk):
    done = alltalk("voices", "--engine", "tone")
    assert done.code == 0
    assert {"low", "mid", "high"} <= set(done.lines)


def test_an_engine_that_is_not_there_has_no_voices(alltalk):
    done = alltalk("voices", "--engine", "nope")
    assert (done.code, done.out) == (2, b"")
    assert "espeak" in done.err


def test_voices_stop_quietly_when_nobody_reads_on(start):
    child = start("voices", bufsize=0)
    child.stdout.close()
    child.wait(timeout=60)
    assert b"Traceback" not in child.stderr.read()


def test_doctor_finds_a_home_that_can_speak(alltalk, tmp_path):
    done = alltalk("doctor", home=tmp_path / "new")
    assert done.code == 0
    report = done.out.decode()
    assert f"Home: {tmp_path / 'new'}" in report
    assert "Engine espeak" in report
    assert "✗" not in report


def test_doctor_says_what_a_voice_to_convert_to_lacks(alltalk, tmp_path):
    (tmp_path / "rvc_models" / "Ana").mkdir(parents=True)
    (tmp_path / "rvc_models" / "Ana" / "ana.pth").write_bytes(b"")
    assert "alltalk models install rvc" in alltalk("doctor", home=tmp_path).out.decode()
    (tmp_path / "rvc_models" / ".base").mkdir()
    (tmp_path / "rvc_models" / ".base" / "hubert_base.pt").write_bytes(b"")
    assert "rvc_settings.rvc_enabled" in alltalk("doctor", home=tmp_path).out.decode()


def test_doctor_fails_where_the_settings_do_not_hold(alltalk, tmp_path):
    (tmp_path / "confignew.json").write_text("{")
    done = alltalk("doctor", home=tmp_path)
    assert done.code == 1
    assert "✗ Settings" in done.out.decode()
    assert "confignew.json" in done.out.decode()


def test_doctor_fails_where_the_home_cannot_be_written(alltalk, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    done = alltalk("doctor", home=tmp_path / "file" / "home")
    assert done.code == 1
    assert "✗ Home" in done.out.decode()


def test_doctor_tells_a_taken_port(alltalk, tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("ALLTALK_API_DEF__API_PORT_NUMBER", str(port))
        done = alltalk("doctor", home=tmp_path)
    assert done.code == 0
    assert f"! Port: {port} is in use" in done.out.decode()


def test_doctor_names_an_engine_folder_that_cannot_be_used(alltalk, tmp_path):
    folder = tmp_path / "engines" / "broken"
    folder.mkdir(parents=True)
    (folder / "engine.py").write_text("")
    (folder / "model_settings.json").write_text("[]")
    done = alltalk("doctor", home=tmp_path)
    assert done.code == 0
    assert "! Engine folder broken" in done.out.decode()


def test_doctor_tells_where_an_engine_gets_a_model(alltalk, tmp_path):
    folder = tmp_path / "engines" / "empty"
    folder.mkdir(parents=True)
    (folder / "engine.py").write_text("")
    (folder / "model_settings.json").write_text('{"alltalk": {"models": {"files": ["a.pth"]}}}')
    done = alltalk("doctor", home=tmp_path)
    assert done.code == 0
    assert "installed, no model" in done.out.decode()
    assert "alltalk models list empty" in done.out.decode()


def test_doctor_says_how_to_get_what_an_engine_lacks(alltalk, tmp_path):
    folder = tmp_path / "engines" / "needy"
    folder.mkdir(parents=True)
    (folder / "engine.py").write_text("")
    (folder / "model_settings.json").write_text(
        '{"alltalk": {"requires": ["no_such_library"], "extra": "needy"}}'
    )
    report = alltalk("doctor", home=tmp_path).out.decode()
    assert "not installed: no_such_library" in report
    assert 'pip install "alltalk[needy]"' in report
