"""The Voices page: voices heard, added, renamed, deleted, named for OpenAI clients, converted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from alltalk.engine import Voice
from alltalk.errors import BadInput, Unsupported
from alltalk.product import Product
from alltalk.speech import SpeechRequest
from alltalk.studio import PREVIEW, not_heard
from alltalk.ui.convert import ConvertForm
from alltalk.ui.long_text_view import status_html
from alltalk.ui.new_voice import NewVoiceForm
from alltalk.ui.openai_names import OpenaiNames
from alltalk.ui.parts import Update, choice, connect, opened, table_html, ticket
from alltalk.ui.player import player_html
from alltalk.ui.rvc_voices import RvcVoices
from alltalk.ui.sounds import Sounds


def tab(product: Product, sounds: Sounds) -> None:
    """Put the page into the Blocks that are being built."""
    _Page(product, sounds).wire()
    with gr.Accordion("RVC voices", open=False, elem_id="rvc-voices"):
        rvc = RvcVoices(product, sounds)
    with gr.Accordion("Convert a recording", open=False, elem_id="convert"):
        convert = ConvertForm(product, sounds)
    rvc.wire(convert)
    convert.wire()


class _Page:
    """Its components, and what happens when they are used."""

    def __init__(self, product: Product, sounds: Sounds) -> None:
        self._service, self._studio, self._sounds = product.service, product.studio, sounds
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
            self.new = NewVoiceForm(product)
        with gr.Accordion("OpenAI's voice names", open=False):
            self.names = OpenaiNames(product)

    def wire(self) -> None:
        """Connect the components to what they do."""
        shown = [self.chosen, *self.names.fields, *self.new.outputs]

        def on(trigger: Any, call: Any, inputs: list[Any], outputs: list[Any]) -> None:
            connect(trigger, call, inputs, outputs, self.message)

        opened(lambda event: on(event, self._again, [self.chosen], shown))
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
        self.new.wire(self._list, shown)
        self.names.wire()

    async def _voices(self) -> tuple[Sequence[Voice], Mapping[str, Voice]]:
        """Those that the current engine speaks as, and all that are listed, by name."""
        heard = await self._studio.run(self._service.voices)
        recorded = await self._studio.run(self._studio.recorded)
        return heard, {**{each.name: each for each in heard}, **recorded}

    async def _list(self, chosen: str | None = None) -> Update:
        heard, listed = await self._voices()
        names = sorted(listed)
        first = chosen if chosen in names else (names[0] if names else None)
        return {
            self.chosen: gr.update(choices=names, value=first),
            **self.names.offering(sorted(voice.name for voice in heard)),
            **self.new.offering(),
        }

    async def _again(self, now: str | None) -> Update:
        """The list as it is now; what is chosen stays so."""
        update = await self._list(now)
        names = [(name, name) for name in update[self.chosen]["choices"]]
        return {**update, self.chosen: choice(names, now, now)}

    async def _describe(self, name: str | None) -> Update:
        heard, listed = await self._voices()
        voice = listed.get(name or "")
        if voice is None:
            return {self.about: ""}
        clips = len(voice.clips)
        kind = f"{clips} recording{'s' * (clips > 1)}" if clips else "Part of the engine"
        rows = [[kind, voice.language or "any", voice.transcript or "none"]]
        table = table_html(["Made of", "Language", "Transcript"], rows, "")
        return {self.about: table + status_html(not_heard(voice, heard))}

    async def _hear(self, name: str | None, asked: gr.Request) -> Update:
        wanted, (heard, listed) = _needed(name), await self._voices()
        if (voice := listed.get(wanted)) and (unheard := not_heard(voice, heard)):
            raise Unsupported(unheard)
        request = SpeechRequest(PREVIEW, voice=wanted)
        take = self._sounds.begin(request, ticket(asked, self._service.config))
        await take.begun()
        return {self.player: player_html(take.name)}

    async def _rename(self, name: str | None, to: str) -> Update:
        if not to.strip():
            raise BadInput("Type the new name first.")
        renamed = await self._studio.change(await self._own(name), to=to)
        said = status_html(f"It is called {renamed.name} now.")
        return {**await self._list(renamed.name), self.new_name: "", self.message: said}

    async def _delete(self, name: str | None) -> Update:
        removed = await self._studio.remove(await self._own(name))
        said = status_html(f"{removed.name} was deleted.")
        return {**await self._list(), self.player: "", self.message: said}

    async def _own(self, name: str | None) -> str:
        wanted, (_, listed) = _needed(name), await self._voices()
        if (voice := listed.get(wanted)) and not voice.clips:
            raise Unsupported(f"{wanted!r} is part of its engine; it cannot be changed.")
        return wanted


def _needed(name: str | None) -> str:
    if not name:
        raise BadInput("Choose a voice first.")
    return name
