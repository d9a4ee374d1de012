"""Pieces: what was spoken of each line, as kept beside its sound."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import TypeAdapter

WAV_HEADER_BYTES = 44
SAMPLE_BYTES = 2
"""Pieces are 16-bit mono."""


class LineState(StrEnum):
    """How far a line is."""

    NEW = "new"
    """Nothing was spoken of it yet."""
    SPOKEN = "spoken"
    CHANGED = "changed"
    """What was spoken of it says another text, or says it in another manner."""


@dataclass(frozen=True, slots=True)
class Heard:
    """When a stretch of a line's text is heard, seconds from the start of its piece."""

    start_s: float
    end_s: float
    source: tuple[int, int]
    """Characters of the text that was spoken."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A line as it was spoken."""

    line: int
    """The line's id."""
    fingerprint: str
    """Of the line when it was spoken: another one now means that it has changed since."""
    text: str
    """What was said."""
    sound: str
    """Name of the file, a 16-bit mono wav at the document's rate."""
    sample_rate: int
    frames: int
    """Samples."""
    heard: tuple[Heard, ...] = ()

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.frames / self.sample_rate

    def to_json(self) -> bytes:
        """As it is kept."""
        return _PIECE.dump_json(self)

    @classmethod
    def from_json(cls, content: bytes) -> Piece:
        """Back from `to_json`. Raises ValueError for what is none."""
        return _PIECE.validate_json(content)


_PIECE: TypeAdapter[Piece] = TypeAdapter(Piece)
