"""Who speaks where nobody has chosen, and what a newcomer is told."""

from __future__ import annotations

import json

import pytest

from alltalk.home import Home
from alltalk.models import best_engine, better_voice
from alltalk.models.catalogue import catalogue_of
from alltalk.registry import Registry


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    home.create()
    return home


def told(home):
    registry = Registry(home)
    return better_voice(registry, catalogue_of(registry))


def add_voice(home):
    folder = home.engines / "piper/models"
    folder.mkdir(parents=True)
    (folder / "en_US-any-low.onnx").touch()
    (folder / "en_US-any-low.onnx.json").write_text("{}")


def add_engine(home, name, **ours):
    folder = home.engines / name
    folder.mkdir()
    (folder / "engine.py").touch()
    manifest = {"alltalk": {"display_name": name.title(), **ours}}
    (folder / "model_settings.json").write_text(json.dumps(manifest))
    return folder


def test_without_a_model_espeak_speaks_and_the_command_for_a_better_voice_is_told(home):
    assert best_engine(Registry(home)) == "espeak"
    assert told(home) == "For a natural voice (63 MB): alltalk models install piper"


def test_an_engine_with_a_model_speaks_and_nothing_is_told(home):
    add_voice(home)
    assert best_engine(Registry(home)) == "piper"
    assert told(home) == ""


def test_an_engine_that_is_not_installed_is_not_chosen_whatever_models_it_has(home):
    add_engine(home, "aria", models={"files": ["w"]}, requires=["no_such_package"])
    (home.engines / "aria/models/one").mkdir(parents=True)
    (home.engines / "aria/models/one/w").touch()
    assert best_engine(Registry(home)) == "espeak"


def test_an_engine_of_the_user_s_own_comes_before_one_that_speaks_by_rule(home):
    add_engine(home, "zither", models={"files": ["w"]})
    (home.engines / "zither/models/one").mkdir(parents=True)
    (home.engines / "zither/models/one/w").touch()
    assert best_engine(Registry(home)) == "zither"
    add_voice(home)
    assert best_engine(Registry(home)) == "piper"
