"""Timeline: when each line is heard once all are laid end to end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from alltalk.documents.document import CHAPTER_PAUSE_S, PAUSE_S, Document, Line
from alltalk.documents.folder import Folder
from alltalk.documents.pieces import LineState, Piece
from alltalk.errors import BadInput
from alltalk.subtitles import Cue


@dataclass(frozen=True, slots=True)
class Stretch:
    """A line's sound on the timeline. All counts are samples at the document's rate."""

    line: Line
    piece: Piece
    start: int
    pause: int
    """Silence after it."""

    @property
    def end(self) -> int:
        """Of its sound."""
        return self.start + self.piece.frames


@dataclass(frozen=True, slots=True)
class Chapter:
    """A part of the whole, in samples."""

    title: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """What is heard, one after the other."""

    title: str
    sample_rate: int
    """Hz."""
    stretches: tuple[Stretch, ...]

    @property
    def frames(self) -> int:
        """Samples of it all; the last line's pause is not heard."""
        return self.stretches[-1].end if self.stretches else 0

    @property
    def digest(self) -> str:
        """Changes with whatever would make another file of it: no two sounds share a name."""
        said: list[object] = [self.title, self.sample_rate]
        for each in self.stretches:
            said += [each.piece.sound, each.pause, each.line.begins_chapter and each.line.text]
        return hashlib.sha256(repr(said).encode()).hexdigest()[:16]

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.frames / self.sample_rate

    @property
    def chapters(self) -> tuple[Chapter, ...]:
        """Parts that begin with a chapter's line, and what comes before the first; at least one."""
        starts = [each for each in self.stretches if each.line.begins_chapter]
        first = self.stretches[:1]
        if first and (not starts or starts[0] is not first[0]):
            titles = [self.title, *(each.line.text for each in starts)]
            starts = [*first, *starts]
        else:
            titles = [each.line.text for each in starts]
        ends = [*(each.start for each in starts[1:]), self.frames]
        return tuple(
            Chapter(title, each.start, end)
            for title, each, end in zip(titles, starts, ends, strict=True)
        )

    def cues(self) -> Iterator[Cue]:
        """Subtitles: what was said when, in the parts in which the engine said it."""
        for stretch in self.stretches:
            start_s = stretch.start / self.sample_rate
            for begin_s, end_s, text in _parts(stretch.piece):
                yield Cue(start_s + begin_s, start_s + end_s, text)


def timeline_of(folder: Folder, *, start: int | None = None, leave_out: bool = False) -> Timeline:
    """The document's lines from the one whose id is `start` on; None: all of them.

    Lines that have not been spoken as they stand now are an error, which names them; with
    `leave_out` they are left out, and one that was changed is heard as it was. Raises BadInput,
    NotFound.
    """
    document, pieces = folder.now()
    lines = document.lines[0 if start is None else document.place(start) :]
    if not leave_out:
        _check_spoken(folder, document, lines)
    heard = [(line, pieces[line.id]) for line in lines if line.id in pieces]
    heard = [each for each in heard if each[1].sample_rate == document.sample_rate]
    if not heard:
        raise BadInput("Nothing of this has been spoken yet. Have it spoken first.")
    stretches, at = [], 0
    for number, (line, piece) in enumerate(heard):
        following = heard[number + 1][0] if number + 1 < len(heard) else None
        pause = round(_pause_s(document, line, following) * document.sample_rate)
        stretches.append(Stretch(line, piece, at, pause))
        at += piece.frames + pause
    return Timeline(document.title, document.sample_rate, tuple(stretches))


def _pause_s(document: Document, line: Line, following: Line | None) -> float:
    asked = document.manner_of(line).pause_s
    pause_s = PAUSE_S if asked is None else asked
    if line.begins_chapter or (following is not None and following.begins_chapter):
        return max(pause_s, CHAPTER_PAUSE_S)
    return pause_s


def _check_spoken(folder: Folder, document: Document, lines: Sequence[Line]) -> None:
    first = len(document.lines) - len(lines) + 1
    places = [
        place
        for place, line in enumerate(lines, first)
        if folder.state(line) is not LineState.SPOKEN
    ]
    if places:
        some = ", ".join(str(place) for place in places[:5])
        more = f" and {len(places) - 5} more" if len(places) > 5 else ""
        raise BadInput(
            f"Not spoken yet, or changed since: line {some}{more}. "
            "Have them spoken first, or leave them out."
        )


def _parts(piece: Piece) -> Iterator[tuple[float, float, str]]:
    """What is said from when to when; all of it where its parts are not known."""
    if not piece.heard:
        yield 0.0, piece.seconds, piece.text
        return
    for heard in piece.heard:
        start, end = heard.source
        if text := piece.text[start:end].strip():
            yield heard.start_s, min(heard.end_s, piece.seconds), text
