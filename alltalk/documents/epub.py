"""EPUB: the text of an electronic book, from its zip archive.

Only what is read out is unpacked, page by page, and never more than the limits allow, whatever the
archive says about itself. (EPUB 3.3, W3C Recommendation; OCF for the archive.)
"""

from __future__ import annotations

import lzma
import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import unquote
from xml.etree import ElementTree

from alltalk.documents.html_blocks import Block, read_blocks
from alltalk.errors import BadInput, TextTooLong

MOST_UNPACKED = 64 * 1024 * 1024
"""Bytes of all pages together."""
LARGEST_PAGE = 8 * 1024 * 1024
"""Bytes of one page, unpacked."""
MOST_PAGES = 5_000
_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_PAGES = ("application/xhtml+xml", "text/html", "application/xml", "text/x-oeb1-document")


@dataclass(frozen=True, slots=True)
class Book:
    """What a book says."""

    title: str
    language: str
    """A tag; empty: it does not tell."""
    blocks: tuple[Block, ...]


_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, LookupError)


def read_epub(file: BinaryIO, most_characters: int) -> Book:
    """The book in `file`. Raises BadInput for what is none, TextTooLong."""
    try:
        with zipfile.ZipFile(file) as archive:
            return _Reader(archive).book(most_characters)
    except _BROKEN as error:
        raise BadInput(f"This is no readable EPUB file: {error}.") from error
    except ElementTree.ParseError as error:
        raise BadInput(f"The EPUB's table of contents cannot be read: {error}.") from error


class _Reader:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._names = frozenset(archive.namelist())
        self._unpacked = 0

    def book(self, most_characters: int) -> Book:
        package = self._package_name()
        root = self._xml(package)
        folder = posixpath.dirname(package)
        blocks: list[Block] = []
        characters = 0
        for name in self._pages(root, folder):
            for block in read_blocks(_decoded(self._read(name))):
                blocks.append(block)
                characters += len(block.text)
            if characters > most_characters:
                raise TextTooLong(characters, most_characters)
        return Book(_first(root, "title"), _first(root, "language"), tuple(blocks))

    def _package_name(self) -> str:
        for element in self._xml(_CONTAINER).iter():
            if _name(element) == "rootfile" and (path := element.get("full-path")):
                return path
        raise BadInput("This is no readable EPUB file: it does not say where its contents are.")

    def _pages(self, root: ElementTree.Element, folder: str) -> list[str]:
        """The archive's names of the pages, in reading order."""
        items = {
            element.get("id", ""): element for element in root.iter() if _name(element) == "item"
        }
        hidden = self._encrypted()
        pages = []
        for element in root.iter():
            if _name(element) != "itemref" or element.get("linear") == "no":
                continue
            item = items.get(element.get("idref", ""))
            if item is None or item.get("media-type") not in _PAGES or _is_contents(item):
                continue
            name = posixpath.normpath(posixpath.join(folder, unquote(item.get("href", ""))))
            if name in hidden:
                raise BadInput(
                    "The EPUB is protected against copying (DRM), so its text cannot be read."
                )
            pages.append(name)
        if len(pages) > MOST_PAGES:
            raise BadInput(f"The EPUB has more than {MOST_PAGES} pages.")
        return pages

    def _encrypted(self) -> frozenset[str]:
        """Names of what is encrypted: in most books some fonts, in protected ones the pages."""
        if _ENCRYPTION not in self._names:
            return frozenset()
        references = (e for e in self._xml(_ENCRYPTION).iter() if _name(e) == "CipherReference")
        return frozenset(unquote(each.get("URI", "")) for each in references)

    def _xml(self, name: str) -> ElementTree.Element:
        content = self._read(name)
        if b"<!ENTITY" in content.replace(
            b"\0", b""
        ):  # nothing needs them here but those who want to do harm
            raise BadInput("The EPUB declares XML entities, which are not read.")
        return ElementTree.fromstring(content)

    def _read(self, name: str) -> bytes:
        """Raises BadInput where it is missing, or larger than any page."""
        if name not in self._names:
            raise BadInput(f"This is no readable EPUB file: it lacks {name[:80]!r}.")
        with self._archive.open(name) as file:
            content = file.read(LARGEST_PAGE + 1)
        self._unpacked += len(content)
        if self._unpacked > MOST_UNPACKED:
            raise BadInput(f"The EPUB has more than {MOST_UNPACKED >> 20} MB of pages.")
        if len(content) > LARGEST_PAGE:
            raise BadInput(
                f"A page of the EPUB is larger than {LARGEST_PAGE // 1024 // 1024} MB unpacked."
            )
        return content


def _is_contents(item: ElementTree.Element) -> bool:
    """True for the table of contents, which nobody wants to hear."""
    return "nav" in item.get("properties", "").split()


def _name(element: ElementTree.Element) -> str:
    """Its name without namespace."""
    return element.tag.rpartition("}")[2]


def _first(root: ElementTree.Element, name: str) -> str:
    texts: Iterator[str] = (e.text or "" for e in root.iter() if _name(e) == name)
    return " ".join(next(texts, "").split())


def _decoded(page: bytes) -> str:
    """As EPUB wants it: UTF-8, or UTF-16 with a mark. What is neither shows in the text."""
    if page.startswith((b"\xff\xfe", b"\xfe\xff")):
        return page.decode("utf-16", "replace")
    return page.decode("utf-8-sig", "replace")
