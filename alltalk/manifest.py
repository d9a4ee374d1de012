"""Reads an engine's `model_settings.json` into its Manifest.

The file keeps AllTalk V2's sections, so that those of a V2 install are read as they are:
`model_details`, `model_capabilties` (sic), `settings` and `openai_voices`. What V2 has no place
for stands in the section `alltalk`: `display_name`, `capabilities` (fields of Capabilities),
`models` (fields of ModelRule), `settings_schema` (see `setting_schema.py`), `shipped_voices`,
`requires`, `extra`, `environment`, `hidden`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_type_hints

from alltalk.engine import Capabilities, Manifest, ModelRule
from alltalk.errors import ConfigError
from alltalk.setting_schema import read_schemas

Sections = Mapping[str, Any]
"""A `model_settings.json`, as JSON gives it."""
FILE_NAME = "model_settings.json"


def read_sections(file: Path) -> dict[str, Any]:
    """The sections of `file`. Raises ConfigError if it is not a JSON object that can be read."""
    try:
        sections = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    if not isinstance(sections, dict):
        raise ConfigError(f"{file} is not a JSON object.")
    return sections


def adjusted(sections: Sections, by: Sections) -> dict[str, Any]:
    """`sections` of an engine, with what a user's own file says about settings and OpenAI voices.

    The rest of that file describes another program's engine, V2's, or an older one of ours.
    """
    changed = {name: {**_section(sections, name), **_section(by, name)} for name in _ADJUSTABLE}
    return {**sections, **changed}


_ADJUSTABLE = ("settings", "openai_voices")


def make_manifest(name: str, sections: Sections) -> Manifest:
    """The manifest of engine `name`. Raises ConfigError, which names the key at fault."""
    details, ours = _section(sections, "model_details"), _section(sections, "alltalk")
    flags = {key: _flag(key, value) for key, value in _capability_flags(sections).items()}
    apart = ("capabilities", "models", "settings_schema")
    rest = {key: value for key, value in ours.items() if key not in apart}
    return Manifest(
        name=name,
        manufacturer=str(details.get("manufacturer_name", "")),
        website=str(details.get("manufacturer_website", "")),
        description=str(details.get("model_description", "")),
        capabilities=Capabilities(**_capabilities(flags, _section(ours, "capabilities"))),
        models=_model_rule(name, ours),
        settings=read_settings(_section(sections, "settings")),
        settings_schema=read_schemas(_section(ours, "settings_schema")),
        openai_voices=_texts_by_name("openai_voices", _section(sections, "openai_voices")),
        platforms=tuple(p for p in ("windows", "linux", "mac") if flags.get(f"{p}_capable", True)),
        **{"display_name": name, **_values(_OURS, rest, "alltalk")},
    )


def read_settings(section: Sections) -> dict[str, Any]:
    """V2's settings with their types: `…_set` are numbers (V2 writes some as text, even with a
    decimal comma), `…_enabled` and `…_installed` are true or false. Others stay as they are."""
    return {key: _setting(key, value) for key, value in section.items()}


def _setting(key: str, value: Any) -> Any:
    if key.endswith("_set"):
        return _number(f"settings.{key}", value)
    if key.endswith(("_enabled", "_installed")):
        return _flag(f"settings.{key}", value)
    return value


def _capability_flags(sections: Sections) -> dict[str, Any]:
    section = _section(sections, "model_capabilties")
    return {key: value for key, value in section.items() if key.endswith("_capable")}


def _capabilities(flags: Mapping[str, bool], ours: Sections) -> dict[str, Any]:
    """Arguments of Capabilities: V2's flags, and then what our own section says."""
    names = {
        "streaming_capable": "streaming",
        "deepspeed_capable": "deepspeed",
        "lowvram_capable": "low_vram",
    }
    draws = {
        "temperature_capable": "temperature",
        "repetitionpenalty_capable": "repetition_penalty",
    }
    return {
        **{name: flags[flag] for flag, name in names.items() if flag in flags},
        "sampling": frozenset(name for flag, name in draws.items() if flags.get(flag)),
        **_values(get_type_hints(Capabilities), ours, "alltalk.capabilities"),
    }


def _model_rule(name: str, ours: Sections) -> ModelRule:
    """The rule in the section; an engine without one has a single model of its own name."""
    if "models" not in ours:
        return ModelRule(fixed=(name,))
    return ModelRule(
        **_values(get_type_hints(ModelRule), _section(ours, "models"), "alltalk.models")
    )


def _section(sections: Sections, name: str) -> dict[str, Any]:
    section = sections.get(name, {})
    if not isinstance(section, dict):
        raise ConfigError(f"{name} is not an object.")
    return section


def _values(types: Mapping[str, Any], section: Sections, where: str) -> dict[str, Any]:
    """The section's values as its fields take them, by the types these declare."""
    if unknown := section.keys() - types.keys():
        raise ConfigError(f"{where} has no {', '.join(sorted(unknown))}.")
    return {key: _READ[types[key]](f"{where}.{key}", value) for key, value in section.items()}


def _flag(key: str, value: Any) -> bool:
    text = str(value).strip().lower()
    if text not in ("true", "false"):
        raise ConfigError(f"{key}: {value!r} is neither true nor false.")
    return text == "true"


def _number(key: str, value: Any) -> float:
    try:
        return float(str(value).replace(",", "."))
    except ValueError:
        raise ConfigError(f"{key}: {value!r} is not a number.") from None


def _count(key: str, value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ConfigError(f"{key}: {value!r} is not a whole number of 0 or more.")
    return value


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{key}: {value!r} is not a text.")
    return value


def _one_of(*known: str) -> Callable[[str, Any], str]:
    def read(key: str, value: Any) -> str:
        if value not in known:
            raise ConfigError(f"{key}: {value!r} is none of {', '.join(known)}.")
        return str(value)

    return read


def _list(key: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ConfigError(f"{key}: {value!r} is not a list.")
    return value


def _texts(key: str, value: Any) -> tuple[str, ...]:
    return tuple(_text(key, each) for each in _list(key, value))


def _groups(key: str, value: Any) -> tuple[tuple[str, ...], ...]:
    return tuple(_texts(key, each) for each in _list(key, value))


def _range(key: str, value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    numbers = [_number(key, each) for each in _list(key, value)]
    if len(numbers) != 2 or not numbers[0] <= numbers[1]:
        raise ConfigError(f"{key}: {value!r} is not a range [low, high].")
    return numbers[0], numbers[1]


def _texts_by_name(key: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ConfigError(f"{key}: {value!r} is not an object.")
    return {name: _text(f"{key}.{name}", each) for name, each in value.items()}


_READ: Mapping[Any, Callable[[str, Any], Any]] = {
    bool: _flag,
    int: _count,
    str: _text,
    tuple[str, ...]: _texts,
    tuple[tuple[str, ...], ...]: _groups,
    frozenset[str]: lambda key, value: frozenset(_texts(key, value)),
    tuple[float, float] | None: _range,
    Mapping[str, str]: _texts_by_name,
    Literal["shared", "own"]: _one_of("shared", "own"),
}
"""How the JSON value of a field is read, by the type the field declares."""
_OURS = {
    name: declared
    for name, declared in get_type_hints(Manifest).items()
    if name in ("display_name", "shipped_voices", "requires", "extra", "environment", "hidden")
}
"""Fields of a manifest that our own section sets."""
