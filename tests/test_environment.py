"""The environment that `make` builds: when it is kept, when rebuilt, when refused."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def environment():
    """scripts/environment.py as a module."""
    path = ROOT / "scripts/environment.py"
    spec = importlib.util.spec_from_file_location("environment", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fresh(tmp_path) -> Path:
    """An environment without pip: made in an instant, not usable for us."""
    venv.create(tmp_path / "fresh", with_pip=False, symlinks=True)
    return tmp_path / "fresh"


@pytest.fixture
def checkout(environment, tmp_path) -> Path:
    """A copy of the files that decide what is installed."""
    for name in (*environment.READS, "constraints/dev.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    return tmp_path


def test_the_environment_is_installed_again_only_when_its_files_change(
    environment, checkout, fresh
):
    before = environment.fingerprint(checkout, fresh, "test")
    assert environment.fingerprint(checkout, fresh, "test") == before
    (checkout / "constraints/dev.txt").write_text("torch==0")
    assert environment.fingerprint(checkout, fresh, "test") != before


def test_running_does_not_depend_on_what_testing_pins(environment, checkout, fresh):
    before = environment.fingerprint(checkout, fresh, "serve")
    (checkout / "constraints/dev.txt").write_text("torch==0")
    assert environment.fingerprint(checkout, fresh, "serve") == before


def test_an_environment_that_is_missing_or_without_pip_is_not_usable(environment, fresh):
    assert not environment.is_usable(fresh.parent / "nothing", exact=False)
    assert not environment.is_usable(fresh, exact=False)


def test_an_environment_whose_python_went_away_is_not_usable(environment, fresh):
    (fresh / "bin/python").unlink()
    (fresh / "bin/python").symlink_to(fresh / "gone")
    assert not environment.is_usable(fresh, exact=False)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_environment_is_usable_until_it_is_moved(environment, tmp_path):
    environment.create(tmp_path / "made")
    assert environment.is_usable(tmp_path / "made", exact=True)
    (tmp_path / "made").rename(tmp_path / "moved")
    assert not environment.is_usable(tmp_path / "moved", exact=False)


def test_cuda_packages_are_found_whatever_the_spelling(environment, tmp_path):
    site = tmp_path / "lib/python3.11/site-packages"
    for name in ("nvidia_cublas-13.0", "cuda_bindings-13.0", "torch-2.13.0+cpu", "numpy-2.4"):
        (site / f"{name}.dist-info").mkdir(parents=True)
    assert sorted(environment.cuda_packages(tmp_path)) == ["cuda-bindings", "nvidia-cublas"]


def test_system_packages_are_listed_with_the_program_that_shows_them(environment, tmp_path):
    (tmp_path / "packages.txt").write_text("# why\n\nespeak-ng espeak-ng  # spoken\nsox play\n")
    assert environment.read_packages(tmp_path / "packages.txt") == {
        "espeak-ng": "espeak-ng",
        "sox": "play",
    }
    assert environment.read_packages(ROOT / "packages.txt")


def test_a_python_that_is_too_old_is_refused_with_a_sentence(needs, tmp_path):
    old = tmp_path / "python3.8"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = subprocess.run(
        [needs("make"), "serve", f"PYTHON={old}"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "AllTalk needs Python 3.11 or newer" in done.stderr
    assert str(old) in done.stderr


def test_the_script_tells_what_it_can_do():
    command = [sys.executable, ROOT / "scripts/environment.py", "everything"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "'serve', 'test'" in done.stderr


def test_a_missing_program_skips_a_test_and_fails_it_in_ci(needs, monkeypatch):
    monkeypatch.setenv("CI", "")
    with pytest.raises(pytest.skip.Exception, match=r"packages\.txt"):
        needs("no-such-program")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"packages\.txt"):
        needs("no-such-program")
