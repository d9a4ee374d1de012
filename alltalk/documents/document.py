"""A document: lines to be spoken, each in a manner of its own, and the changes it can go through.

All of it is immutable: a change makes another document. What has been spoken of it is kept apart,
in `pieces.py`, so that finishing a line and editing one never meet.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from alltalk.engine import Sampling
from alltalk.errors import BadInput, BadValue, NotFound
from alltalk.speech import Conversion, SpeechRequest

LONGEST_LINE = 5_000
"""Characters. A line is the unit that is spoken again, so a longer one helps nobody."""
MOST_LINES = 50_000
PAUSE_S = 0.4
"""Seconds between two lines, where nothing else is asked for."""
CHAPTER_PAUSE_S = 1.2
"""Seconds before a chapter begins, at least."""
SAMPLE_RATES = (22_050, 24_000, 44_100, 48_000)


@dataclass(frozen=True, slots=True)
class Manner:
    """How something is spoken. None: as the document says; there, as the settings say."""

    voice: Annotated[str | None, Field(max_length=500)] = None
    language: Annotated[str | None, Field(max_length=40)] = None
    """A tag, or `auto`."""
    engine: Annotated[str | None, Field(max_length=200)] = None
    speed: Annotated[float | None, Field(ge=0.25, le=4)] = None
    pitch: Annotated[float | None, Field(ge=-24, le=24)] = None
    """Semitones."""
    temperature: Annotated[float | None, Field(ge=0.01, le=2)] = None
    conversion: Annotated[str | None, Field(max_length=500)] = None
    """RVC voice; empty: none."""
    semitones: Annotated[float | None, Field(ge=-24, le=24)] = None
    """By which the conversion moves the pitch."""
    pause_s: Annotated[float | None, Field(ge=0, le=60)] = None
    """Silence after it, seconds."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Manner:
        """The manner that `values` describe. Raises BadValue for one that does not hold."""
        unknown = set(values) - {each.name for each in fields(cls)}
        if unknown:
            raise BadValue(sorted(unknown)[0], "there is no such setting of a line.")
        try:
            return _MANNER.validate_python(dict(values))
        except ValidationError as error:
            first = error.errors()[0]
            raise BadValue(str(first["loc"][0]), f"{first['msg']}.") from None

    def over(self, base: Manner) -> Manner:
        """This manner, with what it leaves open taken from `base`."""
        return replace(base, **self.chosen)

    @property
    def chosen(self) -> dict[str, Any]:
        """What it does not leave open, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Line:
    """What is spoken, kept and spoken again as one."""

    id: int
    """Never given to another line of the document."""
    text: str
    manner: Manner = field(default_factory=Manner)
    begins_chapter: bool = False
    """Its text is the chapter's title."""


@dataclass(frozen=True, slots=True)
class NewLine:
    """A line before a document has given it an id."""

    text: str
    begins_chapter: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """Lines in the order in which they are heard."""

    title: str
    lines: tuple[Line, ...] = ()
    manner: Manner = field(default_factory=Manner)
    """Of all lines, where they do not say otherwise."""
    sample_rate: int = 24_000
    """Hz of every piece: so joining them is laying them end to end."""
    next_id: int = 1
    revision: int = 0
    """Counts the changes."""
    made_s: float = 0.0
    """Seconds since 1970."""

    @property
    def characters(self) -> int:
        """Of all lines."""
        return sum(len(line.text) for line in self.lines)

    @property
    def by_id(self) -> dict[int, Line]:
        """Its lines by id, in order."""
        return {line.id: line for line in self.lines}

    def line(self, id: int) -> Line:
        """The line of that id. Raises NotFound."""
        return self.lines[self.place(id)]

    def place(self, id: int) -> int:
        """Where the line of that id stands, from 0. Raises NotFound."""
        for place, line in enumerate(self.lines):
            if line.id == id:
                return place
        raise NotFound(f"There is no line {id} in this document any more.")

    # Changes

    def titled(self, title: str) -> Document:
        """Under another title. Raises BadInput."""
        return self._next(title=checked_title(title))

    def spoken_in(self, manner: Manner) -> Document:
        """With `manner` for all lines that do not say otherwise."""
        return self._next(manner=manner)

    def edited(
        self,
        ids: Collection[int],
        *,
        text: str | None = None,
        manner: Manner | None = None,
        begins_chapter: bool | None = None,
    ) -> Document:
        """With the lines of those ids changed. Raises NotFound, BadInput."""
        changes: dict[str, Any] = {}
        if text is not None:
            changes["text"] = checked_text(text)
        if manner is not None:
            changes["manner"] = manner
        if begins_chapter is not None:
            changes["begins_chapter"] = begins_chapter
        self.check_known(ids)
        chosen = frozenset(ids)
        return self._with_lines(
            replace(line, **changes) if line.id in chosen else line for line in self.lines
        )

    def moved(self, id: int, place: int) -> Document:
        """With that line at `place`, from 0; beyond the ends means at the end. Raises NotFound."""
        line = self.line(id)
        others = [each for each in self.lines if each.id != id]
        others.insert(min(max(place, 0), len(others)), line)
        return self._with_lines(others)

    def inserted(
        self, drafts: Iterable[NewLine], place: int, manner: Manner | None = None
    ) -> Document:
        """With more lines from `place` on. Raises BadInput."""
        added = tuple(
            Line(id, checked_text(draft.text), manner or Manner(), draft.begins_chapter)
            for id, draft in enumerate(drafts, self.next_id)
        )
        if len(self.lines) + len(added) > MOST_LINES:
            raise BadInput(f"A document has at most {MOST_LINES} lines. Make it two.")
        place = min(max(place, 0), len(self.lines))
        lines = (*self.lines[:place], *added, *self.lines[place:])
        return self._next(lines=lines, next_id=self.next_id + len(added))

    def without(self, ids: Collection[int]) -> Document:
        """Without the lines of those ids. Raises NotFound."""
        self.check_known(ids)
        gone = frozenset(ids)
        return self._with_lines(line for line in self.lines if line.id not in gone)

    def check_known(self, ids: Iterable[int]) -> None:
        """Raises NotFound unless there are lines of all those ids."""
        if missing := sorted(set(ids) - set(self.by_id)):
            raise NotFound(f"There is no line {missing[0]} in this document any more.")

    def _with_lines(self, lines: Iterable[Line]) -> Document:
        return self._next(lines=tuple(lines))

    def _next(self, **changes: Any) -> Document:
        return replace(self, revision=self.revision + 1, **changes)

    # What is to be spoken

    def manner_of(self, line: Line) -> Manner:
        """How `line` is spoken in the end."""
        return line.manner.over(self.manner)

    def request(self, line: Line) -> SpeechRequest:
        """What the service is asked for to have `line` spoken, as a wav."""
        manner = self.manner_of(line)
        conversion = None
        if manner.conversion:
            conversion = Conversion(manner.conversion, manner.semitones or 0.0)
        return SpeechRequest(
            text=line.text,
            voice=manner.voice or "",
            text_filter="standard",
            language=manner.language or "",
            speed=1.0 if manner.speed is None else manner.speed,
            pitch=manner.pitch or 0.0,
            sampling=Sampling(temperature=manner.temperature),
            conversion=conversion,
            sample_rate=self.sample_rate,
            engine=manner.engine or "",
        )

    def fingerprint(self, line: Line) -> str:
        """Changes with everything that decides how `line` sounds, as far as the document says."""
        manner = self.manner_of(line)  # its pause is laid between the pieces
        said = [
            *(line.text, self.sample_rate, manner.voice or "", manner.language or ""),
            *(manner.engine or "", 1.0 if manner.speed is None else manner.speed),
            *(manner.pitch or 0.0, manner.temperature, manner.conversion or ""),
            (manner.semitones or 0.0) if manner.conversion else 0.0,
        ]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]

    def to_json(self) -> bytes:
        """As it is kept."""
        return _DOCUMENT.dump_json(self, indent=1, exclude_none=True)

    @classmethod
    def from_json(cls, content: bytes) -> Document:
        """Back from `to_json`. Raises ValueError for what is none."""
        document = _DOCUMENT.validate_json(content)
        ids = [line.id for line in document.lines]
        if len(set(ids)) < len(ids) or any(id >= document.next_id for id in ids):
            raise ValueError("two lines share an id")
        return document


_MANNER: TypeAdapter[Manner] = TypeAdapter(Manner)
_DOCUMENT: TypeAdapter[Document] = TypeAdapter(Document)


def checked_text(text: str) -> str:
    """`text` as a line holds it: on one line, without space at its edges. Raises BadInput."""
    text = " ".join(text.replace("\0", " ").split())
    if not text:
        raise BadValue("text", "a line cannot be empty; remove it instead.")
    if len(text) > LONGEST_LINE:
        raise BadValue(
            "text", f"a line has at most {LONGEST_LINE} characters, this has {len(text)}. Split it."
        )
    return text


def checked_title(title: str) -> str:
    """`title` on one line. Raises BadInput."""
    title = " ".join(title.split())
    if not title or len(title) > 300:
        raise BadValue("title", "a title has 1 to 300 characters.")
    return title
