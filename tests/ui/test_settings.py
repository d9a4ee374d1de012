"""The Settings page as a visitor uses it: a real browser, a live server, the tone engine."""

from __future__ import annotations

import json

import httpx
import pytest
from live import live_server
from playwright.sync_api import expect


@pytest.fixture
def settings(page):
    page.get_by_role("tab", name="Settings").click()
    return page


def field(page, name):
    return page.get_by_label(name, exact=False).filter(visible=True).first


def save(page):
    page.get_by_role("button", name="Save", exact=True).filter(visible=True).click()


def message(page):
    return page.locator("#settings-message")


def test_settings_are_read_checked_changed_and_followed(settings, home, shot):
    def kept(part, name):
        return json.loads((home / "confignew.json").read_text())[part][name]

    pause = field(settings, "speech.pause_s")
    expect(pause).to_have_value("0.12")
    expect(settings.get_by_text("Silence between sentences of one speaker")).to_be_visible()
    shot(settings, "settings")

    pause.fill("long")
    pause.blur()
    expect(settings.get_by_role("alert")).to_contain_text("speech.pause_s: must be a valid number")
    shot(settings, "settings-wrong")
    save(settings)
    expect(message(settings)).to_contain_text("Nothing is saved.")
    assert kept("speech", "pause_s") == 0.12

    pause.fill("0.7")
    settings.get_by_role("radio", name="v2").check()
    save(settings)
    expect(message(settings)).to_contain_text("Saved: speech.narration, speech.pause_s.")
    assert (kept("speech", "pause_s"), kept("speech", "narration")) == (0.7, "v2")
    expect(settings.get_by_role("alert")).to_have_count(0)

    field(settings, "speech.role_pause_s").fill("0.9")  # not saved yet, and not to be lost
    changed = json.loads((home / "confignew.json").read_text())
    changed["speech"]["pause_s"] = 0.4
    (home / "confignew.json").write_text(json.dumps(changed))
    expect(pause).to_have_value("0.4")
    expect(message(settings)).to_contain_text("Changed elsewhere: speech.pause_s.")
    expect(field(settings, "speech.role_pause_s")).to_have_value("0.9")

    settings.get_by_label("Find a setting").fill("cors")
    origins = field(settings, "server.cors_allow_origins")
    expect(origins).to_have_value("*")
    origins.fill("https://a.example, https://b.example")
    save(settings)
    expect(message(settings)).to_contain_text("Saved: server.cors_allow_origins.")
    assert kept("server", "cors_allow_origins") == ["https://a.example", "https://b.example"]

    settings.reload()
    settings.get_by_role("tab", name="Settings").click()
    expect(field(settings, "speech.pause_s")).to_have_value("0.4")
    assert settings.evaluate("document.body.classList.contains('dark')") is False
    settings.get_by_role("button", name="Appearance").click()
    settings.get_by_role("radio", name="Dark").check()
    settings.wait_for_function("document.body.classList.contains('dark')")
    shot(settings, "settings-dark")
    settings.reload()
    settings.wait_for_function("document.body.classList.contains('dark')")
    settings.set_viewport_size({"width": 390, "height": 844})
    settings.get_by_role("button", name="Speak", exact=True).wait_for()
    assert settings.evaluate("document.documentElement.scrollWidth") <= 390


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
        page.get_by_role("button", name="The same from a program").click()
        expect(page.locator("#speak-curl")).to_contain_text("$ALLTALK_API_KEY")
        page.get_by_role("tab", name="Settings").click()
        page.get_by_role("button", name="API keys").click()
        page.get_by_label("Whose key").fill("me")
        page.get_by_role("button", name="Remove that key").click()
        expect(page.get_by_role("alert")).to_contain_text("the key of me is locked out")
        assert httpx.get(f"{server.url}/api/voices", timeout=60).status_code == 401
        page.get_by_role("button", name="Really remove it").click()
        expect(page.locator("#settings-message")).to_contain_text("opens nothing any more")
        visitor.close()
