"""How an utterance is to be drawn and spoken: by its request, else the settings, else the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alltalk.engine import Utterance


@dataclass(frozen=True, slots=True)
class Manner:
    """How the model draws, and how fast it speaks."""

    temperature: float = 0.75
    """0: always the likeliest token."""
    top_k: int = 50
    """0: all."""
    top_p: float = 0.85
    repetition_penalty: float = 10.0
    length_penalty: float = 1.0
    speed: float = 1.0

    @classmethod
    def of(cls, utterance: Utterance, settings: Mapping[str, object], own: Any) -> Manner:
        """`own`: the model's configuration."""
        wished = utterance.sampling

        def chosen(wish: float | None, setting: str, usual: float) -> float:
            value = settings.get(setting, usual) if wish is None else wish
            return float(str(value))

        return cls(
            temperature=chosen(wished.temperature, "temperature_set", own.temperature),
            top_k=round(chosen(wished.top_k, "top_k_set", own.top_k)),
            top_p=chosen(wished.top_p, "top_p_set", own.top_p),
            repetition_penalty=chosen(
                wished.repetition_penalty, "repetitionpenalty_set", own.repetition_penalty
            ),
            length_penalty=own.length_penalty,
            speed=utterance.speed,
        )
