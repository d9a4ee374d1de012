"""What became of one thing that the other installation had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Part = Literal["settings", "voices", "models", "rvc", "other"]
Outcome = Literal["taken", "same", "kept", "left"]
"""taken: it is here now; same: it was here already; kept: ours is another and stays; left: we have
no use for it, or it does not hold."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """A setting or a file, and what became of it."""

    part: Part
    name: str
    """A key with its dots, or a path in the other folder with slashes."""
    outcome: Outcome
    detail: str = ""
    """How it was taken, or why it was not."""
