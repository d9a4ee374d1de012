"""RVC voices on the Voices page: tried out, deleted, and added."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, aclosing
from typing import Any

import gradio as gr

from alltalk.effects.rvc.shelf import NewRvcVoice
from alltalk.errors import BadInput
from alltalk.keys import Role
from alltalk.product import Product
from alltalk.speech import SpeechRequest
from alltalk.studio import PREVIEW
from alltalk.ui.asked_twice import AskedTwice
from alltalk.ui.convert import ConvertForm
from alltalk.ui.long_text_view import status_html
from alltalk.ui.parts import Update, choice, connect, opened, require, ticket, uploaded
from alltalk.ui.preview import Preview
from alltalk.ui.rvc_choice import NO_VOICE, NOT_CHOSEN, SWITCHED_OFF, RvcChoice, needed, offered
from alltalk.ui.sounds import Sounds

LONGEST_TRIAL = 500
"""Characters."""
ANYBODY = "As the settings say"


class RvcVoices:
    """Its components, and what happens when they are used."""

    def __init__(self, product: Product, sounds: Sounds) -> None:
        self._service, self._studio = product.service, product.studio
        self._conversions, self._control = product.conversions, product.control
        gr.Markdown(
            "An RVC voice takes finished speech and gives it another sound: words, timing and "
            "melody stay. On the page *Speak* it is chosen under *Voice conversion*."
        )
        self.reason = gr.HTML(elem_id="rvc-reason")
        self.enable = gr.Button("Switch voice conversion on", variant="primary", visible=False)
        self.rvc = RvcChoice("Listed RVC voice", "Moved by, semitones")
        with gr.Row():
            self.speaker = gr.Dropdown(
                [(ANYBODY, "")], value="", label="Spoken first by", min_width=200
            )
            self.text = gr.Textbox(
                PREVIEW, label="What is said", max_length=LONGEST_TRIAL, scale=2, min_width=220
            )
        with gr.Row():
            self.hear = gr.Button("Try it out", variant="primary", min_width=120)
            self.deletion = AskedTwice("Delete this RVC voice", "rvc-delete", min_width=120)
        self.deletion.build_question("Really delete it")
        self.message = gr.HTML(elem_id="rvc-message")
        self.preview = Preview(sounds, "rvc-player")
        gr.Markdown("## Add an RVC voice")
        self.files = gr.File(
            label="A zip as it is downloaded, or a .pth and its .index",
            file_count="multiple",
            elem_id="rvc-files",
            height=150,
        )
        self.name = gr.Textbox(
            label="Name of the new RVC voice",
            max_lines=1,
            placeholder="Empty: that of the .pth",
        )
        self.replace = gr.Checkbox(label="Replace an RVC voice of that name")
        self.add = gr.Button("Add this RVC voice", variant="primary")
        self.added = gr.HTML(elem_id="rvc-added")

    def wire(self, convert: ConvertForm) -> None:
        """Connect the components; `convert` offers the same voices."""
        self._convert = convert
        shown = [self.reason, self.enable, *self.rvc.fields, self.speaker, self.hear]
        shown += [self.deletion.ask, *convert.outputs]
        choosable = {self.rvc.voice, self.speaker, convert.rvc.voice}

        def on(trigger: Any, call: Any, inputs: Any, outputs: list[Any]) -> None:
            connect(trigger, call, inputs, outputs, self.message)

        opened(lambda event: on(event, self._list, choosable, shown))
        on(self.enable.click, self._enable, choosable, shown)
        trial = {*self.rvc.fields, self.speaker, self.text, self.preview.last}
        on(self.preview.again(self.hear.click), self._hear, trial, self.preview.outputs)
        self.deletion.wire(self.rvc.voice, self._loss, self.message)
        gone = [*shown, self.preview.player, *self.deletion.outputs]
        on(self.deletion.really.click, self._delete, {*choosable, self.deletion.meant}, gone)
        new = {self.files, self.name, self.replace}
        connect(self.add.click, self._add, {*choosable, *new}, [*shown, *new], self.added)

    async def _list(self, values: dict[Any, Any]) -> Update:
        return await self._shown(values, values[self.rvc.voice])

    async def _shown(self, values: Mapping[Any, Any], chosen: str) -> Update:
        """What there is; `chosen`, else the first, is chosen, the rest as in `values`."""
        offer = await offered(self._conversions)
        voices = await self._studio.run(self._service.voices)
        now, speaker = values[self.rvc.voice], values[self.speaker]
        if chosen not in offer.voices:
            chosen = next(iter(offer.voices), "")
        speakers = [(ANYBODY, ""), *((voice.name, voice.name) for voice in voices)]
        can = bool(offer.voices)
        here = {NO_VOICE: "There is none yet. Add one below.", SWITCHED_OFF: "It is switched off."}
        return {
            self.reason: status_html(here.get(offer.reason, offer.reason)),
            self.enable: gr.update(visible=offer.is_off),
            **self.rvc.offering(offer, now, chosen),
            self.speaker: choice(speakers, speaker, speaker),
            self.hear: gr.update(interactive=can),
            self.deletion.ask: gr.update(interactive=can),
            **self._convert.offering(offer, values[self._convert.rvc.voice]),
        }

    async def _enable(self, values: dict[Any, Any], asked: gr.Request) -> Update:
        require(asked, Role.ADMIN)
        await self._control.change_settings({"rvc_settings.rvc_enabled": True})
        return await self._list(values)

    async def _hear(self, values: dict[Any, Any], asked: gr.Request) -> AsyncGenerator[Update]:
        if not values[self.text].strip():
            raise BadInput("Type what is to be said first.")
        conversion = needed(self.rvc.asked(values))
        request = SpeechRequest(
            values[self.text], voice=values[self.speaker], conversion=conversion
        )
        mine = ticket(asked, self._service.config)
        last = values[self.preview.last]
        async with aclosing(self.preview.heard(request, mine, last)) as updates:
            async for update in updates:
                yield update

    async def _add(self, values: dict[Any, Any]) -> Update:
        paths = uploaded(values[self.files], self._conversions.largest_bytes)
        if not paths:
            raise BadInput("Choose the voice's files first: a zip, or a .pth and its .index.")
        with ExitStack() as stack:
            files = [(each.name, stack.enter_context(each.open("rb"))) for each in paths]
            new = NewRvcVoice(values[self.name], files, overwrite=values[self.replace])
            name = await self._conversions.add(new)
        return {
            **await self._shown(values, name),
            self.files: None,
            self.name: "",
            self.replace: False,
            self.added: status_html(f"{name} is there now. Try it out above."),
        }

    async def _loss(self, name: str) -> str:
        if not name:
            raise BadInput(NOT_CHOSEN)
        return f"{name} is gone for good once it is deleted."

    async def _delete(self, values: dict[Any, Any]) -> Update:
        removed = await self._conversions.remove(values[self.deletion.meant])
        said = status_html(f"{removed} was deleted.")
        gone = {**await self._shown(values, ""), **self.deletion.over(), self.preview.player: ""}
        return {**gone, self.message: said}
