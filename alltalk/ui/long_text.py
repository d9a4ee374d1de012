"""The Long text page: a text made into lines, spoken in the background, corrected, taken away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import gradio as gr

from alltalk.documents import (
    EXPORT_FORMATS,
    SAMPLE_RATES,
    SUFFIXES,
    ExportFormat,
    Manner,
    read_markdown,
    read_plain,
    to_lines,
)
from alltalk.errors import BadInput, NotFound
from alltalk.product import Product
from alltalk.ui.long_text_view import (
    STYLE,
    Shown,
    field_values,
    link_html,
    manner_of,
    page_of,
    player_html,
    progress_html,
    status_html,
)
from alltalk.ui.parts import Update, client, opened, outside_tabs, telling

TICK_S = 1.0
"""Seconds between two looks at a document that is being spoken."""
FORMATS = (*EXPORT_FORMATS, "srt", "vtt")
AS_DOCUMENT = "As the document"
AS_SETTINGS = "As the settings say"
_UNCHANGED: Any = object()


def tab(product: Product) -> None:
    """Put the page into the Blocks that are being built."""
    _Page(product).wire()


class _Page:
    """Its components, and what happens when they are used."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._texts, self._service = product.long_texts, product.service
        gr.HTML(STYLE)
        # Kept by the visitor's own browser, so that no two visitors see each other's documents. The
        # secret is told to every browser, so it is none; by default it would be another after each
        # restart, and what is kept lost.
        self.memory = outside_tabs(
            lambda: gr.BrowserState(
                {"open": "", "known": {}}, storage_key="alltalk-long-texts", secret="long-texts"
            )
        )
        self.id, self.page = gr.State(""), gr.State(0)
        self.timer = gr.Timer(TICK_S, active=False)
        self.status = gr.HTML(elem_id="long-text-message")
        with gr.Column(elem_id="long-text-start") as self.start:
            self._build_start()
        with gr.Column(visible=False, elem_id="long-text-document") as self.desk:
            self._build_desk()

    # What is on it

    def _build_start(self) -> None:
        with gr.Row(visible=False) as self.known_row:
            self.known = gr.Dropdown(
                [], label="Your documents", info="Kept by this browser.", scale=3
            )
            self.reopen = gr.Button("Open", scale=1)
        self.new_title = gr.Textbox(label="Title", max_lines=1, placeholder="Empty: its beginning")
        self.new_text = gr.Textbox(
            label="Text",
            lines=8,
            max_lines=16,
            placeholder="Paste the text here, or choose a file below.",
        )
        self.new_file = gr.File(
            label=f"Or a file: {', '.join(SUFFIXES)}", file_types=list(SUFFIXES), height=150
        )
        with gr.Row():
            self.new_split = gr.Radio(
                [("Paragraphs", "paragraphs"), ("Sentences", "sentences")],
                value="paragraphs",
                label="A line is one of its",
            )
            self.new_kind = gr.Radio(
                [("Plain text", "txt"), ("Markdown", "md")], value="txt", label="The pasted text is"
            )
        with gr.Row():
            self.new_voice, self.new_language = _voice_fields(AS_SETTINGS)
            self.new_rate = gr.Dropdown(
                [(f"{rate} Hz", rate) for rate in SAMPLE_RATES], value=24_000, label="Sample rate"
            )
        self.make = gr.Button("Make lines of it", variant="primary")

    def _build_desk(self) -> None:
        self.title = gr.Markdown()
        self.progress = gr.HTML(elem_id="long-text-progress")
        with gr.Row():
            self.speak = gr.Button("Speak all", variant="primary", min_width=130)
            self.stop = gr.Button("Stop", variant="stop", min_width=130)
            self.play = gr.Button("Play all", min_width=130)
            self.leave = gr.Button("All documents", min_width=130)
        self.player = gr.HTML(elem_id="long-text-player")
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                self.lines = gr.Radio(
                    [], label="Lines", elem_id="long-text-lines", elem_classes="long-text-lines"
                )
                with gr.Row():
                    self.previous = gr.Button("◀ Previous page", size="sm", min_width=80)
                    self.next = gr.Button("Next page ▶", size="sm", min_width=80)
                self.place = gr.Markdown()
            with gr.Column(scale=2, min_width=320):
                self._build_editor()
        with gr.Accordion("Take it away", open=False):
            self._build_export()
        with gr.Accordion("All lines: title, voice and manner", open=False):
            self._build_whole()

    def _build_editor(self) -> None:
        self.why = gr.HTML()
        self.text = gr.Textbox(label="Text of the chosen line", lines=4, max_lines=12)
        self.voice, self.language, self.speed, self.pitch, self.pause_s = _manner_fields(
            AS_DOCUMENT
        )
        self.chapter = gr.Checkbox(label="A chapter begins here; the text is its title")
        with gr.Row():
            self.save = gr.Button("Save", size="sm", min_width=80)
            self.again = gr.Button("Save and speak", size="sm", variant="primary", min_width=80)
            self.play_from = gr.Button("Play from here", size="sm", min_width=80)
        with gr.Row():
            self.up = gr.Button("Move up", size="sm", min_width=80)
            self.down = gr.Button("Move down", size="sm", min_width=80)
            self.remove = gr.Button("Remove", size="sm", variant="stop", min_width=80)
        with gr.Accordion("Add lines", open=False):
            self.added = gr.Textbox(label="Text to add below the chosen line", lines=3)
            self.add = gr.Button("Add", size="sm")

    def _build_export(self) -> None:
        with gr.Row():
            self.format = gr.Dropdown(list(FORMATS), value="m4b", label="Format")
            self.leave_out = gr.Checkbox(
                label="Leave out what is not spoken", info="Otherwise all lines have to be."
            )
        self.export = gr.Button("Make the file")
        self.exported = gr.HTML(elem_id="long-text-export")

    def _build_whole(self) -> None:
        self.whole_title = gr.Textbox(label="Title", max_lines=1)
        self.whole = _manner_fields(AS_SETTINGS)
        self.change = gr.Button("Save for all lines")
        with gr.Row():
            self.delete = gr.Button("Delete this document", variant="stop")
            self.really = gr.Button("Really delete it", variant="stop", visible=False)

    # What happens

    def wire(self) -> None:
        """Connect the components to what they do."""
        root = gr.context.Context.root_block
        assert root is not None, "a tab is built inside Blocks"
        here = [self.id, self.page, self.lines]
        shown = self._shown_components
        editor = [self.text, self.voice, self.language, self.speed, self.pitch, self.pause_s]
        everything = [*shown, *self._editor_components, self.memory]

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

        choosable = [voice for voice, _ in self._choosable]
        opened(lambda event: on(event, self._choices, [], choosable))
        on(root.load, self._load, [self.memory], everything)
        new = [self.new_title, self.new_text, self.new_file, self.new_split, self.new_kind]
        new += [self.new_voice, self.new_language, self.new_rate, self.memory]
        on(self.make.click, self._make, new, [*everything, self.new_text, self.new_file])
        on(self.reopen.click, self._reopen, [self.known, self.memory], everything)
        on(self.leave.click, self._leave, [self.memory], everything)
        on(self.timer.tick, self._tick, here, shown)
        on(self.lines.input, self._chosen, here, self._editor_components)
        on(self.previous.click, self._turned(-1), here, shown)
        on(self.next.click, self._turned(1), here, shown)
        on(self.speak.click, self._speak, here, shown)
        on(self.stop.click, self._stop, here, shown)
        on(self.play.click, self._play, [self.id], [self.player])
        on(self.play_from.click, self._play_from, [self.id, self.lines], [self.player])
        edited = [*here, *editor, self.chapter]
        on(self.save.click, self._save, edited, [*shown, *self._editor_components])
        on(self.again.click, self._again, edited, [*shown, *self._editor_components])
        on(self.up.click, self._moved(-1), here, shown)
        on(self.down.click, self._moved(1), here, shown)
        on(self.remove.click, self._remove, here, [*shown, *self._editor_components])
        added = [*shown, *self._editor_components, self.added]
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
            for each, first in self._choosable
        }

    @property
    def _choosable(self) -> list[tuple[Any, str]]:
        """Fields for voices and languages, and what it is called to leave them open."""
        return [
            *((each, AS_SETTINGS) for each in (self.new_voice, self.new_language)),
            *((each, AS_SETTINGS) for each in self.whole[:2]),
            *((each, AS_DOCUMENT) for each in (self.voice, self.language)),
        ]

    @property
    def _shown_components(self) -> list[Any]:
        return [
            *(self.page, self.title, self.progress, self.lines, self.place, self.previous),
            *(self.next, self.speak, self.stop, self.play, self.timer),
        ]

    @property
    def _editor_components(self) -> list[Any]:
        return [
            *(self.why, self.text, self.voice, self.language, self.speed, self.pitch),
            *(self.pause_s, self.chapter, self.save, self.again, self.play_from, self.up),
            *(self.down, self.remove),
            *(self.id, self.start, self.desk, self.player, self.exported, self.whole_title),
            *(*self.whole, self.known_row, self.known),
        ]


def _manner_fields(first: str) -> tuple[Any, Any, Any, Any, Any]:
    """Voice, language, speed, pitch and pause, each of which may be left open."""
    with gr.Row():
        voice, language = _voice_fields(first)
    with gr.Row():
        speed = gr.Number(
            None, label="Speed", minimum=0.25, maximum=4, step=0.05, min_width=90, placeholder="1"
        )
        pitch = gr.Number(
            None,
            label="Semitones",
            minimum=-24,
            maximum=24,
            step=1,
            min_width=90,
            placeholder="0",
        )
        pause_s = gr.Number(
            None,
            label="Pause, s",
            minimum=0,
            maximum=60,
            step=0.1,
            min_width=90,
            placeholder="0.4",
        )
    return voice, language, speed, pitch, pause_s


def _voice_fields(first: str) -> tuple[Any, Any]:
    """Voice and language; `first` is what it is called to leave them open."""
    voice, language = (
        gr.Dropdown([(first, "")], value="", label=label, allow_custom_value=True, min_width=220)
        for label in ("Voice", "Language")
    )
    return voice, language


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
