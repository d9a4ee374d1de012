"""The Status page as a visitor uses it: a real browser, a live server, the tone engine."""

from __future__ import annotations

from playwright.sync_api import expect

LONG = " ".join(f"Sentence {n} has five words." for n in range(1600))


def status(page):
    page.get_by_role("tab", name="Status").click()


def test_what_is_spoken_is_shown_and_one_is_stopped(page, browser, server, open_page, shot):
    status(page)
    expect(page.locator("#status-summary")).to_contain_text("Ready to speak")
    expect(page.locator("#status-requests")).to_contain_text("Nothing is being spoken.")
    spoken = {"model": "tts-1", "input": "one two.", "voice": "low"}
    assert page.request.post(f"{server.url}/v1/audio/speech", data=spoken).ok
    unknown = {**spoken, "voice": "nobody"}
    assert page.request.post(f"{server.url}/v1/audio/speech", data=unknown).status == 400
    expect(page.get_by_role("img", name="Time to first audio")).to_be_visible()
    expect(page.get_by_role("img", name="Speed")).to_be_visible()
    expect(page.locator("#status-failures")).to_contain_text("no voice 'nobody'")
    expect(page.locator("#status-summary")).to_contain_text("MB")
    visitor = browser.new_context()
    other = open_page(visitor.new_page(), server)
    other.get_by_label("Text to speak").fill(LONG)
    other.get_by_role("button", name="Speak", exact=True).click()
    expect(page.locator("#status-requests")).to_contain_text("speaking")
    shot(page, "status")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shot(page, "status-phone")
    page.set_viewport_size({"width": 1200, "height": 1000})
    page.get_by_label("Request to stop").click()
    page.get_by_role("option", name="characters").click()
    page.get_by_role("button", name="Stop it").click()
    expect(page.locator("#status-message")).to_contain_text("Stopped.")
    expect(other.locator("#speak-message")).to_contain_text("Stopped.")
    expect(page.locator("#status-requests")).to_contain_text("Nothing is being spoken.")
    visitor.close()
