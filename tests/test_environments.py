"""Engines' own Python environments are there whole, or not at all."""

from __future__ import annotations

import json
import subprocess
import zipfile

import pytest

from alltalk.claims import claim
from alltalk.errors import InstallFailed, Refused
from alltalk.home import Home
from alltalk.models import Hub, ModelCatalogue
from alltalk.models.environments import Environments
from alltalk.registry import Registry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # pip takes seconds to come along

MANIFEST = {
    "alltalk": {
        "display_name": "Toy",
        "environment": "own",
        "requires": ["toy_sounds"],
        "models": {"files": ["weights.bin"]},
    }
}


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    folder = home.engines / "toy"
    folder.mkdir(parents=True)
    (folder / "engine.py").touch()
    (folder / "model_settings.json").write_text(json.dumps(MANIFEST))
    (folder / "requirements.txt").write_text(f"{wheel(tmp_path)}\n")
    return home


@pytest.fixture
def environments(home, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return Environments(home, Registry(home))


def wheel(folder, version="1.0"):
    """A package with nothing in it, as pip installs it without a network."""
    file = folder / f"toy_sounds-{version}-py3-none-any.whl"
    info = f"toy_sounds-{version}.dist-info"
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("toy_sounds.py", f"version = {version!r}\n")
        packed.writestr(f"{info}/METADATA", f"Name: toy_sounds\nVersion: {version}\n")
        packed.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        packed.writestr(f"{info}/RECORD", "")
    return file


def version_in(home):
    command = [home.interpreter("toy"), "-c", "import toy_sounds; print(toy_sounds.version)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


async def test_an_environment_has_what_its_engine_requires(environments, home):
    assert environments.needs("toy")
    assert Registry(home).missing("toy") == ("toy_sounds",)
    said = []
    await environments.make("toy", said.append)
    assert version_in(home) == "1.0"
    assert said[0] == "Making a Python environment for Toy"
    assert not environments.needs("toy")
    assert Registry(home).missing("toy") == ()
    await environments.remove("toy")
    assert environments.needs("toy")


async def test_one_that_could_not_be_made_is_not_there_and_goes_on_later(environments, home):
    requirements = home.engines / "toy/requirements.txt"
    right = requirements.read_text()
    requirements.write_text(f"{home.root}/gone-1.0-py3-none-any.whl\n")
    with pytest.raises(InstallFailed, match=r"environment of Toy could not be made.*gone"):
        await environments.make("toy", print)
    assert not home.environment("toy").exists()
    requirements.write_text(right)
    said = []
    await environments.make("toy", said.append)
    assert version_in(home) == "1.0"


async def test_packages_without_what_the_engine_imports_are_not_enough(environments, home):
    (home.engines / "toy/requirements.txt").write_text("# nothing\n")
    with pytest.raises(InstallFailed, match="toy_sounds"):
        await environments.make("toy", print)
    assert environments.needs("toy")


async def test_changed_requirements_replace_it_once_the_new_one_is_complete(environments, home):
    await environments.make("toy", print)
    (home.engines / "toy/requirements.txt").write_text(f"{home.root}/gone.whl\n")
    with pytest.raises(InstallFailed):
        await environments.make("toy", print)
    assert version_in(home) == "1.0"
    (home.engines / "toy/requirements.txt").write_text(f"{wheel(home.root, '2.0')}\n")
    await environments.make("toy", print)
    assert version_in(home) == "2.0"


async def test_two_do_not_make_it_at_a_time(environments, home):
    lock = home.environment("toy").with_name(".toy.lock")
    with claim(lock, ""), pytest.raises(Refused, match="Toy is being installed already"):
        await environments.make("toy", print)
    assert environments.needs("toy")


async def test_installing_a_model_makes_it_and_removing_the_last_one_removes_it(
    environments, home, tmp_path
):
    entry = {"name": "small", "files": [{"path": "weights.bin", "url": "https://localhost/w"}]}
    (home.engines / "toy/available_models.json").write_text(json.dumps({"models": [entry]}))
    staged = home.engines / "toy/models/small"
    staged.mkdir(parents=True)
    (staged / "weights.bin").write_bytes(b"here already")
    catalogue = ModelCatalogue(home, Registry(home), Hub())
    assert (await catalogue.list("toy"))[0].needs_environment
    assert "environment of toy is missing" in (await catalogue.verify("small"))[0]
    listed = await catalogue.install("small", agreed=False)
    assert not listed.needs_environment
    assert version_in(home) == "1.0"
    await catalogue.remove("small")
    assert not home.environment("toy").exists()
