"""What backends can be set to, and which values such settings take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from alltalk.backend_types import BackendType, Setting, backend_types, engine_settings, missing_type
from alltalk.errors import BadValue
from alltalk.home import Home
from alltalk.registry import Registry
from alltalk.serving.backend_store import BackendSpec


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """The built-in engines, in an empty home."""
    home = Home(tmp_path)
    home.create()
    return Registry(home)


@pytest.fixture
def tone(registry: Registry) -> BackendType:
    """The type of the tone engine."""
    return backend_types(registry, ("tone",))["tone"]


def test_types_are_the_engines_and_remote(registry: Registry) -> None:
    types = backend_types(registry)
    assert {"espeak", "remote"} <= types.keys()
    assert "tone" not in types
    assert list(types)[-1] == "remote"


def test_a_hidden_engine_is_a_type_where_it_runs_and_one_that_is_gone_is_none(
    registry: Registry,
) -> None:
    types = backend_types(registry, ("tone", "gone"))
    assert "tone" in types
    assert "gone" not in types


def test_an_engines_settings_are_where_it_runs_and_its_own(tone: BackendType) -> None:
    kinds = {each.name: each.type for each in tone.settings}
    assert kinds["model"] == kinds["process"] == "dropdown"
    assert (kinds["device"], kinds["threads"]) == ("text", "integer")
    assert (kinds["step_s"], kinds["slots"], kinds["faults"]) == ("decimal", "integer", "boolean")
    assert len(kinds) == len(tone.settings)


def test_an_engines_own_setting_cannot_take_the_name_of_ours(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.create()
    (home.engines / "odd").mkdir()
    (home.engines / "odd/engine.py").write_text("")
    settings = json.dumps({"settings": {"device": "moon", "own": 1}})
    (home.engines / "odd/model_settings.json").write_text(settings)
    odd = backend_types(Registry(home))["odd"]
    assert [each.name for each in odd.settings].count("device") == 1
    assert odd.values(BackendSpec(0, "odd")) == {
        "model": "",
        "device": "cpu",
        "threads": 0,
        "process": "auto",
        "own": 1,
    }


READ: dict[str, tuple[str, Any, Any]] = {
    "text of a number": ("step_s", "0.5", 0.5),
    "number": ("step_s", 0.5, 0.5),
    "whole number where any will do": ("slots", 4, 4),
    "integer as text": ("threads", "3", 3),
    "integer as decimal": ("threads", 3.0, 3),
    "true in words": ("faults", "on", True),
    "false as a number": ("faults", 0, False),
    "choice": ("process", "worker", "worker"),
    "no model": ("model", "", ""),
}


@pytest.mark.parametrize(("name", "value", "read"), READ.values(), ids=READ.keys())
def test_values_are_read_by_their_types(
    tone: BackendType, name: str, value: Any, read: Any
) -> None:
    changes = tone.read({name: value})
    found = {**changes, **changes.get("settings", {})}[name]
    assert found == read
    assert type(found) is type(read)


BAD: dict[str, tuple[str, Any]] = {
    "word for a number": ("step_s", "fast"),
    "truth for a number": ("step_s", True),
    "NaN": ("step_s", float("nan")),
    "infinity": ("step_s", "inf"),
    "number beyond all floats": ("step_s", 10**400),
    "list for a number": ("step_s", [1]),
    "nothing for a number": ("step_s", None),
    "half of an integer": ("threads", 1.5),
    "truth for an integer": ("threads", False),
    "infinite integer": ("threads", float("inf")),
    "word for a truth": ("faults", "maybe"),
    "number for a text": ("device", 3),
    "text that is no text": ("device", "\ud800"),
    "no choice": ("process", "elsewhere"),
    "unknown model": ("model", "tone-z"),
    "unknown name": ("colour", "red"),
    "less than it may be": ("slots", 0),
    "more than it may be": ("generationspeed_set", 2.5),
}


@pytest.mark.parametrize(("name", "value"), BAD.values(), ids=BAD.keys())
def test_a_value_that_does_not_fit_is_refused_by_its_name(
    tone: BackendType, name: str, value: Any
) -> None:
    with pytest.raises(BadValue, match=f"^{name}: ") as caught:
        tone.read({name: value})
    assert len(str(caught.value)) < 250


def test_what_was_set_is_told_beside_the_defaults(tone: BackendType) -> None:
    spec = BackendSpec(0, "tone", model="tone-b", settings={"step_s": 0.5})
    values = tone.values(spec)
    assert (values["model"], values["step_s"], values["slots"]) == ("tone-b", 0.5, 1)
    assert BackendSpec(0, "tone").edited(tone.read(values)).model == "tone-b"


def test_an_engine_that_is_not_installed_still_says_where_it_would_run() -> None:
    spec = BackendSpec(0, "gone", device="cuda")
    assert missing_type("gone").values(spec)["device"] == "cuda"


def test_nothing_is_a_value_where_it_leaves_the_setting_to_the_engine(registry: Registry) -> None:
    level = named(engine_settings(registry, "piper"))["level_db"]
    assert level.read("") is level.read(None) is None
    assert (level.read("-30"), level.shipped) == (-30.0, -20.0)
    assert level.help.endswith("as loud as the voice is. From -60 to -6.")


def test_an_engine_is_asked_only_for_what_means_something_to_it(registry: Registry) -> None:
    xtts, espeak = (named(engine_settings(registry, each)) for each in ("xtts", "espeak"))
    assert {"temperature_set", "deepspeed_enabled", "runtime"} <= xtts.keys()
    assert {"def_character_voice", "generationspeed_set"} <= espeak.keys()
    assert not {"temperature_set", "lowvram_enabled", "deepspeed_enabled"} & espeak.keys()
    assert "engine_installed" not in xtts
    assert xtts["precision"].values[0] == "auto"


@pytest.mark.parametrize("engine", ["espeak", "parler", "piper", "tone", "vits", "xtts"])
def test_the_settings_that_engines_come_with_fit_their_schemas(
    registry: Registry, engine: str
) -> None:
    schemas = registry.manifest(engine).settings_schema
    assert schemas.keys() <= registry.manifest(engine).settings.keys()
    for setting in engine_settings(registry, engine):
        assert setting.read(setting.default) == setting.default
        assert setting.description
        if setting.name in schemas:
            assert setting.shipped == setting.default, setting.name


def named(settings: tuple[Setting, ...]) -> dict[str, Setting]:
    return {each.name: each for each in settings}
