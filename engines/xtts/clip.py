"""An utterance while it is spoken: the piece of its text that is said now, and those to come."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from .guard import Guard
from .latents import Latents
from .manner import Manner
from .vocoder import Waveform


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """All that is known of an utterance before it is spoken."""

    pieces: Sequence[tuple[str, list[int]]]
    """Text that the model says in one go, and its tokens."""
    latents: Latents
    manner: Manner
    seed: int


@dataclass(slots=True, eq=False)
class Clip:
    """A piece while it is said."""

    prompt: torch.Tensor
    """float32 [1, t, width], on the device."""
    waveform: Waveform
    guard: Guard
    prefilled: int = 0
    """Positions of the prompt that are in the cache."""
    tokens: list[int] = field(default_factory=list)


class Spoken:
    """An open utterance."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self.pieces = deque(prepared.pieces)
        self.said_pieces = 0
        self.clip: Clip | None = None
        self.is_heard = False
        """There was sound of it."""
        self.is_done = False
        """Its last event was sent, or it has nothing to say and is about to."""

    def is_waiting(self) -> bool:
        """Its next piece can be begun."""
        return self.clip is None and bool(self.pieces) and not self.is_done

    def is_due(self) -> bool:
        """There is sound to be made of it, or its end to be told."""
        if self.is_done:
            return False
        return self.clip.waveform.is_due if self.clip else not self.pieces

    def urgency(self) -> tuple[bool, int]:
        """Sorts first a clip's first sound and its last, then what waits longest.

        The former stay in the order in which they came, so that none waits for ever: what has
        ended waits for no more latents, and would be overtaken by all that still decode.
        """
        waveform = self.clip.waveform if self.clip else None
        if waveform is None or waveform.is_first or waveform.ended:
            return False, 0
        return True, -waveform.waiting
