"""The Voices page as a visitor uses it: a real browser, a live server, the tone engine."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from recordings import tone, wav


@pytest.fixture
def voices(page):
    page.get_by_role("tab", name="Voices").click()
    return page


def choose(page, label, option):
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()


def listed(page):
    return page.request.get(page.url.split("/ui")[0] + "/api/voices").json()["voices"]


def give(page, clip):
    """Choose a file; return when the server has it and the page knows."""
    with page.expect_response("**/upload*"):
        page.locator("#voices-files input[type=file]").set_input_files(clip)
    expect(page.locator("#voices-files .file-preview")).to_contain_text(clip.stem)


def test_a_voice_is_uploaded_heard_renamed_and_deleted(voices, tmp_path, shot):
    clip = tmp_path / "friend.wav"
    clip.write_bytes(wav(tone(5.0)))
    give(voices, clip)
    voices.get_by_role("button", name="Add this voice").click()
    expect(voices.locator("#voices-message")).to_contain_text("friend.wav is there now")
    shot(voices, "voices")
    voices.get_by_role("button", name="Hear it").click()
    voices.wait_for_function(
        "() => { const a = document.querySelector('#voices-player audio');"
        " return a && a.currentTime > 0; }"
    )
    voices.get_by_label("New name", exact=True).fill("pal")
    voices.get_by_role("button", name="Rename").click()
    expect(voices.locator("#voices-message")).to_contain_text("pal.wav")
    assert "pal.wav" in listed(voices)
    voices.get_by_role("button", name="Delete this voice").click()
    expect(voices.locator("#voices-message")).to_contain_text("pal.wav was deleted")
    assert "pal.wav" not in listed(voices)


def test_what_is_no_sound_and_what_is_missing_say_what_to_do(voices, tmp_path):
    voices.get_by_role("button", name="Add this voice").click()
    expect(voices.get_by_role("alert")).to_contain_text("Choose a recording")
    clip = tmp_path / "noise.wav"
    clip.write_bytes(b"no sound at all")
    give(voices, clip)
    voices.get_by_role("button", name="Add this voice").click()
    expect(voices.get_by_role("alert")).to_contain_text("noise.wav")


def test_an_openai_name_is_mapped_and_stays_so(voices):
    voices.get_by_role("button", name="OpenAI's voice names").click()
    choose(voices, "nova", "low")
    voices.get_by_role("button", name="Save the names").click()
    expect(voices.locator("#voices-message")).to_contain_text("Saved.")
    voices.reload()
    voices.get_by_role("tab", name="Voices").click()
    voices.get_by_role("button", name="OpenAI's voice names").click()
    expect(voices.get_by_label("nova", exact=True)).to_have_value("low")


def test_the_microphone_makes_a_voice(voices):
    voices.get_by_label("Name of the new voice").fill("spoken")
    voices.get_by_role("button", name="Record", exact=True).click()
    stop = voices.get_by_role("button", name="Stop", exact=True).filter(visible=True)
    expect(stop).to_be_visible()
    voices.wait_for_timeout(4000)  # what is recorded has to last
    with voices.expect_response("**/upload*"):
        stop.click()
    expect(voices.get_by_role("button", name="Play", exact=True).first).to_be_visible()
    voices.get_by_role("button", name="Add this voice").click()
    expect(voices.locator("#voices-message")).to_contain_text("spoken.wav is there now")
