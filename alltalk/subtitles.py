"""Subtitles (SRT and WebVTT) for what is spoken, and when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cue:
    """A text and when it is heard, seconds."""

    start_s: float
    end_s: float
    text: str


def laid_end_to_end(pieces: Iterable[tuple[str, float]]) -> Iterator[Cue]:
    """Cues of (text, seconds) pieces that are heard one after the other, the first at 0 s."""
    start_s = 0.0
    for text, seconds in pieces:
        yield Cue(start_s, start_s + seconds, text)
        start_s += seconds


def to_srt(cues: Iterable[Cue]) -> str:
    """The SubRip file of `cues`.

    A text keeps its lines, but for empty ones: those would end its entry.
    """
    return "\n".join(
        f"{number}\n{_timecode(cue.start_s, ',')} --> {_timecode(cue.end_s, ',')}\n"
        f"{_lines(cue.text)}\n"
        for number, cue in enumerate(cues, 1)
    )


def to_vtt(cues: Iterable[Cue]) -> str:
    """The WebVTT file of `cues` (W3C). Signs that would be markup are escaped."""
    escaped = (
        f"{_timecode(cue.start_s, '.')} --> {_timecode(cue.end_s, '.')}\n"
        f"{_lines(cue.text.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;'))}\n"
        for cue in cues
    )
    return "\n".join(["WEBVTT\n", *escaped])


def _lines(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.strip())


def _timecode(seconds: float, point: str) -> str:
    """HH:MM:SS,mmm"""
    ms = round(seconds * 1000)
    minutes, ms = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{ms // 1000:02}{point}{ms % 1000:03}"
