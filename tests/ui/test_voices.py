"""The Voices page as a visitor uses it: a real browser, a live server, the tone engine."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect
from recordings import tone, wav
from visiting import choose, give


@pytest.fixture
def voices(page):
    page.get_by_role("tab", name="Voices").click()
    return page


def listed(page):
    return page.request.get(page.url.split("/ui")[0] + "/api/voices").json()["voices"]


def described(page, voice):
    return page.request.get(page.url.split("/ui")[0] + f"/v1/voices/{voice}").json()


def test_a_voice_is_uploaded_heard_renamed_and_deleted(voices, tmp_path, shot):
    clip = tmp_path / "friend.wav"
    clip.write_bytes(wav(tone(5.0)))
    give(voices, "#voices-files", clip)
    expect(voices.locator("#voices-checked")).to_contain_text("5.0 s of sound. Nothing to improve.")
    voices.get_by_label("What is said in the recording").fill("Good day.")
    shot(voices, "voices-checked")
    voices.get_by_role("button", name="Add this voice").click()
    expect(voices.locator("#voices-added")).to_contain_text("friend.wav is there now")
    expect(voices.locator("#voices-checked")).to_be_empty()
    expect(voices.locator("#voices-about")).to_contain_text("Good day.")
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

    transcript = voices.get_by_role("textbox", name="Transcript", exact=True)
    expect(transcript).to_have_value("Good day.")
    transcript.fill("Good night.")
    voices.get_by_role("button", name="Save the transcript").click()
    expect(voices.locator("#voices-message")).to_contain_text("transcript of pal.wav was saved")
    expect(voices.locator("#voices-about")).to_contain_text("Good night.")
    assert described(voices, "pal.wav")["transcript"] == "Good night."
    choose(voices, "Listed voice", "low")
    expect(transcript).to_be_disabled()
    expect(transcript).to_have_value("")
    choose(voices, "Listed voice", "pal.wav")
    expect(transcript).to_have_value("Good night.")

    voices.get_by_role("button", name="Delete this voice").click()
    expect(voices.get_by_role("alert")).to_contain_text("pal.wav cannot be brought back")
    shot(voices, "voices-delete")
    voices.get_by_role("button", name="Keep it").click()
    expect(voices.get_by_role("alert")).to_have_count(0)
    voices.get_by_role("button", name="Delete this voice").click()
    expect(voices.get_by_role("button", name="Really delete it")).to_be_visible()
    choose(voices, "Listed voice", "low")  # takes the question back
    expect(voices.get_by_role("button", name="Really delete it")).to_have_count(0)
    voices.get_by_role("button", name="Delete this voice").click()
    expect(voices.locator("#voices-message")).to_contain_text("part of its engine")
    choose(voices, "Listed voice", "pal.wav")
    voices.get_by_role("button", name="Delete this voice").click()
    voices.get_by_role("button", name="Really delete it").click()
    expect(voices.locator("#voices-message")).to_contain_text("pal.wav was deleted")
    expect(voices.get_by_role("button", name="Really delete it")).to_have_count(0)
    assert "pal.wav" not in listed(voices)


def test_several_clips_are_a_set_with_hints_and_a_taken_name_is_told(voices, tmp_path):
    clips = [tmp_path / f"part{number}.wav" for number in (1, 2)]
    for clip in clips:
        clip.write_bytes(wav(tone(1.0)))
    for added in ("is there now. part1.wav: The clip has 1.0 s", "already"):
        give(voices, "#voices-files", *clips)
        expect(voices.locator("#voices-checked")).to_contain_text("3 to 30 s clone better.")
        voices.get_by_label("Name of the new voice").fill("pair")
        voices.get_by_role("button", name="Add this voice").click()
        expect(voices.locator("#voices-added")).to_contain_text(added)
    voices.get_by_label("Replace a voice of that name").check()
    voices.get_by_role("button", name="Add this voice").click()
    expect(voices.locator("#voices-added")).to_contain_text("voiceset:pair is there now.")
    expect(voices.locator("#voices-about")).to_contain_text("2 recordings")


def test_what_is_no_sound_and_what_is_missing_say_what_to_do(voices, tmp_path):
    voices.get_by_role("button", name="Add this voice").click()
    expect(voices.locator("#voices-added")).to_contain_text("Choose a recording")
    clip = tmp_path / "noise.wav"
    clip.write_bytes(b"no sound at all")
    give(voices, "#voices-files", clip)
    expect(voices.locator("#voices-checked").get_by_role("alert")).to_contain_text("noise.wav")
    voices.get_by_role("button", name="Add this voice").click()
    expect(voices.locator("#voices-added").get_by_role("alert")).to_contain_text("noise.wav")


def test_an_openai_name_is_mapped_and_stays_so(voices):
    voices.get_by_role("button", name="OpenAI's voice names").click()
    choose(voices, "nova", "low")
    voices.get_by_role("button", name="Save the names").click()
    expect(voices.locator("#names-message")).to_contain_text("Saved.")
    voices.reload()
    voices.get_by_role("tab", name="Voices").click()
    voices.get_by_role("button", name="OpenAI's voice names").click()
    expect(voices.get_by_label("nova", exact=True)).to_have_value("low")


def test_the_microphone_makes_a_voice(voices):
    voices.get_by_label("Name of the new voice").fill("spoken")
    voices.get_by_role("button", name="Record", exact=True).click()
    stop = voices.get_by_role("button", name="Stop", exact=True).filter(visible=True)
    expect(stop).to_be_visible()
    expect(voices.locator("#record time.duration")).to_have_text(re.compile(r"0:0[2-9]|0:[1-5]"))
    with voices.expect_response("**/upload*"):
        stop.click()
    expect(voices.get_by_role("button", name="Play", exact=True).first).to_be_visible()
    voices.get_by_role("button", name="Add this voice").click()
    expect(voices.locator("#voices-added")).to_contain_text("spoken.wav is there now")


def test_what_an_engine_that_does_not_clone_will_not_speak_as_is_told(voices, tmp_path):
    """The last one: another engine speaks from here on."""
    origin = voices.url.split("/ui")[0]
    assert voices.request.post(f"{origin}/api/enginereload?engine=espeak").ok
    voices.reload()
    voices.get_by_role("tab", name="Voices").click()
    expect(voices.locator("#voices-note")).to_contain_text("espeak speaks only as its own voices")
    clip = tmp_path / "kept.wav"
    clip.write_bytes(wav(tone(5.0)))
    give(voices, "#voices-files", clip)
    voices.get_by_role("button", name="Add this voice").click()
    expect(voices.locator("#voices-added")).to_contain_text("kept.wav is there now")
    expect(voices.locator("#voices-about")).to_contain_text("another one will")
    voices.get_by_role("button", name="Hear it").click()
    expect(voices.locator("#voices-message").get_by_role("alert")).to_contain_text("another one")
    voices.get_by_role("button", name="Delete this voice").click()
    voices.get_by_role("button", name="Really delete it").click()
    expect(voices.locator("#voices-message")).to_contain_text("kept.wav was deleted")
