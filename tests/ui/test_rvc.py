"""RVC voices as a visitor uses them: on Speak and Voices, with tiny voices of random weights."""

from __future__ import annotations

import json
import re
import shlex
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hearing import Heard, hear
from playwright.sync_api import Page, expect
from recordings import tone, wav
from rvc_home import add_rvc
from visiting import choose, give, slide

ANA, BOB = "Ana/ana.pth", "Bob/bob.pth"
LONG = " ".join(f"Sentence {n} has five words." for n in range(1600))
PLAYING = "() => { const a = document.querySelector('%s audio'); return a && a.currentTime > 0; }"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With two RVC voices."""
    home = tmp_path_factory.mktemp("home")
    add_rvc(home, "Ana", "Bob")
    return home


def unfold(page: Page, name: str) -> None:
    """Open what is folded, or fold it."""
    page.locator("button.label-wrap", has_text=name).click()


def sound(page: Page, player: str) -> Heard:
    """What the player in `player` (CSS) plays, whole."""
    page.wait_for_function(PLAYING % player)
    return hear(page.request.get(page.locator(f"{player} audio").evaluate("a => a.src")).body())


def pitch_hz(samples: np.ndarray, sample_rate: int) -> float:
    """Where the spectrum has its peak."""
    windowed = (samples - samples.mean()) * np.hanning(len(samples))
    spectrum = np.abs(np.fft.rfft(windowed, 4 * len(samples)))
    return float(spectrum.argmax() * sample_rate / (4 * len(samples)))


def halves(heard: Heard) -> list[float]:
    """The pitch of either half, Hz."""
    parts = np.split(heard.samples, [len(heard.samples) // 2])
    return [pitch_hz(part, heard.sample_rate) for part in parts]


def test_each_role_speaks_in_its_rvc_voice_and_all_of_it_streams(page, shot):
    unfold(page, "Narrator")
    unfold(page, "Voice conversion (RVC)")
    page.get_by_label("On", exact=True).check()
    choose(page, "Voice", "tone-500")
    choose(page, "Narrator's voice", "tone-300")
    choose(page, "RVC voice", ANA)
    slide(page, "RVC pitch, semitones", 12)
    choose(page, "Narrator's RVC voice", BOB)
    slide(page, "Narrator's RVC pitch", -12)
    page.get_by_label("Text to speak").fill('*one* "two"')
    page.get_by_role("button", name="Speak", exact=True).click()
    expect(page.locator("#speak-message")).to_contain_text("of sound")
    heard = sound(page, "#speak-player")
    assert halves(heard) == pytest.approx([150, 1000], rel=0.02)
    shot(page, "speak-rvc")
    unfold(page, "The same from a program")
    expect(page.locator("#speak-curl")).to_contain_text("rvcnarrator_voice_gen")
    curl = shlex.split(page.locator("#speak-curl .cm-content").inner_text())
    answer = page.request.post(curl[1], data=json.loads(curl[-1]))
    assert halves(hear(answer.body())) == pytest.approx([150, 1000], rel=0.02)

    page.get_by_label("Text to speak").fill(LONG)
    page.get_by_role("button", name="Speak", exact=True).click()
    page.wait_for_function(PLAYING % "#speak-player")
    expect(page.locator("#speak-message")).to_contain_text("Speaking")
    page.get_by_role("button", name="Stop", exact=True).first.click()
    expect(page.locator("#speak-message")).to_contain_text("Stopped.")


def test_an_rvc_voice_is_added_tried_out_and_deleted(page, home, tmp_path, shot):
    page.get_by_role("tab", name="Voices").click()
    unfold(page, "Add a voice")  # fold it, for the picture
    unfold(page, "RVC voices")
    none = tmp_path / "none.zip"
    with zipfile.ZipFile(none, "w") as archive:
        archive.writestr("readme.txt", "no voice")
    give(page, "#rvc-files", none)
    page.get_by_role("button", name="Add this RVC voice").click()
    expect(page.locator("#rvc-added")).to_contain_text("has no voice (.pth) in it")

    whole = tmp_path / "eve.zip"
    with zipfile.ZipFile(whole, "w") as archive:
        for suffix in ("pth", "index"):
            archive.write(home / "rvc_models" / "Ana" / f"ana.{suffix}", f"Eve/Eve.{suffix}")
    page.locator("#rvc-files").get_by_label("Clear").click()
    give(page, "#rvc-files", whole)
    page.get_by_role("button", name="Add this RVC voice").click()
    expect(page.locator("#rvc-added")).to_contain_text("Eve/Eve.pth is there now")
    assert (home / "rvc_models" / "Eve" / "Eve.index").is_file()

    expect(page.get_by_label("Listed RVC voice")).to_have_value("Eve/Eve.pth")
    choose(page, "Spoken first by", "tone-500")
    slide(page, "Moved by, semitones", 12)
    page.get_by_label("What is said", exact=True).fill("one")
    page.get_by_role("button", name="Try it out").click()
    heard = sound(page, "#rvc-player")
    assert pitch_hz(heard.samples, heard.sample_rate) == pytest.approx(1000, rel=0.02)
    shot(page, "voices-rvc")

    page.get_by_role("tab", name="Speak").click()
    unfold(page, "Voice conversion (RVC)")
    choose(page, "RVC voice", "Eve/Eve.pth")
    page.get_by_role("tab", name="Voices").click()
    page.get_by_role("button", name="Delete this RVC voice").click()
    page.get_by_role("button", name="Really delete it").click()
    expect(page.locator("#rvc-message")).to_contain_text("Eve/Eve.pth was deleted")
    assert not (home / "rvc_models" / "Eve").exists()
    page.get_by_role("tab", name="Speak").click()
    expect(page.get_by_label("RVC voice", exact=True)).to_have_value("None")


def test_a_recording_is_converted_heard_and_saved(page, tmp_path, shot):
    page.get_by_role("tab", name="Voices").click()
    unfold(page, "Add a voice")  # fold it, for the picture
    unfold(page, "Convert a recording")
    page.get_by_role("button", name="Convert it").click()
    expect(page.locator("#convert-message")).to_contain_text("Choose a recording")
    clip = tmp_path / "me.wav"
    clip.write_bytes(wav(tone(1.5, hz=150.0)))
    with page.expect_response("**/upload*"):
        page.locator("#convert-clip input[type=file]").set_input_files(clip)
    expect(page.locator("#convert-clip").get_by_label("Play", exact=True)).to_be_visible()
    choose(page, "Into this RVC voice", BOB)
    slide(page, "Converted: moved by", 12)
    page.get_by_role("button", name="Convert it").click()
    expect(page.locator("#convert-message")).to_contain_text("Converted: 1.5 s of sound.")
    heard = sound(page, "#convert-player")
    assert heard.seconds == pytest.approx(1.5, abs=0.01)
    assert pitch_hz(heard.samples, heard.sample_rate) == pytest.approx(300, rel=0.01)
    with page.expect_download() as download:
        page.locator("#convert-player").get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.endswith(".wav")
    shot(page, "voices-convert")


def test_what_the_microphone_hears_is_converted(page):
    """Chromium's own microphone beeps."""
    page.get_by_role("tab", name="Voices").click()
    unfold(page, "Convert a recording")
    clip = page.locator("#convert-clip")
    clip.get_by_role("button", name="Record audio", exact=True).click()
    clip.get_by_role("button", name="Record", exact=True).click()
    expect(clip.locator("time.duration")).to_have_text(re.compile(r"0:0[2-9]|0:[1-5]"))
    with page.expect_response("**/upload*"):
        clip.get_by_role("button", name="Stop", exact=True).click()
    expect(clip.get_by_label("Play", exact=True)).to_be_visible()
    choose(page, "Into this RVC voice", BOB)
    page.get_by_role("button", name="Convert it").click()
    expect(page.locator("#convert-message")).to_contain_text("of sound.")
    told = re.search(r"Converted: ([\d.]+) s", page.locator("#convert-message").inner_text())
    heard = sound(page, "#convert-player")
    assert heard.seconds == pytest.approx(float(told[1]), abs=0.1)
    assert heard.seconds > 1.5
    assert np.abs(heard.samples).max() > 0.01


def test_switched_off_the_fields_are_disabled_until_it_is_switched_on(page):
    page.get_by_role("tab", name="Settings").click()
    page.get_by_label("Find a setting").fill("rvc_settings.rvc_enabled")
    switch = page.locator(".setting").filter(has_text="rvc_settings.rvc_enabled")
    switch.get_by_role("radio", name="false").check()
    page.get_by_role("button", name="Save", exact=True).filter(visible=True).click()
    expect(page.locator("#settings-message")).to_contain_text("Saved: rvc_settings.rvc_enabled.")
    page.get_by_role("tab", name="Speak").click()
    unfold(page, "Voice conversion (RVC)")
    expect(page.locator("#speak-rvc")).to_contain_text("Voice conversion is switched off")
    expect(page.get_by_label("RVC voice", exact=True)).to_be_disabled()
    page.get_by_role("tab", name="Voices").click()
    unfold(page, "RVC voices")
    expect(page.get_by_role("button", name="Try it out")).to_be_disabled()
    page.get_by_role("button", name="Switch voice conversion on").click()
    expect(page.get_by_role("button", name="Try it out")).to_be_enabled()
    expect(page.get_by_label("Listed RVC voice")).to_have_value(ANA)
