"""What the Long text page answers, asked as its events ask it: the real product, no browser."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from browsers import pages_of, send

from alltalk.app import create_app
from alltalk.errors import NotFound
from alltalk.home import Home

LINES = "\n\n".join(f"line {n}." for n in range(30))


@pytest.fixture
async def documents(tmp_path):
    import gradio as gr

    from alltalk.ui.long_text import _Documents
    from alltalk.ui.long_text_shown import Page

    app = create_app(Home(tmp_path), engine="tone")
    async with app.router.lifespan_context(app):
        with gr.Blocks(analytics_enabled=False), gr.Tab("Long text"):
            made = _Documents(Page(app.state.pages.product))
            made.wire()
        yield made


async def make(documents, file=None, text=LINES):
    return await documents._make("A title", text, file, "paragraphs", "txt", "", "", 24_000)


async def test_another_page_of_lines_has_none_chosen_and_an_empty_editor(documents):
    page = documents._page
    id = (await make(documents))[page.id]
    turned = await documents._turned(1)(id, 0)
    assert turned[page.page] == 1
    assert turned[page.lines]["value"] is None
    assert turned[page.text] == {**turned[page.text], "value": "", "interactive": False}


async def test_a_line_is_moved_on_a_page_that_the_server_has_forgotten(documents):
    page = documents._page
    id = (await make(documents))[page.id]
    last = (await page.texts.open(id)).document.lines[-1].id
    held = {page.id: id, page.page: 1, page.lines: last}
    await send(pages_of(page.up), page.up, "click", held)
    document = (await page.texts.open(id)).document
    assert [line.text for line in document.lines[-2:]] == ["line 29.", "line 28."]


async def test_a_choice_that_is_not_in_the_list_refuses_no_event(documents):
    assert documents._page.lines.preprocess(99) == 99


async def test_an_upload_that_was_swept_is_told(documents, tmp_path):
    with pytest.raises(NotFound, match="Choose the file again"):
        await make(documents, file=str(tmp_path / "gone.txt"))


async def test_a_damaged_document_is_told_and_stays_known(documents, tmp_path):
    page = documents._page
    id = (await make(documents))[page.id][::-1]
    folder = Home(tmp_path).documents / id
    folder.mkdir()
    (folder / "document.json").write_text("{")
    memory = {"open": id, "known": [[id, "A title"]]}
    shown = await documents._load(memory, SimpleNamespace(query_params={}))
    assert "alert" in shown[page.status]
    assert shown[page.start]["visible"] is True
    change = shown[page.kept.change]
    assert (change["id"], change["open"]) == (None, "")  # closed, and not removed
