"""Pages that were open while the server, or what it knows of them, became another one."""

from __future__ import annotations

import gradio as gr
import pytest
from browsers import pages_of, send

from alltalk.ui import app, openai_names, settings, status
from alltalk.ui.sounds import Sounds

NAMES = ("speech.narration", "speech.pause_s")
"""A choice and a text."""


@pytest.fixture
async def page(product):
    """The Settings page."""
    with gr.Blocks(), gr.Tab("Settings"):
        page = settings._Page(product)
        page.wire()
    return page


def shown(page, **typed):
    """What a browser holds that shows `NAMES`, and in which that was typed."""
    known = page._values(NAMES)
    values = {page.known: known, page.section: page.section.value}
    for name, place in zip(NAMES, page.places, strict=False):
        text = typed.get(name.rpartition(".")[2], known[name])
        values[place.choice if page._settings[name].choices else place.text] = text
    return values


async def test_settings_are_saved_from_a_page_of_before_a_restart(page, product):
    typed = shown(page, narration="v2", pause_s="0.7")
    answer = await send(pages_of(page.save), page.save, "click", typed)
    assert "Saved: speech.narration, speech.pause_s." in answer[page.message]
    speech = product.config.current.speech
    assert (speech.narration, speech.pause_s) == ("v2", 0.7)


async def test_what_was_changed_elsewhere_is_shown_after_a_restart(page, product):
    before = shown(page)
    await product.control.change_settings({"speech.pause_s": 0.9})
    answer = await send(pages_of(page.timer), page.timer, "tick", before)
    assert "Changed elsewhere: speech.pause_s." in answer[page.message]
    assert answer[page.places[1].text] == "0.9"


@pytest.mark.parametrize("known", [{}, {"speech.of_another_version": "1"}])
async def test_a_page_that_does_not_know_what_it_shows_is_drawn_anew(page, product, known):
    before = product.config.current
    lost = {**shown(page, pause_s="0.7"), page.known: known}
    for trigger, event in ((page.save, "click"), (page.places[1].text, "blur")):
        answer = await send(pages_of(page.save), trigger, event, lost)
        assert "Nothing is saved: this page was out of date." in answer[page.message]
        assert answer[page.known].root["speech.pause_s"] == "0.12"
    assert product.config.current == before


async def test_a_chosen_request_that_has_ended_is_told(product):
    with gr.Blocks() as pages:
        page = status._Page(product)
        page.wire()
    answer = await send(pages, page.cancel, "click", {page.request: "req-gone"})
    assert "That request has ended already." in answer[page.message]


@pytest.fixture
async def names(product):
    """OpenAI's names."""
    with gr.Blocks():
        names = openai_names.OpenaiNames(product)
        names.wire()
    return names


def chosen(names, **others):
    """What a browser holds that shows who speaks now, but for `others`."""
    update = names.offering(["low", "high"])
    values = zip(openai_names.NAMES, names.fields, strict=True)
    return {field: others.get(name, update[field]["value"]) for name, field in values}


async def test_a_name_that_another_engine_s_voice_stands_at_is_told(names, product):
    before = product.pool.current.offer.openai_voices
    values = chosen(names, nova="of another engine")
    answer = await send(pages_of(names._save), names._save, "click", values)
    assert "of another engine" in answer[names._message]
    assert product.pool.current.offer.openai_voices == before


async def test_the_names_show_who_speaks_by_now(names, product):
    await product.control.map_openai_voices({"nova": "high"})
    assert names.offering(["low", "high"])[names.fields[4]]["value"] == "high"


async def test_a_name_that_was_emptied_keeps_its_voice_and_that_is_told(names, product):
    await product.control.map_openai_voices({"nova": "high"})
    values = chosen(names, nova=None, alloy="low")
    answer = await send(pages_of(names._save), names._save, "click", values)
    assert "Saved. Not so nova: each name keeps a voice." in answer[names._message]
    assert answer[names.fields[4]] == "high"
    assert product.pool.current.offer.openai_voices["alloy"] == "low"


async def test_no_more_visits_are_remembered_than_are_worth_it(product):
    pages = await app.build(product, Sounds(product.service), 60)
    async with app.running(pages, "/ui") as mounted:
        for visit in range(app.VISITS + 10):
            mounted.state_holder[f"visit {visit}"].state_data.clear()
        assert len(mounted.state_holder.session_data) == app.VISITS
        assert "visit 9" not in mounted.state_holder
        assert "visit 10" in mounted.state_holder
