"""Parler's settings, with their types and ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alltalk.errors import ConfigError

FRAMES_A_SECOND = 86


@dataclass(frozen=True, slots=True)
class Settings:
    """How Parler speaks when a request does not say."""

    temperature: float
    top_k: int
    """0: all codes."""
    top_p: float
    slots: int
    """Utterances spoken at once."""
    chunk_frames: int
    """Frames in a piece of sound."""

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> Settings:
        """From the manifest's names. Raises ConfigError."""
        return cls(
            _number(settings, "temperature_set", 1.0, 0.0, 2.0),
            int(_number(settings, "top_k", 50, 0, 1024)),
            _number(settings, "top_p", 1.0, 0.01, 1.0),
            int(_number(settings, "slots", 4, 1, 64)),
            round(_number(settings, "chunk_s", 0.5, 0.1, 10.0) * FRAMES_A_SECOND),
        )


def _number(
    settings: Mapping[str, object], name: str, default: float, least: float, most: float
) -> float:
    value = settings.get(name, default)
    if not isinstance(value, int | float) or not least <= value <= most:
        raise ConfigError(f"{name}: {value!r} is not a number from {least:g} to {most:g}.")
    return value
