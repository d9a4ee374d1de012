"""The settings of Piper, from its `model_settings.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alltalk.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Settings:
    """See the README."""

    noise_scale: float | None = None
    noise_w_scale: float | None = None
    level_db: float | None = None
    """dB of full scale; None: as loud as the network speaks."""
    memory_mb: float = 1000.0
    default_voice: str = ""

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> Settings:
        """Raises ConfigError, naming the key at fault."""
        memory_mb = _number(settings, "memory_mb", 0.0, 1e6)
        return cls(
            noise_scale=_number(settings, "noise_scale", 0.0, 2.0),
            noise_w_scale=_number(settings, "noise_w_scale", 0.0, 2.0),
            level_db=_number(settings, "level_db", -60.0, -6.0),
            memory_mb=1000.0 if memory_mb is None else memory_mb,
            default_voice=str(settings.get("def_character_voice") or ""),
        )


def _number(settings: Mapping[str, object], key: str, low: float, high: float) -> float | None:
    """The setting; None where it is null or empty."""
    value = settings.get(key)
    if value is None or value == "":
        return None
    try:
        number = float(str(value).replace(",", "."))
    except ValueError:
        raise ConfigError(f"{key}: {value!r} is not a number.") from None
    if not low <= number <= high:
        raise ConfigError(f"{key}: {value} is not between {low:g} and {high:g}.")
    return number
