"""Lines on the Long text page: one is chosen, changed, spoken again, moved, removed; some added."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import gradio as gr

from alltalk.documents import read_plain, to_lines
from alltalk.errors import BadInput
from alltalk.ui.long_text_shown import Page
from alltalk.ui.long_text_view import manner_of, page_of
from alltalk.ui.parts import Update, client


class Lines:
    """What happens to the lines of `page`, a list of which it shows."""

    def __init__(self, page: Page) -> None:
        self._page, self._texts = page, page.texts

    def wire(self, on: Callable[..., None]) -> None:
        """Connect the components by `on`."""
        page = self._page
        here, shown = [page.id, page.page, page.lines], page.shown_components
        fields = [page.text, page.voice, page.language, page.speed, page.pitch, page.pause_s]
        edited = [page.id, page.page, page.edited, *fields, page.chapter]
        changed = [*shown, *page.editor_components]
        on(page.lines.input, self._chosen, [page.id, page.lines], page.editor_components)
        on(page.save.click, self._save, edited, changed)
        on(page.again.click, self._again, edited, changed)
        on(page.up.click, self._moved(-1), here, shown)
        on(page.down.click, self._moved(1), here, shown)
        page.removal.wire(page.lines, self._loss, page.status)
        removed = [page.id, page.page, page.removal.meant]
        gone = [*changed, *page.removal.outputs]
        on(page.removal.really.click, self._remove, removed, gone)
        on(page.add.click, self._add, [*here, page.added], [*changed, page.added])

    async def _chosen(self, id: str, line: int | None) -> Update:
        return await self._page.editor(id, line)

    async def _save(self, id: str, page: int, line: int | None, text: str, *fields: Any) -> Update:
        await self._edit(id, line, text, *fields)
        return {**await self._page.view(id, page), **await self._page.editor(id, line)}

    async def _again(
        self,
        id: str,
        page: int,
        line: int | None,
        text: str,
        voice: str,
        language: str,
        speed: float | None,
        pitch: float | None,
        pause_s: float | None,
        chapter: bool,
        request: gr.Request,
    ) -> Update:
        await self._edit(id, line, text, voice, language, speed, pitch, pause_s, chapter)
        caller, named = client(request)
        await self._texts.speak(id, [needed(line)], client=caller, named=named)
        return {**await self._page.view(id, page), **await self._page.editor(id, line)}

    async def _edit(self, id: str, line: int | None, text: str, *fields: Any) -> None:
        chosen = needed(line)
        *manner, chapter = fields
        await self._texts.change(
            id,
            lambda document: document.edited(
                [chosen],
                text=text,
                manner=manner_of(manner, document.line(chosen).manner),
                begins_chapter=bool(chapter),
            ),
        )

    def _moved(self, by: int) -> Callable[..., Awaitable[Update]]:
        async def move(id: str, page: int, line: int | None) -> Update:
            chosen = needed(line)
            document = await self._texts.change(
                id, lambda document: document.moved(chosen, document.place(chosen) + by)
            )
            return await self._page.view(id, page_of(document, chosen), chosen=chosen)

        return move

    async def _loss(self, line: int | None) -> str:
        needed(line)
        return "The line and what was spoken of it are gone once it is removed."

    async def _remove(self, id: str, page: int, line: int) -> Update:
        await self._texts.change(id, lambda document: document.without([line]))
        gone = {**await self._page.view(id, page, chosen=None), **self._page.removal.over()}
        return {**gone, **await self._page.editor(id, None)}

    async def _add(self, id: str, page: int, line: int | None, text: str) -> Update:
        said = await self._texts.pasted(text, read_plain)
        lines = to_lines(said.blocks, "paragraphs")
        before = (await self._texts.open(id)).document
        below = len(before.lines) if line is None else before.place(line) + 1
        document = await self._texts.insert(id, lines, below)
        new = document.lines[below].id
        return {
            **await self._page.view(id, page_of(document, new), chosen=new),
            **await self._page.editor(id, new),
            self._page.added: "",
        }


def needed(line: int | None) -> int:
    """The line's id. Raises BadInput where none was chosen."""
    if line is None:
        raise BadInput("Choose a line first.")
    return int(line)
