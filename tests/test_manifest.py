from __future__ import annotations

import json

import pytest

from alltalk.engine import Capabilities, ModelRule
from alltalk.errors import ConfigError
from alltalk.manifest import FILE_NAME, adjusted, make_manifest, read_sections
from alltalk.setting_schema import SettingSchema

V2 = {
    "model_details": {
        "manufacturer_name": "Coqui",
        "manufacturer_website": "https://coqui.example",
        "model_description": "A model.",
    },
    "model_capabilties": {
        "audio_format": "wav",
        "streaming_capable": True,
        "lowvram_capable": "true",
        "deepspeed_capable": False,
        "temperature_capable": True,
        "repetitionpenalty_capable": True,
        "mac_capable": False,
    },
    "settings": {
        "def_character_voice": "female_01.wav",
        "lowvram_enabled": "False",
        "temperature_set": "0,75",
        "repetitionpenalty_set": 10,
    },
    "openai_voices": {"alloy": "female_01.wav"},
}


def test_a_file_of_v2_is_read_as_it_is():
    manifest = make_manifest("xtts", V2)
    assert manifest.display_name == "xtts"
    assert manifest.manufacturer == "Coqui"
    assert manifest.website == "https://coqui.example"
    assert manifest.description == "A model."
    assert manifest.capabilities == Capabilities(
        streaming=True, low_vram=True, sampling=frozenset({"temperature", "repetition_penalty"})
    )
    assert manifest.settings == {
        "def_character_voice": "female_01.wav",
        "lowvram_enabled": False,
        "temperature_set": 0.75,
        "repetitionpenalty_set": 10.0,
    }
    assert manifest.openai_voices == {"alloy": "female_01.wav"}
    assert manifest.platforms == ("windows", "linux")


def test_our_section_says_what_v2_has_no_place_for():
    ours = {
        "display_name": "XTTS",
        "capabilities": {
            "streaming": False,
            "languages": ["en", "de"],
            "speed": [0.5, 2],
            "pitch": None,
            "sampling": ["top_k"],
            "max_chars": 400,
        },
        "models": {
            "fixed": ["base"],
            "files": ["config.json"],
            "any_of": [["model.pth", "*.safetensors"]],
            "labels": ["xtts - {name}"],
        },
        "shipped_voices": {"female_01.wav": "her"},
        "requires": ["torch"],
        "extra": "xtts",
        "environment": "own",
        "hidden": True,
    }
    manifest = make_manifest("xtts", {**V2, "alltalk": ours})
    assert manifest.display_name == "XTTS"
    assert manifest.capabilities == Capabilities(
        languages=("en", "de"),
        speed=(0.5, 2.0),
        sampling=frozenset({"top_k"}),
        low_vram=True,
        max_chars=400,
    )
    assert manifest.models == ModelRule(
        fixed=("base",),
        files=("config.json",),
        any_of=(("model.pth", "*.safetensors"),),
        labels=("xtts - {name}",),
    )
    assert manifest.shipped_voices == {"female_01.wav": "her"}
    assert (manifest.requires, manifest.extra) == (("torch",), "xtts")
    assert (manifest.environment, manifest.hidden) == ("own", True)


def test_an_engine_that_says_nothing_has_one_model_of_its_name():
    manifest = make_manifest("small", {})
    assert (manifest.display_name, manifest.models.fixed) == ("small", ("small",))


@pytest.mark.parametrize(
    ("sections", "complaint"),
    [
        ({"settings": {"temperature_set": "warm"}}, "settings.temperature_set: 'warm'"),
        ({"settings": {"lowvram_enabled": "maybe"}}, "settings.lowvram_enabled"),
        ({"settings": []}, "settings is not an object"),
        ({"model_capabilties": {"streaming_capable": 3}}, "streaming_capable"),
        ({"openai_voices": {"alloy": 1}}, "openai_voices.alloy"),
        ({"alltalk": {"name": "other"}}, "alltalk has no name"),
        ({"alltalk": {"capabilities": {"streeming": True}}}, "has no streeming"),
        ({"alltalk": {"capabilities": {"speed": [2, 1]}}}, "alltalk.capabilities.speed"),
        ({"alltalk": {"capabilities": {"max_chars": -1}}}, "alltalk.capabilities.max_chars"),
        ({"alltalk": {"models": {"files": "config.json"}}}, "alltalk.models.files"),
        ({"alltalk": {"environment": "elsewhere"}}, "alltalk.environment"),
    ],
)
def test_a_value_that_does_not_hold_is_named(sections, complaint):
    with pytest.raises(ConfigError, match=complaint.replace(".", r"\.")):
        make_manifest("engine", sections)


def test_a_users_file_changes_settings_and_openai_voices_and_nothing_else():
    own = {
        "settings": {"temperature_set": 0.2},
        "openai_voices": {"echo": "male_01.wav"},
        "model_capabilties": {"streaming_capable": False},
        "alltalk": {"hidden": True},
    }
    manifest = make_manifest("xtts", adjusted(V2, own))
    assert manifest.settings["temperature_set"] == 0.2
    assert manifest.settings["def_character_voice"] == "female_01.wav"
    assert manifest.openai_voices == {"alloy": "female_01.wav", "echo": "male_01.wav"}
    assert manifest.capabilities.streaming
    assert not manifest.hidden


@pytest.mark.parametrize("content", ["", "[]", "{", '"text"', "\ufeff{]"])
def test_a_file_that_is_no_object_is_named(tmp_path, content):
    file = tmp_path / FILE_NAME
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=FILE_NAME):
        read_sections(file)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    file = tmp_path / FILE_NAME
    file.write_text("\ufeff" + json.dumps(V2), encoding="utf-8")
    assert read_sections(file) == V2


def test_settings_say_what_they_mean_and_may_be():
    level = {"type": ["number", "null"], "minimum": -60, "maximum": -6, "default": -20}
    mode = {"type": "string", "enum": ["fast", "good"], "description": "How."}
    manifest = make_manifest("x", {"alltalk": {"settings_schema": {"level": level, "mode": mode}}})
    assert manifest.settings_schema == {
        "level": SettingSchema("number", minimum=-60, maximum=-6, nullable=True, default=-20),
        "mode": SettingSchema("string", "How.", enum=("fast", "good")),
    }


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        ({"type": "text"}, "settings_schema.level.type is none of boolean, integer"),
        ({"type": ["number", "string"]}, "settings_schema.level.type"),
        ({"type": "number", "most": 3}, "settings_schema.level has no most"),
        ({"type": "number", "minimum": "0"}, "settings_schema.level.minimum: '0' is not a number"),
        ({"type": "string", "enum": "fast"}, "settings_schema.level.enum: 'fast' is not a list"),
        ({"type": "string", "description": 1}, "settings_schema.level.description"),
        ("number", "settings_schema.level is not an object"),
    ],
)
def test_a_schema_that_does_not_hold_is_named(schema, complaint):
    with pytest.raises(ConfigError, match=f"^{complaint}"):
        make_manifest("x", {"alltalk": {"settings_schema": {"level": schema}}})
