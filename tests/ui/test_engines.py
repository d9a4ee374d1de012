"""The Engines page as a visitor uses it: a real browser, a live server, the tone engine."""

from __future__ import annotations

import json

from playwright.sync_api import expect
from visiting import choose


def current(page):
    return page.request.get(page.url.split("/ui")[0] + "/api/currentsettings").json()


def test_the_model_and_the_engine_are_changed(engines, shot):
    expect(engines.locator("#engines-backends")).to_contain_text("running")
    shot(engines, "engines")
    choose(engines, "Model to load", "tone-b")
    engines.get_by_role("button", name="Load this model").click()
    expect(engines.locator("#engines-message")).to_contain_text("speaks with tone-b now.")
    assert current(engines)["current_model_loaded"] == "tone-b"
    choose(engines, "Engine to load", "espeak")
    engines.get_by_role("button", name="Load this engine").click()
    expect(engines.locator("#engines-message")).to_contain_text("espeak speaks now")
    assert current(engines)["current_engine_loaded"] == "espeak"
    expect(engines.get_by_label("DeepSpeed")).to_be_disabled()
    expect(engines.locator("#engines-switches")).to_contain_text("has no DeepSpeed mode")


def test_a_switch_shows_what_is_in_effect_and_not_what_was_asked_for(engines, home):
    engines.get_by_label("Engine to load", exact=True).fill("tone")  # hidden: it is not listed
    engines.get_by_label("Engine to load", exact=True).press("Enter")
    engines.get_by_role("button", name="Load this engine").click()
    expect(engines.locator("#engines-message")).to_contain_text("tone speaks now")
    box, switches = engines.get_by_label("Low VRAM"), engines.locator("#engines-switches")
    list_of_backends = home / "backends.json"
    saved = list_of_backends.read_bytes()
    list_of_backends.unlink()
    list_of_backends.mkdir()  # nothing can be saved now
    box.check()
    expect(engines.locator("#engines-message").get_by_role("alert")).to_contain_text("Could not")
    expect(box).not_to_be_checked()
    expect(switches).to_contain_text("Low VRAM: off.")
    list_of_backends.rmdir()
    list_of_backends.write_bytes(saved)
    box.check()
    expect(engines.locator("#engines-message")).to_contain_text("Low VRAM: in effect.")
    expect(switches).to_contain_text("Low VRAM: in effect.")
    expect(box).to_be_checked()
    expect(engines.locator("#engines-backends")).to_contain_text("resting, its memory is free")
    box.uncheck()
    expect(switches).to_contain_text("Low VRAM: off.")


def test_one_backend_is_restarted_and_freed(engines):
    message = engines.locator("#engines-message")
    choose(engines, "Backend", "0: tone")
    engines.get_by_role("button", name="Restart").click()
    expect(message).to_contain_text("1 being loaded again.")
    expect(engines.locator("#engines-backends")).to_contain_text("running")
    engines.get_by_role("button", name="Free memory").click()
    expect(message).to_contain_text("1 freed.")
    expect(engines.locator("#engines-backends")).to_contain_text("resting, its memory is free")
    engines.get_by_role("button", name="Free memory").click()
    expect(message).to_contain_text("Nothing to free")


def test_backends_are_added_changed_made_current_disabled_and_removed(engines, home, shot):
    message, table = engines.locator("#engines-message"), engines.locator("#engines-backends")

    def press(name):
        engines.get_by_role("button", name=name, exact=True).filter(visible=True).first.click()

    engines.get_by_role("button", name="Change this backend").click()
    choose(engines, "Kind of a new backend", "eSpeak NG")
    press("Add a backend")
    expect(message).to_contain_text("1: espeak was added.")
    engines.get_by_label("Title", exact=True).fill("Second")
    engines.get_by_label("Threads").fill("2")
    shot(engines, "backends")
    press("Save")
    expect(table).to_contain_text("1: Second")
    press("Make it current")
    expect(table).to_contain_text("1: Second (current)")
    press("Disable")
    expect(table).to_contain_text("disabled")
    press("Enable")
    expect(table).not_to_contain_text("disabled")
    saved = json.loads((home / "backends.json").read_text())
    assert (saved["current"], saved["backends"][1]["threads"]) == (1, 2)
    press("Remove")
    press("Really remove it")
    expect(message).to_contain_text("1: Second was removed.")
    expect(table).not_to_contain_text("Second")
    choose(engines, "Kind of a new backend", "Another server")
    press("Add a backend")
    engines.get_by_label("Address").fill("nowhere")
    press("Save")
    expect(table).to_contain_text("must be the address of a speech server")
    press("Remove")
    press("Really remove it")
    expect(table).to_contain_text("0: tone (current)")


def test_an_engines_settings_are_read_about_checked_saved_and_in_force(engines, home, shot):
    engines.get_by_role("button", name="Settings of an engine").click()
    slots = engines.get_by_label("slots", exact=True)
    expect(engines.get_by_text("Utterances that share a step")).to_contain_text(
        "From 1 to 256. Default: 1."
    )
    shot(engines, "engine-settings")
    slots.fill("0")
    slots.press("Tab")
    wrong = engines.locator("div.validation-error")
    expect(wrong).to_have_text("slots: must be from 1 to 256, not 0.")
    engines.get_by_role("button", name="Save, and load it again").click()
    expect(wrong).to_be_visible()
    slots.fill("3")
    slots.press("Tab")
    expect(wrong).to_have_count(0)
    engines.get_by_label("def_character_voice").fill("mid")
    engines.get_by_role("button", name="Save, and load it again").click()
    message = engines.locator("#engine-settings-message")
    expect(message).to_contain_text("Saved: def_character_voice, slots. tone is loaded again")
    expect(engines.locator("#engines-backends")).to_contain_text("0 of 3")
    saved = json.loads((home / "engines/tone/model_settings.json").read_text())["settings"]
    assert (saved["slots"], saved["def_character_voice"]) == (3, "mid")
    engines.reload()
    engines.get_by_role("tab", name="Engines").click()
    engines.get_by_role("button", name="Settings of an engine").click()
    expect(engines.get_by_label("slots", exact=True)).to_have_value("3")
    choose(engines, "Settings of", "piper")
    level = engines.get_by_label("level_db")
    expect(level).to_have_value("-20")
    expect(engines.get_by_label("noise_scale")).to_have_value("")
    level.fill("-70")
    level.press("Tab")
    expect(wrong).to_have_text("level_db: must be from -60 to -6, not -70.0.")
    level.fill("")
    engines.get_by_role("button", name="Save, and load it again").click()
    expect(message).to_contain_text("Saved: level_db. It is in force.")
    saved = json.loads((home / "engines/piper/model_settings.json").read_text())["settings"]
    assert saved == {"level_db": None}  # what was nothing stays so
