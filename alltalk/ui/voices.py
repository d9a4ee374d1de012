"""The Voices page: heard, uploaded, recorded, renamed, deleted, and named for OpenAI clients."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gradio as gr

from alltalk.engine import Voice
from alltalk.errors import BadInput, Unsupported
from alltalk.keys import Role
from alltalk.product import Product
from alltalk.serving.requests import new_id
from alltalk.speech import SpeechRequest, Ticket
from alltalk.ui.long_text_view import status_html
from alltalk.ui.parts import Update, client, connect, require, table_html
from alltalk.ui.sounds import Sounds
from alltalk.ui.speak import player_html
from alltalk.voices import NewVoice

PREVIEW = "The quick brown fox jumps over the lazy dog. How does this voice sound to you?"
OPENAI_NAMES = ("alloy", "echo", "fable", "onyx", "nova", "shimmer")


def tab(product: Product, sounds: Sounds) -> None:
    """Put the page into the Blocks that are being built."""
    _Page(product, sounds).wire()


class _Page:
    """Its components, and what happens when they are used."""

    def __init__(self, product: Product, sounds: Sounds) -> None:
        self._service, self._studio = product.service, product.studio
        self._control, self._sounds = product.control, sounds
        self.message = gr.HTML(elem_id="voices-message")
        with gr.Row():
            self.chosen = gr.Dropdown([], label="Listed voice", scale=3, min_width=220)
            self.hear = gr.Button("Hear it", variant="primary", scale=1, min_width=100)
        self.about = gr.HTML(elem_id="voices-about")
        self.player = gr.HTML(elem_id="voices-player")
        with gr.Row():
            self.new_name = gr.Textbox(label="New name", max_lines=1, min_width=200)
            self.rename = gr.Button("Rename", min_width=100)
            self.delete = gr.Button("Delete this voice", variant="stop", min_width=100)
        with gr.Accordion("Add a voice", open=True):
            self._build_new()
        with gr.Accordion("OpenAI's voice names", open=False):
            gr.Markdown("Programs made for OpenAI ask for these names; choose who speaks then.")
            with gr.Row():
                self.mapped = [
                    gr.Dropdown([], label=name, min_width=160, elem_id=f"map-{name}")
                    for name in OPENAI_NAMES
                ]
            self.map = gr.Button("Save the names")

    def _build_new(self) -> None:
        with gr.Row():
            self.files = gr.File(
                label="Recordings; several are a set of one speaker",
                file_count="multiple",
                elem_id="voices-files",
                height=150,
            )
            self.record = gr.Audio(sources=["microphone"], type="filepath", label="Or record one")
        with gr.Row():
            self.name = gr.Textbox(
                label="Name of the new voice", max_lines=1, placeholder="Empty: the file's name"
            )
            self.said = gr.Textbox(
                label="What is said in the recording", placeholder="Some engines clone better so."
            )
        self.add = gr.Button("Add this voice", variant="primary")

    def wire(self) -> None:
        """Connect the components to what they do."""
        root = gr.context.Context.root_block
        assert root is not None, "a tab is built inside Blocks"
        shown = [self.chosen, *self.mapped]

        def on(trigger: Any, call: Any, inputs: list[Any], outputs: list[Any]) -> None:
            connect(trigger, call, inputs, outputs, self.message)

        on(root.load, self._list, [], shown)
        self.chosen.change(  # tells nothing: a message about what was done stays
            self._describe,
            [self.chosen],
            [self.about],
            concurrency_limit=None,
            show_progress="hidden",
            api_visibility="private",
        )
        on(self.hear.click, self._hear, [self.chosen], [self.player])
        on(self.rename.click, self._rename, [self.chosen, self.new_name], [*shown, self.new_name])
        on(self.delete.click, self._delete, [self.chosen], [*shown, self.player])
        new = [self.files, self.record, self.name, self.said]
        on(self.add.click, self._add, new, [*shown, *new])
        on(self.map.click, self._map, self.mapped, shown)

    async def _voices(self) -> Sequence[Voice]:
        return await self._studio.run(self._service.voices)

    async def _list(self, chosen: str | None = None) -> Update:
        names = sorted(voice.name for voice in await self._voices())
        current = self._service.pool.current
        offer = current.offer if current else None
        known = offer.openai_voices if offer else {}
        first = chosen if chosen in names else (names[0] if names else None)
        return {
            self.chosen: gr.update(choices=names, value=first),
            **{
                field: gr.update(choices=names, value=known.get(name))
                for name, field in zip(OPENAI_NAMES, self.mapped, strict=True)
            },
        }

    async def _describe(self, name: str | None) -> Update:
        voice = next((each for each in await self._voices() if each.name == name), None)
        if voice is None:
            return {self.about: ""}
        kind = f"{len(voice.clips)} recording(s)" if voice.clips else "Part of the engine"
        rows = [[kind, voice.language or "any", voice.transcript or "none"]]
        return {self.about: table_html(["Made of", "Language", "Transcript"], rows, "")}

    async def _hear(self, name: str | None, asked: gr.Request) -> Update:
        who, named = client(asked)
        deadline_s = self._service.config.admission.deadline_s
        ticket = Ticket(new_id(), who, named, deadline_s=deadline_s, door="/ui")
        take = self._sounds.begin(SpeechRequest(PREVIEW, voice=_needed(name)), ticket)
        await take.begun()
        return {self.player: player_html(take.name)}

    async def _add(
        self,
        files: list[str] | None,
        recorded: str | None,
        name: str,
        said: str,
    ) -> Update:
        paths = [Path(each) for each in (*(files or ()), *([recorded] if recorded else ()))]
        if not paths:
            raise BadInput("Choose a recording, or make one with the microphone.")
        if not name and not files:
            raise BadInput("Give the recorded voice a name.")
        with ExitStack() as stack:
            clips = [(each.name, stack.enter_context(each.open("rb"))) for each in paths]
            new = NewVoice(name or paths[0].stem, clips, transcript=said)
            added = await self._studio.add(new)
        hints = " ".join(added.warnings)
        return {
            **await self._list(added.voice.name),
            self.files: None,
            self.record: None,
            self.name: "",
            self.said: "",
            self.message: status_html(f"{added.voice.name} is there now. {hints}"),
        }

    async def _rename(self, name: str | None, to: str) -> Update:
        if not to.strip():
            raise BadInput("Type the new name first.")
        renamed = await self._studio.rename(await self._own(name), to)
        said = status_html(f"It is called {renamed.name} now.")
        return {**await self._list(renamed.name), self.new_name: "", self.message: said}

    async def _delete(self, name: str | None) -> Update:
        removed = await self._studio.remove(await self._own(name))
        said = status_html(f"{removed.name} was deleted.")
        return {**await self._list(), self.player: "", self.message: said}

    async def _map(
        self,
        alloy: str | None,
        echo: str | None,
        fable: str | None,
        onyx: str | None,
        nova: str | None,
        shimmer: str | None,
        asked: gr.Request,
    ) -> Update:
        require(asked, Role.POWER)
        names = zip(OPENAI_NAMES, (alloy, echo, fable, onyx, nova, shimmer), strict=True)
        chosen = {each: name for each, name in names if name}
        await self._control.map_openai_voices(chosen)
        return {self.message: status_html("Saved.")}

    async def _own(self, name: str | None) -> str:
        wanted = _needed(name)
        if any(each.name == wanted and not each.clips for each in await self._voices()):
            raise Unsupported(f"{wanted!r} is part of its engine; it cannot be changed.")
        return wanted


def _needed(name: str | None) -> str:
    if not name:
        raise BadInput("Choose a voice first.")
    return name
