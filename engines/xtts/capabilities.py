"""What XTTS can do, whichever way it runs."""

from __future__ import annotations

from alltalk.engine import Capabilities

from .text import Reader

SPEED = (0.5, 2.0)
"""Further out, stretched latents stop sounding like speech."""


def capabilities(reader: Reader, *, slots: int = 1, deepspeed: bool = True) -> Capabilities:
    """`deepspeed`: whether it may be asked for."""
    return Capabilities(
        streaming=True,
        cloning=True,
        languages=reader.languages,
        speed=SPEED,
        sampling=frozenset({"temperature", "top_k", "top_p", "repetition_penalty"}),
        seed=True,
        low_vram=True,
        deepspeed=deepspeed,
        max_chars=250,
        slots=slots,
    )
