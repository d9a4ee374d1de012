"""Engines from outside, a folder and a package, keep to the contract as those inside do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hearing import hear

pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "write-an-engine.md"
BUZZ = Path(__file__).with_name("alltalk-buzz")


@pytest.fixture(scope="module")
def page() -> dict[str, str]:
    """The files that docs/write-an-engine.md shows, by name."""
    shown = re.findall(
        r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    assert [name for name, _ in shown] == [
        "morse/model_settings.json",
        "morse/engine.py",
        "pyproject.toml",
    ]
    return dict(shown)


@pytest.fixture(scope="module")
def home_with_morse(page, tmp_path_factory) -> Path:
    """A home with the page's engine in its `engines/`."""
    home = tmp_path_factory.mktemp("home")
    (home / "engines" / "morse").mkdir(parents=True)
    for name in ("morse/model_settings.json", "morse/engine.py"):
        (home / "engines" / name).write_text(page[name], "utf-8")
    return home


@pytest.fixture(scope="module")
def installed(page, tmp_path_factory) -> Path:
    """A folder that two packages with engines are installed into: the page's, and Buzz."""
    target = tmp_path_factory.mktemp("site")
    sources = tmp_path_factory.mktemp("sources")
    shutil.copytree(BUZZ, sources / "buzz", ignore=shutil.ignore_patterns("__pycache__"))
    package = sources / "morse" / "alltalk_morse"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "engine.py").write_text(page["morse/engine.py"], "utf-8")
    (package / "model_settings.json").write_text(page["morse/model_settings.json"], "utf-8")
    (sources / "morse" / "pyproject.toml").write_text(page["pyproject.toml"], "utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    done = child(*pip, "--target", target, sources / "buzz", sources / "morse")
    assert done.returncode == 0, done.stderr
    return target


def test_the_page_builds_an_engine_that_keeps_to_the_contract(home_with_morse):
    assert_keeps_to_the_contract("morse", home_with_morse)


@pytest.mark.parametrize("engine", ["morse", "buzz"])
def test_an_installed_package_keeps_to_the_contract(engine, installed, tmp_path):
    assert_keeps_to_the_contract(engine, tmp_path, packages=installed)


def test_the_pages_engine_is_seen_and_speaks(home_with_morse, tmp_path):
    report = alltalk("doctor", home=home_with_morse)
    assert "✓ Engine morse (Morse): 1 model: morse" in report.stdout
    assert alltalk("voices", "--engine", "morse", home=home_with_morse).stdout == "alto\ntenor\n"
    said = alltalk(
        "say", "SOS", "--engine", "morse", "-o", tmp_path / "sos.wav", home=home_with_morse
    )
    assert said.returncode == 0, said.stderr
    heard = hear((tmp_path / "sos.wav").read_bytes())
    assert ["-" if beep.seconds > 0.12 else "." for beep in heard.beeps] == list("...---...")
    assert heard.pitches == [880] * 9


def test_effects_do_what_the_engine_cannot(home_with_morse, tmp_path):
    arguments = ("say", "SOS", "-e", "morse", "--pitch", "12", "-o", tmp_path / "sos.wav")
    assert alltalk(*arguments, home=home_with_morse).returncode == 0
    pitches = hear((tmp_path / "sos.wav").read_bytes()).pitches
    assert pitches == pytest.approx([1760] * len(pitches), rel=0.02)
    assert pitches


def test_a_package_speaks_through_the_whole_program(installed, tmp_path):
    said = alltalk(
        *("say", "one two three", "-e", "buzz", "-o", tmp_path / "a.wav"),
        home=tmp_path / "home",
        packages=installed,
    )
    assert said.returncode == 0, said.stderr
    assert len(hear((tmp_path / "a.wav").read_bytes()).beeps) == 3


def test_listing_engines_does_not_import_a_package(installed, tmp_path):
    code = (
        "import sys; from alltalk.home import Home; from alltalk.registry import Registry;"
        "print('buzz' in Registry(Home.find()).names(), 'alltalk_buzz' in sys.modules)"
    )
    listed = child(sys.executable, "-c", code, home=tmp_path, packages=installed)
    assert listed.stdout.split() == ["True", "False"]


def test_an_engine_of_a_name_that_is_taken_is_refused(home_with_morse, installed):
    report = alltalk("doctor", home=home_with_morse, packages=installed)
    assert re.search(r"! Engine folder morse: .*the engine morse is already in", report.stdout)


def assert_keeps_to_the_contract(engine: str, home: Path, packages: Path | None = None) -> None:
    """Run the contract over `engine` alone, as the page says."""
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    contract = ROOT / "tests" / "engines" / "test_contract.py"
    done = child(*pytest_, contract, "-k", f"[{engine}-", home=home, packages=packages)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout
    assert int(passed[1]) >= 20, done.stdout


def alltalk(*arguments: object, **where: Path) -> subprocess.CompletedProcess[str]:
    return child(sys.executable, "-m", "alltalk", *arguments, **where)


def child(
    *command: object, home: Path | None = None, packages: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """What the command says, with the engines of `home` and of the packages in a folder."""
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8"}
    if home is not None:
        environ["ALLTALK_HOME"] = str(home)
    if packages is not None:
        environ["PYTHONPATH"] = str(packages)
    return subprocess.run(
        [*map(str, command)], cwd=ROOT, env=environ, capture_output=True, text=True
    )
