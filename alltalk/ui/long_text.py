"""The Long text page: a text made into lines, spoken in the background, corrected, taken away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import gradio as gr

from alltalk.documents import LARGEST_FILE, Manner, read_markdown, read_plain
from alltalk.errors import AllTalkError, BadInput, NotFound
from alltalk.product import Product
from alltalk.ui.kept import Memory
from alltalk.ui.long_text_export import Export
from alltalk.ui.long_text_lines import Lines, needed
from alltalk.ui.long_text_shown import Page
from alltalk.ui.long_text_view import manner_of, status_html
from alltalk.ui.parts import Update, client, connect, opened, uploaded


def tab(product: Product) -> None:
    """Put the page into the Blocks that are being built."""
    _Documents(Page(product)).wire()


class _Documents:
    """What happens to whole documents: made, opened, spoken, heard, changed, deleted."""

    def __init__(self, page: Page) -> None:
        self._page, self._texts = page, page.texts

    def wire(self) -> None:
        """Connect the components to what they do."""
        root = gr.context.Context.root_block
        assert root is not None, "a tab is built inside Blocks"
        page, on = self._page, partial(connect, status=self._page.status)
        everything, shown = page.everything, page.shown_components
        here = [page.id, page.page]
        choosable = [voice for voice, _ in page.choosable]
        opened(lambda event: on(event, page.choices, [], choosable))
        loaded = on(root.load, self._load, [page.kept.change], everything, js=page.kept.read)
        new = [page.new_title, page.new_text, page.new_file, page.new_split, page.new_kind]
        new += [page.new_voice, page.new_language, page.new_rate]
        made = on(page.make.click, self._make, new, [*everything, page.new_text, page.new_file])
        reopened = on(page.reopen.click, self._reopen, [page.known], everything)
        left = on(page.leave.click, self._leave, [], everything)
        on(page.timer.tick, page.view, here, shown)
        turned = [*shown, *page.editor_components]
        on(page.previous.click, self._turned(-1), here, turned)
        on(page.next.click, self._turned(1), here, turned)
        on(page.speak.click, self._speak, here, shown)
        on(page.stop.click, self._stop, here, shown)
        on(page.play.click, self._play, [page.id], [page.player])
        on(page.play_from.click, self._play_from, [page.id, page.lines], [page.player])
        whole = [*here, page.whole_title, *page.whole]
        changed = on(page.change.click, self._change, whole, [*shown, page.kept.change])
        page.deletion.wire(page.id, self._loss, page.status)
        gone = [*everything, *page.deletion.outputs]
        deleted = on(page.deletion.really.click, self._delete, [page.deletion.meant], gone)
        for event in (loaded, made, reopened, left, changed, deleted):
            page.kept.follow(event, page.known_documents, [page.known_row, page.known])
        Lines(page).wire(on)
        Export(page).wire(on)

    async def _load(self, memory: Memory, request: gr.Request) -> Update:
        """The page as the visitor left it: by the address, else by what the browser kept."""
        asked = str(request.query_params.get("document", "")) or memory["open"]
        if not asked:  # nothing else: the visitor may have made a document meanwhile
            return {}
        try:
            return await self._page.opened(asked)
        except NotFound as error:
            gone = status_html(str(error), wrong=True)
            return {**self._page.without(asked), self._page.status: gone}
        except AllTalkError as error:  # the others can be opened, and this one when it is mended
            damaged = status_html(str(error), wrong=True)
            return {**self._page.closed(), self._page.status: damaged}

    async def _make(
        self,
        title: str,
        text: str,
        file: str | None,
        split: Any,
        kind: str,
        voice: str,
        language: str,
        rate: int,
    ) -> Update:
        manner = manner_of((voice, language, None, None, None), Manner())
        if paths := uploaded(file, LARGEST_FILE):
            with await self._texts.run(paths[0].open, "rb") as content:
                said = await self._texts.read(paths[0].name, content)
        elif text.strip():
            reader = read_markdown if kind == "md" else read_plain
            said = await self._texts.pasted(text, reader)
        else:
            raise BadInput("There is no text yet. Paste some, or choose a file.")
        folder = await self._texts.create(title, said, split, manner, sample_rate=int(rate))
        emptied = {self._page.new_text: "", self._page.new_file: None}
        return {**await self._page.opened(folder.id), **emptied}

    async def _reopen(self, id: str | None) -> Update:
        if not id:
            raise BadInput("Choose one of your documents first.")
        try:
            return await self._page.opened(id)
        except NotFound as error:
            gone = status_html(str(error), wrong=True)
            return {**self._page.without(id), self._page.status: gone}

    async def _leave(self) -> Update:
        return self._page.closed()

    def _turned(self, by: int) -> Callable[..., Awaitable[Update]]:
        async def turn(id: str, page: int) -> Update:
            view = await self._page.view(id, page + by, chosen=None)
            return {**view, **await self._page.editor(id, None)}

        return turn

    async def _speak(self, id: str, page: int, request: gr.Request) -> Update:
        caller, named = client(request)
        await self._texts.speak(id, client=caller, named=named)
        return await self._page.view(id, page)

    async def _stop(self, id: str, page: int) -> Update:
        await self._texts.stop(id)
        return await self._page.view(id, page)

    async def _play(self, id: str) -> Update:
        return {self._page.player: await self._page.player_from(id, None)}

    async def _play_from(self, id: str, line: int | None) -> Update:
        return {self._page.player: await self._page.player_from(id, needed(line))}

    async def _change(self, id: str, page: int, title: str, *manner: Any) -> Update:
        document = await self._texts.change(
            id,
            lambda document: document.titled(title).spoken_in(manner_of(manner, document.manner)),
        )
        kept = self._page.kept.adding(id, document.title, opens=True)
        return {**await self._page.view(id, page), **kept}

    async def _loss(self, id: str) -> str:
        return f"All of {(await self._texts.open(id)).document.title} is gone once it is deleted."

    async def _delete(self, id: str) -> Update:
        await self._texts.delete(id)
        return {**self._page.without(id), **self._page.deletion.over()}
