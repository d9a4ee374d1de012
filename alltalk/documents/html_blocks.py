"""The text of an HTML page as its reader sees it: paragraphs and headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph or a heading, on one line."""

    text: str
    heading: int = 0
    """Its level, 1 to 6; 0: a paragraph."""


def read_blocks(page: str) -> Iterator[Block]:
    """What `page` says, in order. Broken pages are read as far as they can be."""
    reader = _Reader()
    reader.feed(_ended(page))
    reader.close()
    reader.flush()
    yield from reader.blocks


_OPEN_TAG = re.compile(r"<(?![!?])(?=[^<>]*(?:<|\Z))")
"""A tag that another begins in, or that the page ends in."""


def _ended(page: str) -> str:
    """`page` without what never ends, for which html.parser looks again and again."""
    for begin, end in (("<!--", "-->"), ("<![", "]"), ("<?", ">"), ("<!", ">")):
        cut = page.find(begin, page.rfind(end) + 1)
        page = page if cut < 0 else page[:cut]
    return _OPEN_TAG.sub("&lt;", page)


_ENDS = {
    *("address", "article", "aside", "blockquote", "body", "caption", "center", "dd"),
    *("details", "dialog", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer"),
    *("form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol"),
    *("p", "pre", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr"),
    "ul",
}
"""Elements that end a paragraph where they begin and where they end."""
_UNHEARD = {
    *("head", "script", "style", "template", "svg", "math", "audio", "video", "object", "rt"),
    "rp",
}
"""Elements nothing of which is read out. Ruby is pronunciation, which would be said twice."""
_HEADINGS = {f"h{level}": level for level in range(1, 7)}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self._text: list[str] = []
        self._heading = 0
        self._hidden_by = ""
        self._depth = 0

    def flush(self) -> None:
        """End the paragraph."""
        if text := " ".join("".join(self._text).split()):
            self.blocks.append(Block(text, self._heading))
        self._text.clear()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "body":
            self._hidden_by = ""  # a head that was never closed
        if self._hidden_by:
            self._depth += tag == self._hidden_by
        elif tag in _UNHEARD or _is_note_mark(tag, attrs):
            self._hidden_by, self._depth = tag, 1
        elif tag == "br":
            self._text.append(" ")
        elif tag in _ENDS:
            self.flush()
            self._heading = _HEADINGS.get(tag, self._heading)

    def handle_endtag(self, tag: str) -> None:
        if self._hidden_by:
            self._depth -= tag == self._hidden_by
            if not self._depth:
                self._hidden_by = ""
        elif tag in _ENDS:
            self.flush()
            if tag in _HEADINGS:
                self._heading = 0

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """`<head/>` and `<a/>` hide nothing."""
        if tag not in _UNHEARD and not _is_note_mark(tag, attrs):
            self.handle_starttag(tag, attrs)
            if tag in _HEADINGS:
                self._heading = 0

    def handle_data(self, data: str) -> None:
        if not self._hidden_by:
            self._text.append(data)


def _is_note_mark(tag: str, attrs: list[tuple[str, str | None]]) -> bool:
    """True for the raised number that leads to a footnote."""
    return tag == "a" and ("epub:type", "noteref") in attrs
