"""What an engine's settings mean and may be, as its manifest says: a part of JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from alltalk.errors import ConfigError

SettingKind = Literal["boolean", "integer", "number", "string"]


@dataclass(frozen=True, slots=True)
class SettingSchema:
    """One setting."""

    type: SettingKind
    description: str = ""
    """A sentence for those who set it."""
    minimum: float | None = None
    maximum: float | None = None
    enum: tuple[str, ...] = ()
    """All that it may be; empty: anything of its type."""
    nullable: bool = False
    """It may be null, which leaves it to the engine."""
    default: Any = None
    """As it comes with the engine."""


def read_schemas(section: Mapping[str, Any]) -> dict[str, SettingSchema]:
    """Setting → its schema. Raises ConfigError, which names the key at fault."""
    return {name: _schema(f"settings_schema.{name}", each) for name, each in section.items()}


_KEYS = frozenset(("type", "description", "minimum", "maximum", "enum", "default"))


def _schema(where: str, section: Any) -> SettingSchema:
    if not isinstance(section, dict):
        raise ConfigError(f"{where} is not an object.")
    if unknown := section.keys() - _KEYS:
        raise ConfigError(f"{where} has no {', '.join(sorted(unknown))}.")
    kinds = section.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    named = [kind for kind in kinds if kind != "null"]
    if len(named) != 1 or named[0] not in get_args(SettingKind):
        known = ", ".join(get_args(SettingKind))
        raise ConfigError(f"{where}.type is none of {known}, or a list of one of them and null.")
    return SettingSchema(
        type=cast(SettingKind, named[0]),
        description=_text(f"{where}.description", section.get("description", "")),
        minimum=_bound(f"{where}.minimum", section.get("minimum")),
        maximum=_bound(f"{where}.maximum", section.get("maximum")),
        enum=_texts(f"{where}.enum", section.get("enum", [])),
        nullable="null" in kinds,
        default=section.get("default"),
    )


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{where}: {value!r} is not a text.")
    return value


def _texts(where: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ConfigError(f"{where}: {value!r} is not a list of texts.")
    return tuple(_text(where, each) for each in value)


def _bound(where: str, value: Any) -> float | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ConfigError(f"{where}: {value!r} is not a number.")
    return value


COMMON: Mapping[str, SettingSchema] = {
    "def_character_voice": SettingSchema(
        "string", "Who speaks where a request names nobody; empty: the engine's first voice."
    ),
    "def_narrator_voice": SettingSchema(
        "string", "Who reads for the narrator where a request names nobody."
    ),
    "generationspeed_set": SettingSchema(
        "number", "Speed of /api requests that name none; 1: as recorded.", 0.25, 2.0, default=1.0
    ),
    "pitch_set": SettingSchema(
        "number", "Semitones that /api requests without a pitch are moved by.", -10, 10, default=0
    ),
    "temperature_set": SettingSchema(
        "number", "Higher: livelier and less sure.", 0.1, 1.0, default=0.75
    ),
    "repetitionpenalty_set": SettingSchema(
        "number", "Higher: fewer stammers and long silences.", 1.0, 20.0, default=10.0
    ),
    "lowvram_enabled": SettingSchema(
        "boolean", "The weights wait in main memory while nobody speaks.", default=False
    ),
    "deepspeed_enabled": SettingSchema(
        "boolean", "Try DeepSpeed; it needs its package and an NVIDIA GPU.", default=False
    ),
}
"""V2's settings, which all engines have; an engine's own schema stands in for one of these."""
