"""What the routes for long texts take, and how a document is told."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from alltalk.documents import Folder, Line, Manner, Piece
from alltalk.reading import Progress


class Body(BaseModel):
    """Unknown fields are refused: a misspelt one would be silently without effect."""

    model_config = ConfigDict(extra="forbid")


class MannerBody(Body):
    """How something is spoken; absent or null: as the document, or the settings, say."""

    voice: str | None = None
    language: str | None = Field(None, description="A tag, or `auto`.")
    engine: str | None = None
    speed: float | None = Field(None, description="0.25 to 4.")
    pitch: float | None = Field(None, description="Semitones, -24 to 24.")
    temperature: float | None = None
    conversion: str | None = Field(None, description="RVC voice; empty: none.")
    semitones: float | None = Field(None, description="Of the conversion, -24 to 24.")
    pause_s: float | None = Field(None, description="Silence after it, 0 to 60 seconds.")

    def manner(self) -> Manner:
        """Raises BadValue."""
        return Manner.of({name: getattr(self, name) for name in MannerBody.model_fields})


class NewDocument(MannerBody):
    """A text and how it is spoken. As a form, a file may take the text's place."""

    text: str = ""
    title: Annotated[str, Field(max_length=300)] = ""
    """Empty: the file's, else the text's beginning."""
    format: Literal["txt", "md"] = "txt"
    """Of `text`."""
    split: Literal["paragraphs", "sentences"] = "paragraphs"
    sample_rate: int = 24_000


class ChangedDocument(Body):
    """What is to change; what is absent stays."""

    title: str | None = None
    manner: MannerBody | None = None
    """In place of the whole manner before."""


class ChangedLine(Body):
    """What is to change; what is absent stays."""

    text: str | None = None
    manner: MannerBody | None = None
    """In place of the line's whole manner before."""
    begins_chapter: bool | None = None
    position: Annotated[int | None, Field(ge=1)] = None
    """Where the line is to stand, from 1."""


class NewLines(Body):
    """Lines to be put in."""

    texts: Annotated[list[str], Field(min_length=1)]
    position: Annotated[int | None, Field(ge=1)] = None
    """Where the first is to stand, from 1; null: at the end."""
    manner: MannerBody | None = None


class SpeakBody(Body):
    """What is to be spoken."""

    lines: Annotated[list[int] | None, Field(min_length=1)] = None
    """Ids of lines to be spoken even again; null: all that are not spoken as they stand."""


def described(folder: Folder, progress: Progress) -> dict[str, Any]:
    """All of a document."""
    document, pieces = folder.now()
    return {
        "object": "document",
        "id": folder.id,
        "title": document.title,
        "manner": document.manner.chosen,
        "sample_rate": document.sample_rate,
        "created": int(document.made_s),
        "revision": document.revision,
        "progress": told(progress),
        "lines": [
            described_line(folder, line, pieces.get(line.id), progress) for line in document.lines
        ],
    }


def described_line(
    folder: Folder, line: Line, piece: Piece | None, progress: Progress
) -> dict[str, Any]:
    """One line, and how far it is."""
    return {
        "id": line.id,
        "text": line.text,
        "manner": line.manner.chosen,
        "begins_chapter": line.begins_chapter,
        "state": "speaking" if line.id in progress.speaking else folder.state(line).value,
        "seconds": round(piece.seconds, 3) if piece else None,
        "problem": progress.failures.get(line.id),
    }


def told(progress: Progress) -> dict[str, Any]:
    """How far a document is."""
    left_s = progress.time_left_s
    return {
        **asdict(progress),
        "speaking": sorted(progress.speaking),
        "failures": [{"line": id, "problem": problem} for id, problem in progress.failures.items()],
        "time_left_s": None if left_s is None else round(left_s, 1),
    }
