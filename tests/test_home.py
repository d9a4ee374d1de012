"""Where an installation lies, and which names a file may have."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from alltalk.errors import UnsafeName
from alltalk.home import Home, safe_name

ROOT = Path(__file__).resolve().parent.parent


def test_a_folder_that_is_asked_for_is_the_home(tmp_path):
    assert Home.find(tmp_path, {"ALLTALK_HOME": "/elsewhere"}).root == tmp_path.resolve()


def test_else_the_environment_names_the_home(tmp_path):
    assert Home.find(None, {"ALLTALK_HOME": str(tmp_path)}).root == tmp_path.resolve()


def test_else_the_checkout_is_the_home():
    assert Home.find(None, {}).root == ROOT


def test_an_installed_package_keeps_its_home_in_the_users_folder(tmp_path):
    package = tmp_path / "site-packages" / "alltalk"
    package.mkdir(parents=True)
    for name in ("__init__.py", "errors.py", "home.py"):
        shutil.copy(ROOT / "alltalk" / name, package)
    environ = {key: value for key, value in os.environ.items() if key != "ALLTALK_HOME"}
    found = subprocess.run(
        [sys.executable, "-c", "from alltalk.home import Home; print(Home.find().root)"],
        cwd=package.parent,
        env=environ | {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == str(tmp_path / ".alltalk")


def test_a_relative_home_becomes_a_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Home.find(Path("here"), {}).root == tmp_path.resolve() / "here"


def test_outputs_lie_in_the_home_unless_a_whole_path_is_given(tmp_path):
    home = Home(tmp_path / "home")
    assert home.outputs() == tmp_path / "home" / "outputs"
    assert home.outputs("sound/today") == tmp_path / "home" / "sound" / "today"
    assert home.outputs(str(tmp_path / "sound")) == tmp_path / "sound"
    assert home.outputs("~/sound") == Path.home() / "sound"


def test_a_new_home_gets_its_folders_and_an_old_one_keeps_its_own(tmp_path):
    home = Home(tmp_path / "deep" / "home")
    home.create()
    (home.voices / "mine.wav").write_bytes(b"RIFF")
    home.create()
    assert sorted(os.listdir(home.root)) == ["engines", "rvc_models", "voices"]
    assert (home.voices / "mine.wav").read_bytes() == b"RIFF"


@pytest.mark.parametrize(
    "name",
    [
        "a.wav",
        "Morgan Freeman (CC3).wav",
        "日本語.mp3",
        "a..b.wav",
        ".hidden",
        "console",
        "nul1",
        "a" * 200,
    ],
)
def test_a_name_that_every_system_can_hold_is_safe(name):
    assert safe_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", ".", "..", "...", ". ."),
        *("a/b", "../a", "/etc/passwd", "a\\b", "..\\a", "C:a", "a:stream"),
        *("a<b", "a>b", 'a"b', "a|b", "a?b", "a*b"),
        *("a\0b", "a\nb", "a\x7fb"),
        *("con", "NUL", "Com1.wav", "lpt9.tar.gz"),
        *("a" * 201, "日" * 67),
    ],
)
def test_a_name_that_could_leave_its_folder_or_fail_somewhere_is_refused(name):
    with pytest.raises(UnsafeName):
        safe_name(name)
