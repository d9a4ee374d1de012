"""What the Speak page answers, asked as its events ask it: the real product, no browser."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from held import HeldHome

from alltalk.app import create_app
from alltalk.errors import Cancelled
from alltalk.home import Home

ASKED = SimpleNamespace(request=None)


@pytest.fixture
async def speak(tmp_path):
    """The page, of a server that is told when to speak."""
    import gradio as gr

    from alltalk.ui.sounds import Sounds
    from alltalk.ui.speak import _Page

    home = HeldHome(tmp_path)
    app = create_app(Home(home.path), engine="held")
    async with app.router.lifespan_context(app):
        product = app.state.pages.product
        with gr.Blocks(analytics_enabled=False):
            yield _Page(product, Sounds(product.service)), product
        home.let_speak()


async def test_a_page_that_is_left_before_the_first_sound_holds_no_place(speak, monkeypatch):
    from alltalk.ui import speak as module

    monkeypatch.setattr(module, "LOOKED_AFTER_S", 0.05)
    page, product = speak
    values = {each: each.value for each in vars(page).values() if hasattr(each, "value")}
    values |= {each: each.value for each in [*page.rvc.fields, *page.narrator_rvc.fields]}
    answers = page._speak({**values, page.text: "hold this."}, ASKED)
    async with asyncio.timeout(300):
        begun = await anext(answers)
        waiting = await anext(answers)  # it looks whether the page is there, though nothing sounds
        assert page.take in begun
        assert page.take not in waiting
        take = page._sounds._takes[begun[page.take]]
        await answers.aclose()
        with pytest.raises(Cancelled):
            await take.ended()
    assert len(product.service.requests) == 0


async def test_a_stop_of_what_is_over_has_the_page_at_rest(speak):
    page, _ = speak
    answer = await page._stop("speak_of_before_a_restart.wav")
    assert "Nothing is being spoken." in answer[page.status]
    assert answer[page.speak]["interactive"] is True
    assert answer[page.take] == ""
