"""The Long text page as a visitor uses it: a real browser, a live server, the tone engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from books import epub
from hearing import hear
from held import HeldHome
from live import live_server
from playwright.sync_api import Locator, Page, expect

TEXT = "one two.\n\nthree four.\n\nfive six seven."


@pytest.fixture
def page(page: Page) -> Page:
    """The Long text page, open in a browser of a visitor of its own."""
    return shown(page)


def shown(page: Page) -> Page:
    page.get_by_role("tab", name="Long text").click()
    return page


def make(page: Page, text: str = TEXT, title: str = "") -> None:
    """A document of `text`, whose lines are shown."""
    page.locator("#long-text-start").get_by_label("Title").fill(title)
    page.get_by_label("Text", exact=True).fill(text)
    page.get_by_role("button", name="Make lines of it").click()
    expect(lines(page).first).to_be_visible()


def lines(page: Page) -> Locator:
    return page.locator("#long-text-lines label")


def line(page: Page, text: str) -> Locator:
    return page.locator("#long-text-lines").get_by_role("radio", name=text)


def speak_all(page: Page) -> None:
    page.get_by_role("button", name="Speak all").click()
    expect(page.locator("#long-text-progress")).to_contain_text("lines are spoken")


def choose(page: Page, text: str) -> None:
    line(page, text).check()
    expect(page.get_by_label("Text of the chosen line")).to_have_value(text)


def exported(page: Page, format: str) -> bytes:
    """The document as a file of that format, saved by the visitor."""
    if not page.get_by_role("button", name="Make the file").is_visible():
        page.get_by_role("button", name="Take it away").click()
    field = page.locator("#long-text-document").get_by_label("Format")
    field.click()
    page.get_by_role("option", name=format, exact=True).click()
    page.get_by_role("button", name="Make the file").click()
    with page.expect_download() as download:
        page.get_by_role("link", name=f"as {format}").click()
    assert download.value.suggested_filename.endswith(f".{format}")
    return Path(download.value.path()).read_bytes()


def test_a_pasted_text_is_spoken_and_played_from_any_line(page, shot):
    shot(page, "long-text-start")
    make(page)
    expect(lines(page)).to_have_count(3)
    speak_all(page)
    shot(page, "long-text-spoken")
    choose(page, "three four.")
    page.get_by_role("button", name="Play from here").click()
    audio = page.locator("#long-text-player audio")
    page.wait_for_function(
        "() => { const a = document.querySelector('#long-text-player audio');"
        " return a && a.ended && a.duration > 0; }"
    )
    sound = page.request.get(audio.evaluate("a => a.src")).body()
    assert hear(sound).pitches == [300] * 5
    assert audio.evaluate("a => a.duration") == pytest.approx(hear(sound).seconds, abs=0.05)


def test_one_line_is_redone_in_another_voice_and_all_is_taken_away(page, shot):
    make(page, title="My book")
    speak_all(page)
    choose(page, "three four.")
    page.get_by_label("Text of the chosen line").fill("three")
    page.locator("#long-text-document").get_by_label("Voice").first.click()
    page.get_by_role("option", name="low", exact=True).click()
    page.get_by_role("button", name="Save and speak").click()
    expect(lines(page).nth(1)).to_contain_text("✓")
    expect(lines(page).nth(1)).to_contain_text("low — three")
    page.get_by_role("button", name="Move up").click()
    expect(lines(page).nth(0)).to_contain_text("three")
    shot(page, "long-text-redone")
    for format in ("wav", "m4b"):
        assert hear(exported(page, format)).pitches == [220] + [300] * 5
    choose(page, "one two.")
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_role("button", name="Really remove it").click()
    expect(lines(page)).to_have_count(2)
    assert hear(exported(page, "wav")).pitches == [220] + [300] * 3
    assert exported(page, "srt").decode().startswith("1\n00:00:00,000 --> ")


def test_what_is_not_spoken_is_named_before_it_is_taken_away(page):
    make(page)
    page.get_by_role("button", name="Take it away").click()
    page.get_by_role("button", name="Make the file").click()
    expect(page.get_by_role("alert")).to_contain_text("line 1, 2, 3")


def test_an_empty_text_and_a_wrong_file_say_what_to_do(page, tmp_path):
    page.get_by_role("button", name="Make lines of it").click()
    expect(page.get_by_role("alert")).to_contain_text("Paste some, or choose a file.")
    book = tmp_path / "broken.epub"
    book.write_bytes(b"no book")
    page.locator("#long-text-start input[type=file]").set_input_files(book)
    expect(page.locator("#long-text-start")).to_contain_text("broken")
    page.get_by_role("button", name="Make lines of it").click()
    expect(page.get_by_role("alert")).to_contain_text("no readable EPUB")


def test_a_book_is_uploaded_with_its_title_and_chapters(page, tmp_path):
    book = tmp_path / "night.epub"
    book.write_bytes(epub({"a.xhtml": "<h1>Chapter One</h1><p>Words.</p>"}, title="The Night"))
    page.locator("#long-text-start input[type=file]").set_input_files(book)
    expect(page.locator("#long-text-start")).to_contain_text("night")
    page.get_by_role("button", name="Make lines of it").click()
    expect(page.get_by_role("heading", name="The Night")).to_be_visible()
    expect(lines(page).first).to_contain_text("chapter — Chapter One")


def test_a_reload_in_the_middle_shows_it_going_on(page, shot):
    make(page, "\n\n".join(f"line {n} has " + "word " * 60 for n in range(100)))
    page.get_by_role("button", name="Speak all").click()
    expect(lines(page).first).to_contain_text("✓")
    page.reload()
    page.get_by_role("tab", name="Long text").click()
    expect(page.locator("#long-text-progress")).to_contain_text("of 100 lines spoken")
    shot(page, "long-text-speaking")
    page.locator("#long-text-document").get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Speak all")).to_be_enabled()
    expect(page.locator("#long-text-progress")).not_to_contain_text("speaking")
    page.get_by_role("button", name="Next page").click()
    expect(lines(page).first).to_contain_text("line 25 has")


def test_two_visitors_do_not_see_each_other_s_documents(page, browser, server, open_page):
    make(page, title="Mine alone")
    visitor = browser.new_context()
    other = shown(open_page(visitor.new_page(), server))
    expect(other.get_by_role("button", name="Make lines of it")).to_be_visible()
    expect(other.get_by_text("Mine alone")).to_have_count(0)
    visitor.close()
    page.get_by_role("button", name="All documents").click()
    expect(page.get_by_label("Your documents")).to_have_value("Mine alone")
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page.get_by_role("heading", name="Mine alone")).to_be_visible()


def test_two_tabs_forget_nothing_of_each_other(page, server, open_page):
    other = shown(open_page(page.context.new_page(), server))
    make(page, title="First")
    make(other, title="Second")
    page.get_by_role("button", name="All lines: title").click()
    page.get_by_role("button", name="Delete this document").click()
    page.get_by_role("button", name="Really delete it").click()
    make(page, title="Third")
    other.get_by_role("button", name="All documents").click()
    expect(other.get_by_label("Your documents")).to_have_value("Third")
    other.get_by_label("Your documents").click()
    expect(other.get_by_role("option", name="Second")).to_be_visible()
    expect(other.get_by_role("option")).to_have_count(2)


def test_an_open_page_goes_on_after_a_restart(browser, tmp_path, open_page):
    visitor, home = browser.new_context(), HeldHome(tmp_path)
    home.let_speak()
    page = visitor.new_page()
    with live_server(home.path, "held") as first:
        shown(open_page(page, first))
        make(page, "\n\n".join(f"line {n} is said." for n in range(30)), title="Going on")
        page.get_by_role("button", name="Next page").click()
        choose(page, "line 26 is said.")
    with live_server(home.path, "held", port=first.port):
        page.get_by_role("button", name="Move up").click()
        expect(lines(page).nth(0)).to_contain_text("line 26")
        page.get_by_role("button", name="Speak all").click()
        expect(page.locator("#long-text-progress")).to_contain_text("All 30 lines are spoken")
        page.get_by_role("tab", name="Speak").click()
        page.get_by_role("button", name="Speak", exact=True).click()
        expect(page.locator("#speak-message")).to_contain_text("Type a text above.")
    visitor.close()


def test_a_deleted_document_is_gone(page):
    make(page)
    page.get_by_role("button", name="All lines: title").click()
    page.get_by_role("button", name="Delete this document").click()
    page.get_by_role("button", name="Keep it").click()
    page.get_by_role("button", name="Delete this document").click()
    expect(page.get_by_role("alert")).to_contain_text("All of one two.")
    page.get_by_role("button", name="Really delete it").click()
    expect(page.get_by_role("button", name="Make lines of it")).to_be_visible()
    expect(page.get_by_label("Your documents")).to_have_count(0)


def test_on_a_phone_nothing_is_cut_off(browser, server, open_page, shot):
    visitor = browser.new_context(viewport={"width": 390, "height": 844})
    page = shown(open_page(visitor.new_page(), server))
    make(page)
    choose(page, "three four.")
    shot(page, "long-text-phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    visitor.close()


def test_a_restart_in_the_middle_loses_no_finished_line(browser, tmp_path, open_page):
    visitor, home = browser.new_context(), HeldHome(tmp_path)
    page = visitor.new_page()
    with live_server(home.path, "held") as first:
        shown(open_page(page, first))
        make(page, "\n\n".join([f"line {n} is said." for n in range(3)] + ["hold this."] * 7))
        page.get_by_role("button", name="Speak all").click()
        expect(lines(page).nth(2)).to_contain_text("✓")
        first.process.kill()
        first.process.wait()
    home.let_speak()
    with live_server(home.path, "held", port=first.port) as second:
        page = shown(open_page(visitor.new_page(), second))  # the old one is busy reconnecting
        expect(page.locator("#long-text-progress")).to_contain_text("3 of 10 lines spoken")
        expect(lines(page).nth(2)).to_contain_text("✓")
        page.get_by_role("button", name="Speak all").click()
        expect(page.locator("#long-text-progress")).to_contain_text("All 10 lines are spoken")
    visitor.close()
