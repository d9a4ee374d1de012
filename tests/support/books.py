"""Electronic books as people upload them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

CONTAINER = """<?xml version="1.0"?>
<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>
<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/>
</rootfiles></container>"""


def page(body: str) -> str:
    """A page of a book."""
    return (
        '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html>'
        '<html xmlns="http://www.w3.org/1999/xhtml"><head><title>not read</title>'
        f"<style>p {{ color: red }}</style></head><body>{body}</body></html>"
    )


def package(pages: Mapping[str, str], title: str = "A Book", language: str = "en") -> str:
    """The list of a book's pages, in order."""
    kind = "application/xhtml+xml"
    items = "".join(
        f'<item id="p{n}" href="{name}" media-type="{kind}"/>' for n, name in enumerate(pages)
    )
    order = "".join(f'<itemref idref="p{n}"/>' for n in range(len(pages)))
    return (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
        '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<dc:title>{title}</dc:title><dc:language>{language}</dc:language></metadata>"
        f'<manifest>{items}<item id="nav" href="nav.xhtml" properties="nav" media-type="{kind}"/>'
        f'</manifest><spine><itemref idref="nav"/>{order}</spine></package>'
    )


def epub(pages: Mapping[str, str], more: Mapping[str, str] | None = None, **of: str) -> bytes:
    """A book of `pages` (bodies by file name), with `more` files by their whole names."""
    files = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER,
        "OEBPS/book.opf": package(pages, **of),
        "OEBPS/nav.xhtml": page("<nav><ol><li>Contents, not read</li></ol></nav>"),
        **{f"OEBPS/{name}": page(body) for name, body in pages.items()},
        **(more or {}),
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()
