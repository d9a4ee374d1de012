"""Files become lines."""

from __future__ import annotations

import io

import pytest
from anything import steady
from books import CONTAINER, epub, package
from hypothesis import given
from hypothesis import strategies as st

from alltalk.documents import epub as epub_module
from alltalk.documents import read_file, read_markdown, read_plain, to_lines
from alltalk.documents.document import LONGEST_LINE
from alltalk.documents.html_blocks import Block, read_blocks
from alltalk.errors import BadInput, EmptyText, TextTooLong, TooLarge

MOST = 1_000_000


def read(name: str, content: bytes, most: int = MOST):
    return read_file(name, io.BytesIO(content), most)


def texts(name: str, content: bytes, split: str = "paragraphs") -> list[str]:
    return [line.text for line in to_lines(read(name, content).blocks, split, "en")]


def test_paragraphs_of_a_text_are_parted_by_blank_lines():
    assert texts("a.txt", b"One line\nthat goes on.\n\n  Another.\r\n\r\nThird.") == [
        "One line that goes on.",
        "Another.",
        "Third.",
    ]


def test_without_blank_lines_each_line_is_a_paragraph():
    assert texts("a.txt", b"One.\nTwo.\n\n") == ["One.", "Two."]


def test_a_text_can_be_split_into_sentences():
    assert texts("a.txt", b"Mr. Smith came. He saw!\n\nHe left.", "sentences") == [
        "Mr. Smith came.",
        "He saw!",
        "He left.",
    ]


@pytest.mark.parametrize(
    ("encoding", "text"), [("utf-8-sig", "Grüße"), ("utf-16", "Grüße"), ("cp1252", "“Grüße”")]
)
def test_texts_of_any_usual_encoding_are_read(encoding, text):
    assert texts("a.TXT", text.encode(encoding)) == [text]


def test_what_is_no_text_is_refused():
    with pytest.raises(BadInput, match="is no text"):
        read("a.txt", b"\x7fELF\0\0\x01")
    with pytest.raises(BadInput, match=r"\.txt, \.md, \.markdown, \.epub"):
        read("a.docx", b"PK")


def test_a_text_with_nothing_to_say_is_refused():
    with pytest.raises(EmptyText):
        texts("a.txt", b"* * *\n\n---\n")


def test_marks_of_markdown_are_not_read_and_its_headings_begin_chapters():
    content = (
        "---\ntitle: x\n---\n# The *first* chapter\n\nSome **bold** [link](http://x.example) "
        "text\nwrapped.\n\n* one\n* two\n\n### Aside\n\n***\n\n## Second\n\n> quoted\n\n"
        "![picture](a.png)\n\n`code` &amp; <b>html</b>\n"
    )
    blocks = read("story.md", content.encode()).blocks
    lines = to_lines(blocks, "paragraphs", "en")
    assert [(line.text, line.begins_chapter) for line in lines] == [
        ("The first chapter", True),
        ("Some bold link text wrapped.", False),
        ("one", False),
        ("two", False),
        ("Aside", False),
        ("Second", True),
        ("quoted", False),
        ("code & html", False),
    ]


def test_a_chapter_s_title_stays_one_line():
    lines = to_lines([Block("Dr. No. And more.", 1), Block("Two. Lines.")], "sentences", "en")
    assert [line.text for line in lines] == ["Dr. No. And more.", "Two.", "Lines."]


def test_the_pages_of_a_book_are_read_in_their_order():
    book = epub(
        {
            "one.xhtml": "<h1>Chapter One</h1><p>It was a <i>dark</i> night.<br/>Very.</p>",
            "two%20b.xhtml": "<div><h2>Chapter <b>Two</b></h2><p>The end.</p><p>* * *</p></div>",
        },
        {"OEBPS/two b.xhtml": "<h2>Chapter <b>Two</b></h2><p>The &eacute;nd.</p>"},
        title="Night &amp; Day",
        language="en-GB",
    )
    text = read("night.epub", book)
    lines = to_lines(text.blocks, "paragraphs", text.language)
    assert (text.title, text.language) == ("Night & Day", "en-GB")
    assert [(line.text, line.begins_chapter) for line in lines] == [
        ("Chapter One", True),
        ("It was a dark night. Very.", False),
        ("Chapter Two", True),
        ("The énd.", False),
    ]


def test_footnote_marks_and_readings_are_not_said():
    page = (
        '<p>Word<a epub:type="noteref" href="#n"><sup>1</sup></a> goes on. '
        "<ruby>漢字<rp>(</rp><rt>かんじ</rt><rp>)</rp></ruby></p><script>x < 1</script><p>b"
    )
    assert [block.text for block in read_blocks(page)] == ["Word goes on. 漢字", "b"]


def test_a_book_that_would_unpack_to_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(epub_module, "LARGEST_PAGE", 200_000)
    bomb = epub({"one.xhtml": "<p>" + "a" * 300_000 + "</p>"})
    assert len(bomb) < 5_000
    with pytest.raises(BadInput, match="unpacked"):
        read("bomb.epub", bomb)


def test_pages_that_unpack_to_too_much_together_are_refused(monkeypatch):
    monkeypatch.setattr(epub_module, "MOST_UNPACKED", 100_000)
    with pytest.raises(BadInput, match="MB of pages"):
        read("a.epub", epub({f"{n}.xhtml": "<p>" + "a" * 30_000 + "</p>" for n in range(4)}))
    assert texts("a.epub", epub({f"{n}.xhtml": "<p>" + "a" * 30_000 + "</p>" for n in range(3)}))


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("<p>one <b two</p><p>three</p>", ["one <b two", "three"]),
        ("<p>one</p><a href='two", ["one", "<a href='two"]),
        ("<p>one</p><!-- a <p>note</p> --><p>two</p>", ["one", "two"]),
        ("<p>one</p><!-- never ended <p>two</p>", ["one"]),
        ("<p>one</p><![CDATA[ never ended", ["one"]),
        ("<p>one</p><?never ended", ["one"]),
        ("<p>one</p><!never ended", ["one"]),
    ],
)
def test_a_page_that_breaks_off_is_read_up_to_there(page, said):
    assert [block.text for block in read_blocks(page)] == said


@pytest.mark.parametrize("begin", ["<a ", "<!--", "<![CDATA[", "<?", "<!", "</a ", "<a b='"])
def test_a_page_of_beginnings_is_read_at_once(begin):
    list(read_blocks(begin * 100_000))  # looked at again from each of them, it would take hours


def damaged(**changes: int) -> bytes:
    """A book whose page's packed bytes, or bytes of the list that names it, are others."""
    content = bytearray(epub({"a.xhtml": "<p>" + "many words " * 50 + "</p>"}))
    name = content.index(b"OEBPS/a.xhtml")
    listed = content.rindex(b"OEBPS/a.xhtml")
    if "packed" in changes:
        content[name + 20 : name + 60] = bytes([changes["packed"]]) * 40
    for field, offset in (("flags", 8), ("method", 10)):
        if field in changes:
            content[listed - 46 + offset] = content[name - 30 + offset - 2] = changes[field]
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        damaged(packed=0xFF),
        damaged(method=14),
        damaged(method=99),
        damaged(flags=1),
        epub({}, {"OEBPS/book.opf": '<?xml version="1.0" encoding="nonsense"?><package/>'}),
    ],
    ids=["deflate", "lzma", "unknown method", "encrypted", "unknown encoding"],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_book_that_cannot_be_unpacked_says_so(content):
    with pytest.raises(BadInput, match="no readable EPUB"):
        read("a.epub", content)


def test_a_text_over_the_limit_is_refused():
    pages = {f"{n}.xhtml": f"<p>{'word ' * 50}</p>" for n in range(50)}
    with pytest.raises(TextTooLong):
        read("long.epub", epub(pages), most=1_000)
    for name in ("a.txt", "a.md"):
        with pytest.raises(TextTooLong):
            read(name, b"word " * 300, most=1_000)


def test_a_file_over_the_limit_is_refused(tmp_path):
    path = tmp_path / "large.epub"
    with path.open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    with path.open("rb") as file, pytest.raises(TooLarge):
        read_file("large.epub", file, MOST)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"no zip at all", "no readable EPUB"),
        (epub({"a.xhtml": "<p>x</p>"})[:-30], "no readable EPUB"),
        (epub({}, {"META-INF/container.xml": "<container/>"}), "where its contents are"),
        (epub({}, {"META-INF/container.xml": "<contain"}), "cannot be read"),
        (epub({}, {"OEBPS/book.opf": package({"gone.xhtml": ""})}), "lacks 'OEBPS/gone.xhtml'"),
        (
            epub({}, {"META-INF/container.xml": f'<!DOCTYPE x [<!ENTITY a "b">]>{CONTAINER[21:]}'}),
            "entities",
        ),
        (
            epub(
                {"a.xhtml": "<p>x</p>"},
                {
                    "META-INF/encryption.xml": "<encryption><CipherReference "
                    'URI="OEBPS/a.xhtml"/></encryption>'
                },
            ),
            "DRM",
        ),
    ],
    ids=["no zip", "cut off", "no root", "bad xml", "page missing", "entities", "protected"],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_book_that_cannot_be_read_says_why(content, problem):
    with pytest.raises(BadInput, match=problem):
        read("a.epub", content)


def test_embedded_fonts_may_be_encrypted():
    fonts = '<encryption><CipherReference URI="OEBPS/font.otf"/></encryption>'
    assert texts("a.epub", epub({"a.xhtml": "<p>x</p>"}, {"META-INF/encryption.xml": fonts}))


@steady
@given(st.text(max_size=3_000))
def test_no_word_of_a_pasted_text_is_lost(text):
    words = "".join(text.split())
    for split in ("paragraphs", "sentences"):
        try:
            lines = to_lines(read_plain(text, MOST), split, "en")
        except EmptyText:
            assert not any(each.isalnum() for each in text)
            continue
        said = "".join("".join(line.text.split()) for line in lines)
        assert [c for c in said if c.isalnum()] == [c for c in words if c.isalnum()]
        assert all(0 < len(line.text) <= LONGEST_LINE for line in lines)


@steady
@given(st.text(max_size=500))
def test_any_markdown_and_any_page_can_be_read(text):
    list(read_markdown(text, MOST))
    list(read_blocks(text))


def test_a_paragraph_too_long_for_a_line_is_cut_after_sentences():
    lines = to_lines([Block("A sentence of words. " * 600)], "paragraphs", "en")
    assert len(lines) == 3
    assert all(line.text.endswith("words.") for line in lines)
