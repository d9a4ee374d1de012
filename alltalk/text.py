"""Text filters (none, standard, html): what of the caller's text an engine is handed.

All of them take and return `Mapped` text, which remembers where in the caller's text each character
stood, and need time linear in its length.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from alltalk.errors import ConfigError

FilterName = Literal["none", "standard", "html"]


@dataclass(frozen=True, slots=True, eq=False)
class Mapped:
    """Text, and where in the caller's text each of its characters stood."""

    text: str
    at: NDArray[np.int32]
    """int32 [len(text) + 1], rising; the last one is where the text ends."""

    @classmethod
    def of(cls, text: str, start: int = 0) -> Mapped:
        """`text` as the caller sent it, from the character `start` on."""
        return cls(text, np.arange(start, start + len(text) + 1, dtype=np.int32))

    @property
    def source(self) -> tuple[int, int]:
        """Start and end in the caller's text."""
        return int(self.at[0]), int(self.at[-1])

    def cut(self, start: int, end: int) -> Mapped:
        """The characters from `start` up to `end`."""
        return Mapped(self.text[start:end], self.at[start : end + 1])

    def stripped(self) -> Mapped:
        """Without space at either edge."""
        end = len(self.text.rstrip())
        return self.cut(min(end, len(self.text) - len(self.text.lstrip())), end)

    def pick(self, stretches: Sequence[tuple[int, int]]) -> Mapped:
        """What lies in `stretches` (starts and ends, rising; at least one), end to end."""
        text = "".join(self.text[start:end] for start, end in stretches)
        at = [self.at[start:end] for start, end in stretches]
        return Mapped(text, np.concatenate([*at, self.at[[stretches[-1][1]]]]))

    def replaced(
        self, pattern: re.Pattern[str], by: str | Callable[[re.Match[str]], str]
    ) -> Mapped:
        """With every match of `pattern` replaced; what is new stands where its match stood."""
        pieces: list[str] = []
        at: list[NDArray[np.int32]] = []
        done = 0
        for match in pattern.finditer(self.text):
            new = by if isinstance(by, str) else by(match)
            start, end = match.span()
            pieces += self.text[done:start], new
            at += self.at[done:start], self.at[[min(start + i, end - 1) for i in range(len(new))]]
            done = end
        if not pieces:
            return self
        return Mapped("".join([*pieces, self.text[done:]]), np.concatenate([*at, self.at[done:]]))

    def without(self, pattern: re.Pattern[str]) -> Mapped:
        """With every match removed, and with it the space before it where punctuation follows.

        Where two words would be joined, a space is left.
        """
        text, matches, done = self.text, _touching(pattern, self.text), 0
        pieces: list[str] = []
        at: list[NDArray[np.int32]] = []
        for start, end in matches:
            gap = " " * _would_join(text, start, end)
            if _PUNCTUATION.match(text, end):
                start = done + len(text[done:start].rstrip(" "))
            pieces += text[done:start], gap
            at += self.at[done:start], self.at[start : start + len(gap)]
            done = end
        if not pieces:
            return self
        return Mapped("".join([*pieces, text[done:]]), np.concatenate([*at, self.at[done:]]))


def can_be_said(text: str) -> bool:
    """True when there is a letter or digit, of any script, in `text`."""
    return _LETTER_OR_DIGIT.search(text) is not None


def check_filter(pattern: str) -> re.Pattern[str]:
    """`pattern` compiled; raises ConfigError when it is no regular expression."""
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(
            f"api_def.api_allowed_filter: not a regular expression: {error}."
        ) from None


def plain(text: Mapped) -> Mapped:
    """Without what no engine can be handed: NUL and halves of surrogate pairs."""
    return text.replaced(_NEVER, "")


def decode(text: Mapped, name: FilterName, *, narrated: bool) -> Mapped:
    """Undo how the text was packed, so that quotes are quotes: before narration is read.

    html: tags go, entities become characters (once). standard and html: `\\"` and `\\n` that a
    client escaped once too often. Narrated text has its entities decoded whatever the filter.
    """
    if name == "html":
        text = text.replaced(_BLOCK_TAG, "\n").without(_TAG)
    if name == "html" or narrated:
        text = unescape(text)
    if name != "none":
        text = text.replaced(_ESCAPED_BREAK, "\n").replaced(_ESCAPED_QUOTE, lambda match: match[1])
    return text


def unescape(text: Mapped) -> Mapped:
    """HTML entities become the characters they stand for, as a browser reads them."""
    return text.replaced(_ENTITY, lambda match: html.unescape(match[0]))


def spoken(text: Mapped, name: FilterName, removed: re.Pattern[str] | None = None) -> Mapped:
    """What is left to say of `text` (see `decode`, which comes first).

    Letters, digits and punctuation of all scripts stay, and signs that are read aloud (`%`, `&`,
    `+`, currencies). Marks of Markdown, emoji and control characters go. A run of one mark becomes
    one; an ellipsis stays one, as it is a pause. `removed`, where given, says instead which
    characters go.
    """
    if name == "none":
        return text
    text = text.replaced(_DOTS, "...").replaced(_RUN, lambda match: match[1])
    if removed is not None:
        return text.without(removed)
    for markup in (_RULE, _LINE_MARK, _LINK_TARGET):
        text = text.replaced(markup, "")
    text = text.replaced(_DASHES, "—").replaced(_TIMES, " × ")
    return _without_symbols(text.without(_MARKUP))


def decode_v2(text: Mapped) -> Mapped:
    """What V2 does to narrated text before it looks for marks."""
    return unescape(text).replaced(_V2_DOTS, ".")


def spoken_v2(text: Mapped, name: FilterName, removed: re.Pattern[str]) -> Mapped:
    """What AllTalk V2 hands to its engine, to the letter."""
    if name == "none":
        return text
    if name == "html":
        text = text.replaced(_ASTERISK, "").replaced(_TWO_BREAKS, "\n").replaced(_APOSTROPHE, "'")
        text = unescape(text)
    text = text.replaced(_V2_RUN, lambda match: match[1])
    return text.replaced(removed, "").replaced(_BREAKS, " ")


_LETTER_OR_DIGIT = re.compile(r"[^\W_]")
_NEVER = re.compile("[\0\ud800-\udfff]+")
_ENTITY = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)")
_BLOCK_TAG = re.compile(r"<(?:br|/?(?:p|div|li|ul|ol|tr|h[1-6]|blockquote))\b[^<>]*>", re.I)
_TAG = re.compile(r"<[/!]?[A-Za-z\-][^<>]*>")
# Not after a colon: `C:\new` is a path.
_ESCAPED_BREAK = re.compile(r"(?<![:\\])(?:\\r)?\\n")
_ESCAPED_QUOTE = re.compile(r"\\([\"'])")

_DOTS = re.compile(r"\.(?:[ \xa0]?\.){2,}|\.\.")
_RUN = re.compile(r"([!?,;:…。！？，、；：،؛؟।])\1+")
_DASHES = re.compile(r"(?<!-)--+(?!-)")
_RULE = re.compile(r"^[ \t]*(?:```.*|([-*_=~])(?:[ \t]*\1){2,}[ \t]*)$", re.M)
_LINE_MARK = re.compile(r"^[ \t]*(?:(?:#{1,6}|[-*+•])[ \t]+|>[ \t]*)+", re.M)
_LINK_TARGET = re.compile(r"(?<=\])\([^()\s]*\)|!(?=\[)")
_TIMES = re.compile(r"(?<=\d)[ \t]*\*[ \t]*(?=\d)")
# `~5` is about five; `C#` and `#1` are said.
_MARKUP = re.compile(r"[*_`^|\\\[\]{}]|~(?!\d)|(?<![A-Z])#(?!\d)")

_V2_DOTS, _V2_RUN = re.compile(r"\.{3,}"), re.compile(r"([!?.])\1+")
_ASTERISK, _TWO_BREAKS, _BREAKS = re.compile(r"\*"), re.compile(r"\n\n"), re.compile(r"\n+")
_APOSTROPHE = re.compile(r"&#x27;")

_NON_JOINER, _JOINER = "\u200c", "\u200d"
_SAID_SYMBOLS = frozenset("°©®™№℃℉")
_DUMB_MARKS = frozenset("†‡•‣※⁂")
_QUOTES_AND_PARENS = frozenset("()（）„‚「」『』〝〞〟")
_PUNCTUATION = re.compile(r"[.,;:!?…]+(?!\S)")
_OPENING = frozenset("\"'“‘«‹„‚([（「『-–—/¿¡")


def _without_symbols(text: Mapped) -> Mapped:
    """Without emoji, pictures, control and invisible characters."""
    found = set(text.text)
    invisible = "".join(character for character in found if _is_invisible(character))
    if invisible:
        text = text.replaced(re.compile(f"[{re.escape(invisible)}]+"), "")
    dumb = "".join(character for character in found if not _is_said(character))
    if dumb:
        # A joiner belongs to the letters of some scripts, and to emoji: there it goes with them.
        text = text.without(re.compile(f"[{re.escape(dumb)}][{re.escape(dumb)}{_JOINER}]*"))
    return text


def _is_invisible(character: str) -> bool:
    """Formatting (soft hyphens, text direction, variation selectors): gone without a trace."""
    if character in (_NON_JOINER, _JOINER):
        return False
    return unicodedata.category(character) == "Cf" or "\ufe00" <= character <= "\ufe0f"


def _is_said(character: str) -> bool:
    """True for what is read aloud or shapes how: by Unicode's general category."""
    category = unicodedata.category(character)
    if category[0] in "LMN":
        return category != "Me"
    if category[0] == "P":
        if category in ("Ps", "Pe"):
            return character in _QUOTES_AND_PARENS
        return character not in _DUMB_MARKS
    if category == "Sm":
        return not "\u2190" <= character <= "\u21ff"
    said_anyway = character in _SAID_SYMBOLS or character in (_NON_JOINER, _JOINER)
    return category in ("Sc", "Zs") or character.isspace() or said_anyway


def _touching(pattern: re.Pattern[str], text: str) -> list[tuple[int, int]]:
    """Start and end of the matches of `pattern`, those that touch taken as one."""
    spans: list[tuple[int, int]] = []
    for match in pattern.finditer(text):
        start, end = match.span()
        if start == end:
            continue
        if spans and spans[-1][1] == start:
            start = spans.pop()[0]
        spans.append((start, end))
    return spans


def _would_join(text: str, start: int, end: int) -> bool:
    """True when a word would touch what stands before it, were `start` to `end` not there."""
    if start == 0 or end == len(text):
        return False
    before, after = text[start - 1], text[end]
    return after.isalnum() and not before.isspace() and before not in _OPENING
