"""Imports: txt, Markdown and EPUB files, and pasted text, as the lines of a document."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import BinaryIO, Literal

from alltalk.documents.document import LONGEST_LINE, NewLine
from alltalk.documents.epub import read_epub
from alltalk.documents.html_blocks import Block, read_blocks
from alltalk.errors import BadInput, EmptyText, TextTooLong, TooLarge
from alltalk.sentences import cut, split_sentences
from alltalk.text import can_be_said

Split = Literal["paragraphs", "sentences"]
SUFFIXES = (".txt", ".md", ".markdown", ".epub")
LARGEST_FILE = 64 * 1024 * 1024
"""Bytes. Pictures make books large; their text is bounded by its characters."""
CHAPTER_LEVELS = 2
"""Headings down to that level begin chapters; those below are lines like others."""


@dataclass(frozen=True, slots=True)
class Text:
    """What a file says."""

    title: str
    """Empty: it does not tell."""
    language: str
    """A tag; empty: it does not tell."""
    blocks: tuple[Block, ...]


def read_file(name: str, file: BinaryIO, most_characters: int) -> Text:
    """The text of `file`, whose `name` says what it is.

    Raises BadInput for what is not read, TooLarge, TextTooLong.
    """
    suffix = PurePath(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise BadInput(
            f"A file {name[:80]!r} is not read. Send one of these: {', '.join(SUFFIXES)}."
        )
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if size > LARGEST_FILE:
        raise TooLarge(size, LARGEST_FILE)
    stem = PurePath(name).stem
    if suffix == ".epub":
        book = read_epub(file, most_characters)
        return Text(book.title or stem, book.language, book.blocks)
    text = _decoded(file.read())
    reader = read_plain if suffix == ".txt" else read_markdown
    return Text(stem, "", tuple(reader(text, most_characters)))


def read_plain(text: str, most_characters: int) -> Iterator[Block]:
    """Paragraphs parted by blank lines; where there are none, each line is one.

    Raises TextTooLong.
    """
    _check_length(text, most_characters)
    parts = _BLANK_LINE.split(text) if _BLANK_LINE.search(text.strip()) else text.splitlines()
    for part in parts:
        if line := " ".join(part.split()):
            yield Block(line)


def read_markdown(text: str, most_characters: int) -> Iterator[Block]:
    """CommonMark as it is read out: without its marks. Raises TextTooLong."""
    from markdown_it import MarkdownIt

    _check_length(text, most_characters)
    page = MarkdownIt("commonmark").enable("table").render(_FRONT_MATTER.sub("", text, count=1))
    yield from read_blocks(page)


def to_lines(blocks: Iterable[Block], split: Split, language: str = "") -> list[NewLine]:
    """`blocks` as lines: a paragraph each, or a sentence each. What has no letter in it is left.

    A line too long to be kept comes in pieces of whole sentences. Raises EmptyText.
    """
    lines = []
    for block in blocks:
        begins_chapter = 0 < block.heading <= CHAPTER_LEVELS
        for text in [block.text] if begins_chapter else _parts(block.text, split, language):
            for piece in _short_enough(text, language):
                if can_be_said(piece):
                    lines.append(NewLine(piece, begins_chapter))
                    begins_chapter = False
    if not lines:
        raise EmptyText
    return lines


_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")
_FRONT_MATTER = re.compile(r"\A\ufeff?---\n.*?\n(?:---|\.\.\.)\n", re.DOTALL)


def _parts(text: str, split: Split, language: str) -> Iterator[str]:
    if split == "paragraphs":
        yield text
        return
    for start, end in split_sentences(text, language):
        yield text[start:end]


def _short_enough(text: str, language: str) -> Iterator[str]:
    if len(text) <= LONGEST_LINE:
        yield text
        return
    for piece in cut(text, language, LONGEST_LINE, LONGEST_LINE):
        yield text[piece.start : piece.end]


def _check_length(text: str, most_characters: int) -> None:
    if len(text) > most_characters:
        raise TextTooLong(len(text), most_characters)


def _decoded(content: bytes) -> str:
    """UTF-8, UTF-16 with a mark, else Windows' Western European. Raises BadInput."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = content.decode("utf-16", "replace")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("cp1252", "replace")
    if "\0" in text:
        raise BadInput("The file is no text. Save it as plain text (UTF-8) and try again.")
    return text.replace("\r\n", "\n").replace("\r", "\n")
