"""The Long text page: a text made into lines, spoken in the background, corrected, taken away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import gradio as gr

from alltalk.documents import (
    EXPORT_FORMATS,
    ExportFormat,
    Manner,
    read_markdown,
    read_plain,
    to_lines,
)
from alltalk.errors import BadInput, NotFound
from alltalk.product import Product
from alltalk.ui.long_text_layout import TICK_S, Layout
from alltalk.ui.long_text_view import (
    Shown,
    field_values,
    link_html,
    manner_of,
    page_of,
    player_html,
    progress_html,
    status_html,
)
from alltalk.ui.parts import Update, client, opened, telling

_UNCHANGED: Any = object()


def tab(product: Product) -> None:
    """Put the page into the Blocks that are being built."""
    _Page(product).wire()


class _Page(Layout):
    """What happens when its components are used."""

    def __init__(self, product: Product) -> None:
        super().__init__()
        self._texts, self._service = product.long_texts, product.service

    # What happens

    def wire(self) -> None:
        """Connect the components to what they do."""
        root = gr.context.Context.root_block
        assert root is not None, "a tab is built inside Blocks"
        here = [self.id, self.page, self.lines]
        shown = self.shown_components
        editor = [self.text, self.voice, self.language, self.speed, self.pitch, self.pause_s]
        everything = [*shown, *self.editor_components, self.memory]

        def on(
            trigger: Callable[..., Any], call: Callable[..., Any], inputs: Any, outputs: Any
        ) -> None:
            trigger(
                telling(call, self.status),
                inputs,
                [*outputs, self.status],
                concurrency_limit=None,
                show_progress="hidden",
                api_visibility="private",
            )

        choosable = [voice for voice, _ in self.choosable]
        opened(lambda event: on(event, self._choices, [], choosable))
        on(root.load, self._load, [self.memory], everything)
        new = [self.new_title, self.new_text, self.new_file, self.new_split, self.new_kind]
        new += [self.new_voice, self.new_language, self.new_rate, self.memory]
        on(self.make.click, self._make, new, [*everything, self.new_text, self.new_file])
        on(self.reopen.click, self._reopen, [self.known, self.memory], everything)
        on(self.leave.click, self._leave, [self.memory], everything)
        on(self.timer.tick, self._tick, here, shown)
        on(self.lines.input, self._chosen, here, self.editor_components)
        on(self.previous.click, self._turned(-1), here, shown)
        on(self.next.click, self._turned(1), here, shown)
        on(self.speak.click, self._speak, here, shown)
        on(self.stop.click, self._stop, here, shown)
        on(self.play.click, self._play, [self.id], [self.player])
        on(self.play_from.click, self._play_from, [self.id, self.lines], [self.player])
        edited = [*here, *editor, self.chapter]
        on(self.save.click, self._save, edited, [*shown, *self.editor_components])
        on(self.again.click, self._again, edited, [*shown, *self.editor_components])
        on(self.up.click, self._moved(-1), here, shown)
        on(self.down.click, self._moved(1), here, shown)
        on(self.remove.click, self._remove, here, [*shown, *self.editor_components])
        added = [*shown, *self.editor_components, self.added]
        on(self.add.click, self._add, [*here, self.added], added)
        whole = [*here, self.whole_title, *self.whole, self.memory]
        on(self.change.click, self._change, whole, [*shown, self.memory])
        on(self.delete.click, self._ask_delete, [], [self.really])
        on(self.really.click, self._delete, [self.id, self.memory], [*everything, self.really])
        on(
            self.export.click,
            self._export,
            [self.id, self.format, self.leave_out],
            [self.exported],
        )

    async def _load(self, memory: dict[str, Any], request: gr.Request) -> Update:
        """The page as the visitor left it: by the address, else by what the browser kept."""
        asked = str(request.query_params.get("document", "")) or memory.get("open", "")
        if not asked:  # nothing else: the visitor may have made a document meanwhile
            return self._known(memory)
        try:
            return await self._opened(asked, memory)
        except NotFound as error:
            gone = status_html(str(error), wrong=True)
            return {**self._closed(_forgotten(memory, asked)), self.status: gone}

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
        memory: dict[str, Any],
    ) -> Update:
        manner = manner_of((voice, language, None, None, None), Manner())
        if file:
            with await self._texts.run(Path(file).open, "rb") as content:
                said = await self._texts.read(Path(file).name, content)
        elif text.strip():
            reader = read_markdown if kind == "md" else read_plain
            said = await self._texts.pasted(text, reader)
        else:
            raise BadInput("There is no text yet. Paste some, or choose a file.")
        folder = await self._texts.create(title, said, split, manner, sample_rate=int(rate))
        emptied = {self.new_text: "", self.new_file: None}
        return {**await self._opened(folder.id, memory), **emptied}

    async def _reopen(self, id: str | None, memory: dict[str, Any]) -> Update:
        if not id:
            raise BadInput("Choose one of your documents first.")
        try:
            return await self._opened(id, memory)
        except NotFound as error:
            gone = status_html(str(error), wrong=True)
            return {**self._closed(_forgotten(memory, id)), self.status: gone}

    async def _leave(self, memory: dict[str, Any]) -> Update:
        return self._closed({**memory, "open": ""})

    async def _tick(self, id: str, page: int, line: int | None) -> Update:
        return await self._view(id, page)

    async def _chosen(self, id: str, page: int, line: int | None) -> Update:
        return await self._editor(id, line)

    def _turned(self, by: int) -> Callable[..., Awaitable[Update]]:
        async def turn(id: str, page: int, line: int | None) -> Update:
            return await self._view(id, page + by)

        return turn

    async def _speak(self, id: str, page: int, line: int | None, request: gr.Request) -> Update:
        caller, named = client(request)
        await self._texts.speak(id, client=caller, named=named)
        return await self._view(id, page)

    async def _stop(self, id: str, page: int, line: int | None) -> Update:
        await self._texts.stop(id)
        return await self._view(id, page)

    async def _play(self, id: str) -> Update:
        return {self.player: await self._player(id, None)}

    async def _play_from(self, id: str, line: int | None) -> Update:
        return {self.player: await self._player(id, _needed(line))}

    async def _save(self, id: str, page: int, line: int | None, text: str, *fields: Any) -> Update:
        await self._edit(id, line, text, *fields)
        return {**await self._view(id, page), **await self._editor(id, line)}

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
        await self._texts.speak(id, [_needed(line)], client=caller, named=named)
        return {**await self._view(id, page), **await self._editor(id, line)}

    async def _edit(self, id: str, line: int | None, text: str, *fields: Any) -> None:
        chosen = _needed(line)
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
            chosen = _needed(line)
            document = await self._texts.change(
                id, lambda document: document.moved(chosen, document.place(chosen) + by)
            )
            return await self._view(id, page_of(document, chosen), chosen=chosen)

        return move

    async def _remove(self, id: str, page: int, line: int | None) -> Update:
        chosen = _needed(line)
        await self._texts.change(id, lambda document: document.without([chosen]))
        return {**await self._view(id, page, chosen=None), **await self._editor(id, None)}

    async def _add(self, id: str, page: int, line: int | None, text: str) -> Update:
        said = await self._texts.pasted(text, read_plain)
        lines = to_lines(said.blocks, "paragraphs")
        before = (await self._texts.open(id)).document
        below = len(before.lines) if line is None else before.place(line) + 1
        document = await self._texts.insert(id, lines, below)
        new = document.lines[below].id
        return {
            **await self._view(id, page_of(document, new), chosen=new),
            **await self._editor(id, new),
            self.added: "",
        }

    async def _change(self, id: str, page: int, line: int | None, title: str, *rest: Any) -> Update:
        *manner, memory = rest
        document = await self._texts.change(
            id,
            lambda document: document.titled(title).spoken_in(manner_of(manner, document.manner)),
        )
        remembered = _remembered(memory, id, document.title)
        return {**await self._view(id, page), self.memory: remembered}

    async def _ask_delete(self) -> Update:
        return {self.really: gr.update(visible=True)}

    async def _delete(self, id: str, memory: dict[str, Any]) -> Update:
        await self._texts.delete(id)
        return {**self._closed(_forgotten(memory, id)), self.really: gr.update(visible=False)}

    async def _export(self, id: str, format: str, leave_out: bool) -> AsyncGenerator[Update]:
        title = (await self._texts.open(id)).document.title
        link = {self.exported: link_html(id, format, leave_out, title)}
        if format not in EXPORT_FORMATS:
            await self._texts.timeline(id, leave_out=leave_out)  # what is missing is told now
            yield link
            return
        share = 0.0

        def written(now: float) -> None:
            nonlocal share
            share = now

        task = asyncio.create_task(
            self._texts.export(id, ExportFormat.named(format), leave_out=leave_out, written=written)
        )
        try:
            while not task.done():
                yield {self.exported: status_html(f"Making the {format}: {share:.0%}")}
                await asyncio.wait({task}, timeout=TICK_S / 2)
            await task
        finally:
            task.cancel()
        yield link

    # What is shown

    async def _opened(self, id: str, memory: dict[str, Any]) -> Update:
        folder = await self._texts.open(id)
        document = folder.document
        manner = document.manner
        return {
            **await self._view(id, 0, chosen=None),
            **await self._editor(id, None),
            self.id: id,
            self.start: gr.update(visible=False),
            self.desk: gr.update(visible=True),
            self.player: "",
            self.exported: "",
            self.whole_title: document.title,
            **dict(zip(self.whole, field_values(manner), strict=True)),
            self.memory: _remembered(memory, id, document.title),
        }

    def _closed(self, memory: dict[str, Any]) -> Update:
        return {
            **self._known(memory),
            self.id: "",
            self.start: gr.update(visible=True),
            self.desk: gr.update(visible=False),
            self.timer: gr.Timer(active=False),
            self.player: "",
            self.memory: {**memory, "open": ""},
        }

    def _known(self, memory: dict[str, Any]) -> Update:
        """The visitor's documents, to open one."""
        known = [(title, id) for id, title in memory["known"].items()]
        return {
            self.known_row: gr.update(visible=bool(known)),
            self.known: gr.update(choices=known, value=known[-1][1] if known else None),
        }

    async def _view(self, id: str, page: int, chosen: int | None = _UNCHANGED) -> Update:
        """The lines of that page, and how far all of them are.

        The choice stays as it is unless `chosen` says otherwise: it may have changed meanwhile.
        """
        if not id:
            return {self.timer: gr.Timer(active=False)}
        folder, progress = await self._texts.open(id), await self._texts.progress(id)
        document, pieces = folder.now()
        shown = Shown(folder, document, pieces, progress, 0)
        page = min(max(page, 0), shown.pages - 1)
        shown = Shown(folder, document, pieces, progress, page)
        choices = await self._texts.run(shown.choices)
        is_speaking = progress.state != "idle"
        several = shown.pages > 1
        lines = {} if chosen is _UNCHANGED else {"value": chosen}
        return {
            self.page: page,
            self.title: f"## {_plain(document.title)}",
            self.progress: progress_html(progress),
            self.lines: {**gr.update(choices=choices), **lines},
            self.place: f"Page {page + 1} of {shown.pages}" if several else "",
            self.previous: gr.update(visible=several, interactive=page > 0),
            self.next: gr.update(visible=several, interactive=page + 1 < shown.pages),
            self.speak: gr.update(interactive=not is_speaking),
            self.stop: gr.update(interactive=is_speaking),
            self.play: gr.update(interactive=bool(pieces)),
            self.timer: gr.Timer(active=is_speaking),
        }

    async def _editor(self, id: str, line: int | None) -> Update:
        """The chosen line's own text and manner."""
        folder = await self._texts.open(id)
        known = folder.document.by_id.get(line or 0)
        manner = known.manner if known else Manner()
        problem = ""
        if known:
            problem = (await self._texts.progress(id)).failures.get(known.id, "")
        fields = (self.voice, self.language, self.speed, self.pitch, self.pause_s)
        values = dict(zip(fields, field_values(manner), strict=True))
        needs = (self.save, self.again, self.play_from, self.up, self.down, self.remove)
        return {
            self.why: status_html(problem, wrong=True)
            or ("" if known else status_html("Choose a line to change it, or to hear it.")),
            self.text: gr.update(value=known.text if known else "", interactive=known is not None),
            **values,
            self.chapter: known.begins_chapter if known else False,
            **{button: gr.update(interactive=known is not None) for button in needs},
        }

    async def _player(self, id: str, start: int | None) -> str:
        timeline = await self._texts.timeline(id, start, leave_out=True)
        return player_html(id, start, timeline.digest)

    async def _choices(self) -> Update:
        """The voices and languages of the engine that is there now."""
        voices = await self._service.lane().run(self._service.voices)
        offers = self._service.pool.offers
        tags = sorted(offers[0].capabilities.languages) if offers else []
        known = {
            "Voice": [voice.name for voice in voices],
            "Language": ["auto", *tags] if tags else [],
        }
        return {
            each: gr.update(choices=[(first, ""), *((name, name) for name in known[each.label])])
            for each, first in self.choosable
        }


def _needed(line: int | None) -> int:
    if line is None:
        raise BadInput("Choose a line first.")
    return int(line)


def _remembered(memory: dict[str, Any], id: str, title: str) -> dict[str, Any]:
    known = {key: value for key, value in memory.get("known", {}).items() if key != id}
    return {"open": id, "known": {**known, id: title}}


def _forgotten(memory: dict[str, Any], id: str) -> dict[str, Any]:
    known = {key: value for key, value in memory.get("known", {}).items() if key != id}
    return {"open": "", "known": known}


def _plain(title: str) -> str:
    """`title` without meaning to Markdown."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>()#+-.!|$~" else c for c in title)
