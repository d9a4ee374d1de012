"""Sentences, and texts cut into pieces that an engine speaks in one go."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from sentencex import get_sentence_boundaries  # type: ignore[import-untyped]  # has no stubs


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text to be spoken in one go, without space at its edges."""

    start: int
    end: int
    ends_sentence: bool
    """False where a sentence too long for one piece goes on."""


def split_sentences(text: str, language: str) -> list[tuple[int, int]]:
    """Start and end of each sentence of `text`, without the space around it.

    `language` is a tag (`en`, `pt-br`); its first part tells which abbreviations end no sentence.
    A blank line ends a sentence in any case. A sentence over 2000 characters comes in pieces.
    """
    language = language.partition("-")[0] or "en"
    sentences: list[tuple[int, int]] = []
    for start, end in _paragraphs(text):
        sentences += _sentences(text, start, end, language)
    return sentences


def cut(text: str, language: str, max_chars: int, first_chars: int) -> list[Piece]:
    """`text` in pieces of up to `max_chars` characters: whole sentences as far as they fit.

    No piece goes over a blank line. The first has up to `first_chars` where the text has a good
    place for a cut by then, so that its sound comes early. A sentence too long for one piece is
    cut after a clause, else between words, else (scripts without spaces) between characters as a
    reader sees them. Every character but the space between pieces is in one.
    """
    language = language.partition("-")[0] or "en"
    first = min(first_chars, max_chars)
    pieces: list[Piece] = []
    for start, end in _paragraphs(text):
        parts: list[Piece] = []
        for sentence in _sentences(text, start, end, language):
            early = 0 if pieces or parts else first
            parts += _fitting(text, *sentence, max_chars, early)
        pieces += _merged(parts, max_chars, max_chars if pieces else first)
    return pieces


_BLANK_LINE = re.compile(r"\n\s*\n")
_WINDOW = 2000
"""Characters looked at in one go: the splitter takes quadratic time where quotes are many."""
_SENTENCE_END = re.compile(
    r"(?<![.!?…।؟])[.!?…।؟]++[\"'”’»)」』]*+(?=\s)"  # from a run's first mark only: linear time
    r"|[。！？]+[”’」』]*"
)
_CLAUSE_END = re.compile(r"[,;:،؛)—–][\"'”’»]*(?=\s)|[，、；：—]+")
_SPACE = re.compile(r"\s+")
_SHORTEST_CLAUSE = 0.3
"""Of the room there is: a shorter start of a sentence isn't worth its own piece."""
_LONGEST_CLUSTER = 32
_JOINER = "\u200d"


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for blank in _BLANK_LINE.finditer(text):
        yield start, blank.start()
        start = blank.end()
    yield start, len(text)


def _sentences(text: str, start: int, end: int, language: str) -> Iterator[tuple[int, int]]:
    """The sentences of one paragraph, found window by window: the last of a window may go on."""
    start, end = _stripped(text, start, end)
    while start < end:
        window = text[start : min(end, start + _WINDOW)]
        found = [
            (boundary["start_index"], boundary["end_index"])
            for boundary in get_sentence_boundaries(language, window)
        ]
        if start + len(window) < end:
            found = found[:-1] or [(0, _last_cut(window, 0, len(window)))]
        for sentence in found:
            begin, finish = _stripped(text, start + sentence[0], start + sentence[1])
            if begin < finish:
                yield begin, finish
        start = _after_space(text, start + found[-1][1], end)


def _fitting(text: str, start: int, end: int, max_chars: int, early: int) -> Iterator[Piece]:
    """One sentence in pieces of up to `max_chars`, the first of `early` if a clause ends there."""
    if early and end - start > early:
        clause_end = _last_match(_CLAUSE_END, text, start, start + early)
        if clause_end > start + early * _SHORTEST_CLAUSE:
            yield Piece(start, clause_end, ends_sentence=False)
            start = _stripped(text, clause_end, end)[0]
    while end - start > max_chars:
        here = _last_cut(text, start, start + max_chars)
        piece = _stripped(text, start, here)
        yield Piece(*piece, ends_sentence=False)
        start = _stripped(text, here, end)[0]
    yield Piece(start, end, ends_sentence=True)


def _last_cut(text: str, start: int, limit: int) -> int:
    """The best place in (start, limit] to end a piece that begins at `start`."""
    for pattern in (_SENTENCE_END, _CLAUSE_END):
        end = _last_match(pattern, text, start, limit)
        if end > start + (limit - start) * _SHORTEST_CLAUSE:
            return end
    if text[limit : limit + 1].isspace():
        return limit
    spaces = [match.start() for match in _SPACE.finditer(text, start + 1, limit)]
    return spaces[-1] if spaces else _cluster_start(text, start, limit)


def _last_match(pattern: re.Pattern[str], text: str, start: int, limit: int) -> int:
    """End of the last match that begins after `start` and ends by `limit`; `start`: none."""
    # One character more is seen than may be taken, as a space has to follow some marks.
    ends = [match.end() for match in pattern.finditer(text, start, limit + 1)]
    return next((end for end in reversed(ends) if end <= limit), start)


def _cluster_start(text: str, start: int, limit: int) -> int:
    """`limit`, or less where that would part an accent or an emoji from what it belongs to."""
    for here in range(limit, max(start, limit - _LONGEST_CLUSTER), -1):
        joined = text[here : here + 1] == _JOINER or text[here - 1] == _JOINER
        if not joined and not _continues_cluster(text[here : here + 1]):
            return here
    return limit


def _continues_cluster(character: str) -> bool:
    """True for combining marks, variation selectors and skin tones."""
    if not character:
        return False
    return unicodedata.category(character)[0] == "M" or "\U0001f3fb" <= character <= "\U0001f3ff"


def _merged(parts: list[Piece], max_chars: int, first_chars: int) -> list[Piece]:
    """Neighbouring `parts` joined as long as they fit."""
    merged: list[Piece] = []
    limit = first_chars
    for part in parts:
        if merged and part.end - merged[-1].start <= limit:
            merged[-1] = Piece(merged[-1].start, part.end, part.ends_sentence)
        else:
            limit = max_chars if merged else first_chars
            merged.append(part)
    return merged


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    """`start` and `end` moved inwards over space; equal where there is nothing else."""
    start = _after_space(text, start, end)
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _after_space(text: str, start: int, end: int) -> int:
    """The first character that is no space from `start` on, or `end`."""
    space = _SPACE.match(text, start, end)
    return space.end() if space else start
