"""Narration: who speaks which part of a text, read from *asterisks* and "quotation marks".

`read` is AllTalk's own reader; `read_v2` does as AllTalk V2 did. Both need time linear in the text.

How `read` decides, paragraph by paragraph (a blank line ends one, and whatever is open in it):

- `*narrator*`, and a character in quotes: straight, curly, „low“, «guillemets» either way round,
  「corner brackets」. Single quotes are apostrophes and mark nothing.
- Marks inside a part belong to it: `*reads "Exit" aloud*` is all the narrator's, and in
  `"You *must* listen"` the asterisks are emphasis.
- A mark whose partner is missing gives its role to the rest of the paragraph. Its partner is
  missing when the next mark of its kind stands where one opens (` "so`), not where one closes.
- `**bold**` is emphasis; an asterisk between spaces or digits is arithmetic or a bullet; a closing
  quote that nothing opened is dropped.
- Punctuation right after a part (`"Stop", he said`) is the end of that part.
- A part without a letter or digit is no part. No other part is lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum


class Kind(StrEnum):
    """What a part of a narrated text is."""

    NARRATOR = "narrator"
    """Between asterisks."""
    CHARACTER = "character"
    """Between quotation marks."""
    OUTSIDE = "outside"
    """Neither."""


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of one kind."""

    kind: Kind
    pieces: tuple[tuple[int, int], ...]
    """Start and end in the text, rising: what lies between two pieces is a mark, and not said."""

    def said(self, text: str) -> str:
        """What this part of `text` says."""
        return "".join(text[start:end] for start, end in self.pieces).strip()


def read(text: str) -> list[Part]:
    """The parts of `text` in order, with silent characters between them left out."""
    parts: list[Part] = []
    start = 0
    for blank in _BLANK_LINE.finditer(text):
        parts += _paragraph(text, start, blank.start())
        start = blank.end()
    return [*parts, *_paragraph(text, start, len(text))]


def read_v2(text: str, longest_dropped: int) -> list[Part]:
    """The parts as V2 tells them: straight quotes and asterisks, in the order they come.

    Parts of up to `longest_dropped` characters are left out (`api_def.api_length_stripping`).
    """
    parts: list[Part] = []
    done = 0
    for match in _V2_PAIR.finditer(text):
        start, end = match.span()
        kind = Kind.NARRATOR if text[start] == "*" else Kind.CHARACTER
        parts += Part(Kind.OUTSIDE, ((done, start),)), Part(kind, ((start + 1, end - 1),))
        done = end
    parts.append(Part(Kind.OUTSIDE, ((done, len(text)),)))
    return [part for part in parts if len(part.said(text)) > longest_dropped]


_BLANK_LINE = re.compile(r"\n\s*\n")
_V2_PAIR = re.compile(r'\*[^*"]+\*|"[^"*]+"')

_CLOSERS = {
    "*": "*",
    '"': '"＂',
    "＂": '"＂',
    "“": "”",
    "”": "”",
    "„": "“”",
    "«": "»",
    "»": "«»",
    "‹": "›",
    "›": "‹›",
    "「": "」",
    "『": "』",
}
"""Marks that open a part → those that may close it. Swedish opens with ” and », too."""
_FAMILIES = ("*", '"＂', "“”„", "«»", "‹›", "「」", "『』")
"""A mark's partner is the next one of its family, or there is none."""
_FAMILY_OF = {sign: family for family in _FAMILIES for sign in family}
_OPENS_BY_NATURE = frozenset("“„«‹「『")
_ALWAYS_OPENS = frozenset("„「『")
_ALWAYS_CLOSES = frozenset("」』")
_BEFORE_OPENING = frozenset("([{¿¡")
_AFTER_CLOSING = frozenset(".,;:!?…。，、；：！？)]}")
_MARK = re.compile(f"\\*+|[{''.join(_FAMILIES[1:])}]")
_ENDING = re.compile(r"[.,;:!?…。，、；：！？]+")
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True)
class _Mark:
    start: int
    end: int
    sign: str
    """The character; of emphasis, all its asterisks."""
    opens: bool
    """It stands where a part opens: space before it, none after."""
    closes: bool
    """It stands where a part closes: space or punctuation after it, no space before."""
    partner: int = -1
    """Index of the mark that closes what this one opens; -1: none does."""

    @property
    def kind(self) -> Kind:
        """Whose part it opens or closes."""
        return Kind.NARRATOR if self.sign == "*" else Kind.CHARACTER

    @property
    def is_emphasis(self) -> bool:
        """Two asterisks or more."""
        return len(self.sign) > 1

    @property
    def may_open(self) -> bool:
        """False for emphasis, and for what can only be the end of something."""
        sure = self.opens or not self.closes or self.sign in _OPENS_BY_NATURE
        return sure and self.sign in _CLOSERS


def _paragraph(text: str, start: int, end: int) -> Iterator[Part]:
    """The parts between `start` and `end`, where no mark's effect goes further."""
    marks = _with_partners(list(_marks(text, start, end)))
    base, pieces, done, index = Kind.OUTSIDE, list[tuple[int, int]](), start, 0
    while index < len(marks):
        mark = marks[index]
        pieces.append((done, mark.start))
        done = mark.end
        if mark.is_emphasis or (not mark.may_open and base is not mark.kind):
            index += 1
            continue
        yield from _part(text, base, pieces)
        pieces = []
        if mark.partner >= 0:
            closing = marks[mark.partner]
            inside = _without_asterisks(mark.end, closing.start, marks[index + 1 : mark.partner])
            index, done = mark.partner, closing.end
            limit = marks[index + 1].start if index + 1 < len(marks) else end
            if ending := _ENDING.match(text, done, limit):
                inside += _missing_end(text, inside, ending.span())
                done = ending.end()
            yield from _part(text, mark.kind, inside)
        base = _base_after(base, mark)
        index += 1
    yield from _part(text, base, [*pieces, (done, end)])


def _marks(text: str, start: int, end: int) -> Iterator[_Mark]:
    """Every mark that can matter between `start` and `end`."""
    for match in _MARK.finditer(text, start, end):
        before = text[match.start() - 1] if match.start() > start else "\n"
        after = text[match.end()] if match.end() < end else "\n"
        sign = match[0]
        if not (sign == "*" and _is_arithmetic(before, after)):
            opens = after.isspace() < (before.isspace() or before in _BEFORE_OPENING)
            closes = before.isspace() < (after.isspace() or after in _AFTER_CLOSING)
            yield _Mark(
                *match.span(),
                sign,
                opens=(opens or sign in _ALWAYS_OPENS) and sign not in _ALWAYS_CLOSES,
                closes=(closes or sign in _ALWAYS_CLOSES) and sign not in _ALWAYS_OPENS,
            )


def _is_arithmetic(before: str, after: str) -> bool:
    """True for an asterisk that multiplies, or is a list's bullet."""
    return (before.isspace() and after in " \t") or (before.isdigit() and after.isdigit())


def _with_partners(marks: list[_Mark]) -> list[_Mark]:
    """`marks`, each that opens a part knowing the one that closes it."""
    following: dict[str, int] = {}
    for index in reversed(range(len(marks))):
        mark = marks[index]
        if mark.is_emphasis:
            continue
        family = _FAMILY_OF[mark.sign]
        partner = following.get(family, -1)
        following[family] = index
        if partner >= 0 and mark.may_open and _closes(marks[partner], mark.sign):
            marks[index] = replace(mark, partner=partner)
    return marks


def _closes(mark: _Mark, opened_by: str) -> bool:
    return mark.sign in _CLOSERS[opened_by] and not mark.opens


def _base_after(base: Kind, mark: _Mark) -> Kind:
    """Whose the text after `mark` is, until the next mark or the end of the paragraph.

    A lonely opening mark gives it to its role. A whole part of that role, or a lonely closing
    mark, takes it back: the pairs count again from there.
    """
    if mark.partner < 0 and mark.may_open:
        return mark.kind
    return Kind.OUTSIDE if base is mark.kind else base


def _without_asterisks(start: int, end: int, marks: list[_Mark]) -> list[tuple[int, int]]:
    """`start` to `end` but for the asterisks in between; other marks there are part of the text."""
    pieces = []
    for mark in marks:
        if mark.sign[0] == "*":
            pieces.append((start, mark.start))
            start = mark.end
    return [*pieces, (start, end)]


def _missing_end(
    text: str, pieces: list[tuple[int, int]], ending: tuple[int, int]
) -> list[tuple[int, int]]:
    """The punctuation at `ending` if what `pieces` say has none of its own."""
    last = text[pieces[-1][0] : pieces[-1][1]].rstrip()[-1:]
    return [ending] if last.isalnum() else []


def _part(text: str, kind: Kind, pieces: list[tuple[int, int]]) -> Iterator[Part]:
    """The part that `pieces` make, if anything in it can be said."""
    kept = tuple((start, end) for start, end in pieces if start < end)
    if any(_LETTER_OR_DIGIT.search(text, start, end) for start, end in kept):
        yield Part(kind, kept)
