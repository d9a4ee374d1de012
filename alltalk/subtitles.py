"""Subtitles (SRT) for spoken pieces that are heard one after the other."""

from __future__ import annotations

from collections.abc import Iterable


def to_srt(pieces: Iterable[tuple[str, float]]) -> str:
    """The SubRip file of (text, seconds) pieces laid end to end, the first at 0 s.

    A text keeps its lines, but for empty ones: those would end its entry.
    """
    entries, start_s = [], 0.0
    for number, (text, seconds) in enumerate(pieces, 1):
        lines = "\n".join(line for line in text.splitlines() if line.strip())
        end_s = start_s + seconds
        entries.append(f"{number}\n{_timecode(start_s)} --> {_timecode(end_s)}\n{lines}\n")
        start_s = end_s
    return "\n".join(entries)


def _timecode(seconds: float) -> str:
    """HH:MM:SS,mmm"""
    ms = round(seconds * 1000)
    minutes, ms = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{ms // 1000:02},{ms % 1000:03}"
