"""The Speak page as a visitor uses it: a real browser, a live server, the tone engine."""

from __future__ import annotations

import json
import shlex

import pytest
from hearing import hear
from playwright.sync_api import expect
from visiting import choose, slide

LONG = " ".join(f"Sentence {n} has five words." for n in range(1600))
PLAYING = "() => { const a = document.querySelector('#speak-player audio'); return a && %s; }"


def speak(page, text):
    page.get_by_label("Text to speak").fill(text)
    page.get_by_role("button", name="Speak", exact=True).click()


def player(page):
    return page.locator("#speak-player audio")


def test_a_text_is_spoken_in_the_chosen_voice_and_heard_to_its_end(page, shot):
    shot(page, "speak-start")
    choose(page, "Voice", "low")
    speak(page, "one two three.")
    expect(page.locator("#speak-message")).to_contain_text("of sound")
    page.wait_for_function(PLAYING % "a.ended")
    sound = hear(page.request.get(player(page).evaluate("a => a.src")).body())
    assert sound.pitches == [220] * 3
    assert player(page).evaluate("a => a.duration") == pytest.approx(sound.seconds, abs=0.1)
    expect(page.get_by_role("img", name="Waveform and spectrogram")).to_be_visible()
    shot(page, "speak-spoken")


def test_sound_plays_before_the_end_and_can_be_stopped(page):
    speak(page, LONG)
    page.wait_for_function(PLAYING % "a.currentTime > 0")
    expect(page.locator("#speak-message")).to_contain_text("Speaking")
    page.get_by_role("button", name="Stop", exact=True).first.click()
    expect(page.locator("#speak-message")).to_contain_text("Stopped.")
    expect(page.get_by_role("button", name="Speak", exact=True)).to_be_enabled()
    assert page.request.get(page.url.split("/ui")[0] + "/api/requests").json() == {"requests": []}


def test_what_was_spoken_survives_a_reload_and_can_be_deleted(page):
    speak(page, "keep this.")
    expect(page.locator("#clips")).to_contain_text("keep this.")
    page.reload()
    page.locator("#clips").get_by_role("radio", name="keep this.").check()
    page.get_by_role("button", name="Play again").click()
    address = player(page).evaluate("a => a.src")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.endswith(".wav")
    page.get_by_role("button", name="Delete", exact=True).first.click()
    page.get_by_role("button", name="Really delete it").click()
    expect(page.locator("#clips")).not_to_be_visible()
    assert page.request.get(address).status == 404


def test_a_clip_deleted_while_the_next_is_spoken_does_not_come_back(page):
    speak(page, "first of all.")
    clip = page.locator("#clips").get_by_role("radio", name="first of all.")
    expect(clip).to_be_visible()
    speak(page, " ".join(f"Sentence {n} has five words." for n in range(80)))
    expect(page.locator("#speak-message")).to_contain_text("Speaking")
    clip.check()
    page.get_by_role("button", name="Delete", exact=True).first.click()
    page.get_by_role("button", name="Really delete it").click()
    expect(clip).to_have_count(0)
    expect(page.locator("#clips").get_by_role("radio", name="Sentence 0")).to_be_visible()
    expect(page.locator("#clips").get_by_role("radio")).to_have_count(1)


def test_the_code_for_a_program_follows_the_fields(page):
    page.get_by_role("button", name="The same from a program").click()
    curl = page.locator("#speak-curl .cm-content")
    expect(curl).to_contain_text("Type your text here.")
    expect(curl).not_to_contain_text("temperature")
    page.get_by_label("Text to speak").fill("Set, not spoken.")
    expect(curl).to_contain_text("Set, not spoken.")
    choose(page, "Voice", "low")
    page.get_by_role("button", name="Manner and format").click()
    choose(page, "Format", "flac")
    slide(page, "Speed", 2)
    for shown in ('"voice": "low"', '"response_format": "flac"', '"speed": 2'):
        expect(curl).to_contain_text(shown)
    expect(page.locator("#speak-sdk")).to_contain_text("voice='low'")
    words = shlex.split(curl.inner_text())
    heard = hear(page.request.post(words[1], data=json.loads(words[-1])).body())
    assert (heard.codec, set(heard.pitches)) == ("flac", {220})


def test_two_visitors_do_not_see_each_other_s_clips(page, browser, server, open_page):
    speak(page, "mine alone.")
    expect(page.locator("#clips")).to_contain_text("mine alone.")
    visitor = browser.new_context()
    other = open_page(visitor.new_page(), server)
    expect(other.get_by_role("button", name="Speak", exact=True)).to_be_visible()
    expect(other.get_by_text("mine alone.")).to_have_count(0)
    visitor.close()


def test_an_empty_text_and_what_cannot_be_used_say_why(page):
    page.get_by_role("button", name="Speak", exact=True).click()
    expect(page.locator("#speak-message")).to_contain_text("Type a text above.")
    page.get_by_role("button", name="Voice conversion").click()
    expect(page.locator("#speak-rvc")).to_contain_text("alltalk models install rvc")
    for field in ("RVC voice", "number input for RVC pitch", "Narrator's RVC voice"):
        expect(page.get_by_label(field).first).to_be_disabled()
    page.get_by_role("button", name="Manner and format").click()
    expect(page.get_by_label("Temperature")).to_be_disabled()
    expect(page.get_by_label("Temperature")).to_have_value("")  # and no 0, which would be used


def test_on_a_phone_nothing_is_cut_off(browser, server, open_page, shot):
    visitor = browser.new_context(viewport={"width": 390, "height": 844})
    page = open_page(visitor.new_page(), server)
    expect(page.get_by_label("Text to speak")).to_be_visible()
    for name in ("Speak", "Voices"):
        page.get_by_role("button", name="More pages").click()
        # Gradio decides what fits beside it, and what is in that list.
        listed = page.locator(".overflow-dropdown").get_by_role("button", name=name)
        page.get_by_role("tab", name=name).or_(listed).click()
        for fold in page.locator("button.label-wrap:not(.open):visible").all()[::-1]:
            fold.click()
        shot(page, f"{name.lower()}-phone")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    visitor.close()


def test_nothing_is_asked_of_other_servers(browser, server, open_page):
    visitor = browser.new_context()
    page = visitor.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_page(page, server)
    speak(page, "hello.")
    expect(page.locator("#speak-message")).to_contain_text("of sound")
    outside = [url for url in asked if not url.startswith((server.url, "data:", "blob:"))]
    assert outside == []
    visitor.close()
