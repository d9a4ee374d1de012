"""XTTS's settings beside those of a request, with their types and ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alltalk.errors import ConfigError

from .linear import PRECISIONS

RUNTIMES = ("batched", "reference")
VOCODER_PRECISIONS = ("auto", "float32", "float16", "bfloat16")


@dataclass(frozen=True, slots=True)
class Settings:
    """How XTTS runs."""

    runtime: str
    slots: int
    """Utterances spoken at once."""
    precision: str
    """Of the language model's weights."""
    vocoder_precision: str
    first_chunk_tokens: int
    """Tokens of the first chunk, by which each is longer than the one before."""
    longest_chunk_tokens: int
    guarded: bool
    """Whether a clip that cannot be its text is refused."""

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> Settings:
        """From the manifest's names. Raises ConfigError."""
        first = _whole(settings, "first_chunk_tokens", 8, 1, 600)
        return cls(
            _one_of(settings, "runtime", RUNTIMES),
            _whole(settings, "slots", 8, 1, 256),
            _one_of(settings, "precision", PRECISIONS),
            _one_of(settings, "vocoder_precision", VOCODER_PRECISIONS),
            first,
            max(first, _whole(settings, "longest_chunk_tokens", 32, 1, 600)),
            settings.get("guard_enabled", True) is True,
        )


def _one_of(settings: Mapping[str, object], name: str, known: tuple[str, ...]) -> str:
    value = settings.get(name, known[0])
    if value not in known:
        raise ConfigError(f"{name}: {value!r} is none of {', '.join(known)}.")
    return str(value)


def _whole(settings: Mapping[str, object], name: str, usual: int, least: int, most: int) -> int:
    value = settings.get(name, usual)
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
        raise ConfigError(f"{name}: {value!r} is not a whole number from {least} to {most}.")
    return round(value)
