"""The Settings page as a visitor uses it: a real browser, a live server, the tone engine."""

from __future__ import annotations

import json

import pytest
from live import live_server
from playwright.sync_api import expect


@pytest.fixture
def settings(page):
    page.get_by_role("tab", name="Settings").click()
    return page


def find(page, name):
    """Choose a setting by typing its name: the list shows the first hundred until then."""
    field = page.get_by_label("Setting", exact=True)
    field.click()
    field.fill("")
    field.press_sequentially(name)
    page.get_by_role("option", name=name, exact=True).click()
    expect(page.get_by_text("Default:")).to_be_visible()


def change(page, value):
    page.get_by_label("Value", exact=True).fill(value)
    page.get_by_label("Value", exact=True).press("Enter")
    page.get_by_role("button", name="Save", exact=True).filter(visible=True).click()


def test_a_setting_is_changed_and_stays_so(settings, home, shot):
    find(settings, "speech.pause_s")
    shot(settings, "settings")
    change(settings, "0.7")
    expect(settings.locator("#settings-message")).to_contain_text("speech.pause_s is saved.")
    assert json.loads((home / "confignew.json").read_text())["speech"]["pause_s"] == 0.7
    settings.reload()
    settings.get_by_role("tab", name="Settings").click()
    find(settings, "speech.pause_s")
    expect(settings.get_by_label("Value", exact=True)).to_have_value("0.7")


def test_a_wrong_value_is_told_and_not_saved(settings, home):
    before = (home / "confignew.json").read_text()
    find(settings, "server.drain_s")
    change(settings, "soon")
    expect(settings.get_by_role("alert")).to_contain_text("server.drain_s")
    assert (home / "confignew.json").read_text() == before


def test_with_a_key_the_pages_ask_for_it(browser, tmp_path, open_page):
    with live_server(tmp_path) as server:
        visitor = browser.new_context()
        page = open_page(visitor.new_page(), server)
        page.get_by_role("tab", name="Settings").click()
        page.get_by_role("button", name="API keys").click()
        page.get_by_label("Whose key").fill("me")
        page.get_by_role("button", name="Make a key").click()
        expect(page.locator("#settings-message")).to_contain_text("shown this once")
        key = page.locator("#settings-message").inner_text().rsplit(" ", 1)[1].strip()
        page.goto(f"{server.url}/ui/")
        page.get_by_label("API key").fill(key)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_label("Text to speak").fill("one two.")
        page.get_by_role("button", name="Speak", exact=True).click()
        expect(page.locator("#speak-message")).to_contain_text("of sound")
        visitor.close()
