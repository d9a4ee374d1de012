"""What the Long text page shows: a document in words. Pure; nothing here knows of events."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from alltalk.documents import Document, Folder, Line, LineState, Manner, Piece
from alltalk.reading import Progress

PAGE_LINES = 25
"""Lines shown at once: what a screen and a browser bear."""
SHOWN_CHARS = 160
"""Of a line in the list; choosing it shows all."""

STYLE = """<style>
.long-text-lines .wrap { flex-direction: column; gap: 4px; max-height: 60vh; overflow-y: auto; }
.long-text-lines label { width: 100%; white-space: normal; overflow-wrap: anywhere; }
.long-text-progress progress { width: 100%; height: 1rem; accent-color: var(--color-accent); }
.long-text-player audio { width: 100%; }
.long-text-status { overflow-wrap: anywhere; }
</style>"""


@dataclass(frozen=True, slots=True)
class Shown:
    """A document as of one moment, and which page of it is looked at."""

    folder: Folder
    document: Document
    pieces: Mapping[int, Piece]
    progress: Progress
    page: int

    @property
    def pages(self) -> int:
        """How many there are; at least one."""
        return max(1, -(-len(self.document.lines) // PAGE_LINES))

    @property
    def lines(self) -> tuple[tuple[int, Line], ...]:
        """Those on the page, each with its number from 1."""
        first = self.page * PAGE_LINES
        on_page = self.document.lines[first : first + PAGE_LINES]
        return tuple(enumerate(on_page, first + 1))

    def choices(self) -> list[tuple[str, int]]:
        """The lines of the page as what can be chosen."""
        return [(self._label(number, line), line.id) for number, line in self.lines]

    def _label(self, number: int, line: Line) -> str:
        parts = [f"{number}", self._state(line)]
        if line.manner.voice:
            parts.append(line.manner.voice)
        if line.begins_chapter:
            parts.append("chapter")
        text = line.text
        if len(text) > SHOWN_CHARS:
            text = text[:SHOWN_CHARS].rsplit(" ", 1)[0] + " …"
        return f"{' · '.join(parts)} — {text}"

    def _state(self, line: Line) -> str:
        if line.id in self.progress.speaking:
            return "▶ speaking"
        if line.id in self.progress.failures:
            return "⚠ failed"
        piece = self.pieces.get(line.id)
        if piece is None:
            return "○ new"
        if self.folder.state(line) is LineState.CHANGED:
            return "● changed"
        return f"✓ {clock(piece.seconds)}"


def page_of(document: Document, line: int | None) -> int:
    """On which page the line of that id stands; the first where it stands nowhere."""
    ids = [each.id for each in document.lines]
    return ids.index(line) // PAGE_LINES if line in ids else 0


def progress_html(progress: Progress) -> str:
    """How far it is, as a bar and a sentence."""
    return (
        '<div class="long-text-progress" role="status">'
        f'<progress value="{progress.characters_done}" max="{max(1, progress.characters)}" '
        'aria-label="Spoken so far"></progress>'
        f"<p>{shown_text(sentence(progress))}</p></div>"
    )


def sentence(progress: Progress) -> str:
    """How far it is."""
    done = f"{progress.lines_done} of {progress.lines} lines spoken"
    if progress.state == "speaking":
        left = progress.time_left_s
        return f"{done}; speaking, " + ("…" if left is None else f"about {duration(left)} left")
    if progress.state == "stopping":
        return f"{done}; stopping …"
    if progress.problem:
        return f"{done}; stopped: {progress.problem}"
    if progress.failures:
        count = len(progress.failures)
        return f"{done}; {count} failed. Choose one to see why."
    if not progress.lines:
        return "There are no lines. Add some below."
    if progress.lines_done < progress.lines:
        return f"{done}."
    return f"All {progress.lines} lines are spoken." if progress.lines > 1 else "It is spoken."


def player_html(id: str, start: int | None, revision: str, *, autoplay: bool = True) -> str:
    """A player of all that is spoken, from the line of id `start` on."""
    query = f"r={quote(revision)}" + ("" if start is None else f"&start={start}")
    return (
        '<div class="long-text-player">'
        f'<audio controls {"autoplay" if autoplay else ""} aria-label="Document" '
        f'src="../v1/documents/{id}/audio?{query}"></audio></div>'
    )


def link_html(id: str, format: str, leave_out: bool, title: str) -> str:
    """A link that saves an export."""
    query = "?leave_out=true" if leave_out else ""
    return (
        f'<a class="long-text-link" download href="../v1/documents/{id}/export/{format}{query}">'
        f"Save “{shown_text(title)}” as {format}</a>"
    )


def status_html(message: str, *, wrong: bool = False) -> str:
    """A message. In a place for messages (see `access.py`) screen readers tell it."""
    role = ' role="alert"' if wrong else ""
    return f'<p class="long-text-status"{role}>{shown_text(message)}</p>' if message else ""


def shown_text(text: str) -> str:
    """`text` inside HTML; nothing in it means anything to the page's templates either."""
    escaped = html.escape(text)
    for sign in "{}$`":
        escaped = escaped.replace(sign, f"&#{ord(sign)};")
    return escaped


def manner_of(fields: Sequence[Any], base: Manner) -> Manner:
    """What `fields` (as of `field_values`) say over what they do not show of `base`.

    Raises BadValue.
    """
    voice, language, speed, pitch, pause_s = fields
    shown = {
        "voice": voice or None,
        "language": language or None,
        "speed": speed,
        "pitch": pitch,
        "pause_s": pause_s,
    }
    return Manner.of({**base.chosen, **shown})


def field_values(manner: Manner) -> tuple[Any, ...]:
    """Voice, language, speed, pitch and pause as their fields show them."""
    return (
        *(manner.voice or "", manner.language or ""),
        *(manner.speed, manner.pitch, manner.pause_s),
    )


def clock(seconds: float) -> str:
    """3 min 5 s as 3:05, what is short as 4.2 s."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def duration(seconds: float) -> str:
    """In words, as exactly as a guess can be."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
