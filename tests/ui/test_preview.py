"""Previews are spoken for as long as somebody listens."""

from __future__ import annotations

from contextlib import aclosing

import gradio as gr
import pytest
from held import HeldEngine
from waiting import until

from alltalk.errors import SynthesisFailed
from alltalk.speech import SpeechRequest, Ticket
from alltalk.ui.preview import Preview
from alltalk.ui.sounds import Sounds

WORDS = SpeechRequest("one two three four.")


@pytest.fixture
def engine(monkeypatch):
    return HeldEngine(monkeypatch)


@pytest.fixture
async def preview(engine, product):
    with gr.Blocks():
        return Preview(Sounds(product.service), "player")


def requests(product):
    return len(product.service.requests)


@pytest.mark.parametrize("words", [0, 1])
async def test_who_leaves_before_or_after_the_first_sound_is_spoken_for_no_more(
    preview, product, engine, words
):
    if words:
        engine.let_speak(words)
    async with aclosing(preview.heard(WORDS, Ticket("leaves"), "")) as updates:
        await anext(updates)
        if words:
            while preview.player not in await anext(updates):
                pass
        await until(lambda: requests(product))
    await until(lambda: not requests(product))


async def test_another_preview_stops_the_one_before_and_takes_its_file_away(
    preview, product, engine
):
    async with aclosing(preview.heard(WORDS, Ticket("first"), "")) as first:
        name = (await anext(first))[preview.last]
        await until(lambda: requests(product))
        async with aclosing(preview.heard(WORDS, Ticket("second"), name)) as second:
            now = (await anext(second))[preview.last]
            assert [each async for each in first if each] == []  # it ends, and tells nothing
            engine.let_speak()
            assert [preview.player in each async for each in second if each] == [True]
    folder = product.service.outputs.folder
    await until(lambda: (folder / now).is_file())
    async with aclosing(preview.heard(WORDS, Ticket("third"), now)) as third:
        await anext(third)
        assert not (folder / now).exists()


async def test_what_fails_after_the_first_sound_is_raised(preview, product, engine):
    engine.let_speak(1)
    async with aclosing(preview.heard(WORDS, Ticket("fails"), "")) as updates:
        assert await anext(updates)
        while preview.player not in await anext(updates):
            pass
        product.service.requests.cancel_all(SynthesisFailed("The engine broke."))
        with pytest.raises(SynthesisFailed, match="broke"):
            async for _ in updates:
                pass
