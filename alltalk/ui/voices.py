"""The Voices page: voices heard, added, changed, deleted, named for OpenAI clients, converted."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import gradio as gr

from alltalk.engine import Voice
from alltalk.errors import BadInput, NotFound, Unsupported
from alltalk.product import Product
from alltalk.speech import SpeechRequest
from alltalk.studio import PREVIEW, not_heard
from alltalk.ui.asked_twice import AskedTwice
from alltalk.ui.convert import ConvertForm
from alltalk.ui.long_text_view import status_html
from alltalk.ui.new_voice import NewVoiceForm
from alltalk.ui.openai_names import OpenaiNames
from alltalk.ui.parts import Update, choice, connect, opened, quietly, table_html, ticket
from alltalk.ui.preview import Preview
from alltalk.ui.rvc_voices import RvcVoices
from alltalk.ui.sounds import Sounds
from alltalk.voices import TRANSCRIPT_CHARS, is_recorded


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
        self._service, self._studio = product.service, product.studio
        self.message = gr.HTML(elem_id="voices-message")
        with gr.Row():
            self.chosen = gr.Dropdown([], label="Listed voice", scale=3, min_width=220)
            self.hear = gr.Button("Hear it", variant="primary", scale=1, min_width=100)
        self.about = gr.HTML(elem_id="voices-about")
        self.preview = Preview(sounds, "voices-player")
        with gr.Row():
            self.new_name = gr.Textbox(label="New name", max_lines=1, scale=2, min_width=200)
            self.rename = gr.Button("Rename", min_width=100)
            self.deletion = AskedTwice("Delete this voice", "voices-delete", min_width=100)
        self.deletion.build_question("Really delete it")
        with gr.Row():
            self.said = gr.Textbox(
                label="Transcript",
                placeholder="What is said in its recording: some engines clone better so.",
                max_length=TRANSCRIPT_CHARS,
                interactive=False,
                scale=3,
                min_width=200,
            )
            self.transcribe = gr.Button("Save the transcript", min_width=100, interactive=False)
        self.shown_voice = gr.State("")
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
        described = [self.about, self.said, self.transcribe, self.shown_voice]
        quietly(  # tells nothing: a message about what was done stays
            self.chosen.change,
            self._chosen,
            [self.chosen, self.shown_voice],
            described,
        )
        heard = [self.chosen, self.preview.last]
        on(self.preview.again(self.hear.click), self._hear, heard, self.preview.outputs)
        renamed = [*shown, *described, self.new_name]
        on(self.rename.click, self._rename, [self.chosen, self.new_name], renamed)
        on(self.transcribe.click, self._transcribe, [self.shown_voice, self.said], described)
        self.deletion.wire(self.chosen, self._loss, self.message)
        gone = [*shown, *described, self.preview.player, *self.deletion.outputs]
        on(self.deletion.really.click, self._delete, [self.deletion.meant], gone)
        self.new.wire(self._changed, [*shown, *described])
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

    async def _changed(self, chosen: str | None = None) -> Update:
        """The list, and what it says of the chosen one: a name may have another voice by now."""
        update = await self._list(chosen)
        return {**update, **await self._describe(update[self.chosen]["value"])}

    async def _again(self, now: str | None) -> Update:
        """The list as it is now; what is chosen stays so."""
        update = await self._list(now)
        names = [(name, name) for name in update[self.chosen]["choices"]]
        return {**update, self.chosen: choice(names, now, now)}

    async def _chosen(self, name: str | None, shown: str) -> Update:
        """What is to know of it. Where it is shown already, a transcript being typed stays."""
        update = await self._describe(name)
        return {self.about: update[self.about]} if name == shown else update

    async def _describe(self, name: str | None) -> Update:
        heard, listed = await self._voices()
        voice = listed.get(name or "")
        can = voice is not None and is_recorded(voice)
        editor = {
            self.said: gr.update(value=voice.transcript if voice else "", interactive=can),
            self.transcribe: gr.update(interactive=can),
            self.shown_voice: name or "",
        }
        if voice is None:
            return {**editor, self.about: ""}
        clips = len(voice.clips)
        kind = f"{clips} recording{'s' * (clips > 1)}" if clips else "Part of the engine"
        rows = [[kind, voice.language or "any", voice.transcript or "none"]]
        table = table_html(["Made of", "Language", "Transcript"], rows, "")
        return {**editor, self.about: table + status_html(not_heard(voice, heard))}

    async def _hear(self, name: str | None, last: str, asked: gr.Request) -> AsyncGenerator[Update]:
        wanted, (heard, listed) = _needed(name), await self._voices()
        if (voice := listed.get(wanted)) and (unheard := not_heard(voice, heard)):
            raise Unsupported(unheard)
        request = SpeechRequest(PREVIEW, voice=wanted)
        mine = ticket(asked, self._service.config)
        async with aclosing(self.preview.heard(request, mine, last)) as updates:
            async for update in updates:
                yield update

    async def _rename(self, name: str | None, to: str) -> Update:
        if not to.strip():
            raise BadInput("Type the new name first.")
        renamed = await self._studio.change(await self._own(name), to=to)
        said = status_html(f"It is called {renamed.name} now.")
        return {**await self._changed(renamed.name), self.new_name: "", self.message: said}

    async def _transcribe(self, name: str, said: str) -> Update:
        """Of the voice whose transcript the field showed: another may have been chosen since."""
        changed = await self._studio.change(await self._own(name), transcript=said)
        known = "saved" if changed.transcript else "removed"
        done = status_html(f"The transcript of {changed.name} was {known}.")
        return {**await self._describe(changed.name), self.message: done}

    async def _loss(self, name: str | None) -> str:
        voice = (await self._voices())[1][await self._own(name)]
        clips = "its recordings are" if len(voice.clips) > 1 else "its recording is"
        return f"{voice.name} cannot be brought back once {clips} deleted."

    async def _delete(self, name: str | None) -> Update:
        removed = await self._studio.remove(await self._own(name))
        said = status_html(f"{removed.name} was deleted.")
        gone = {**await self._changed(), **self.deletion.over(), self.preview.player: ""}
        return {**gone, self.message: said}

    async def _own(self, name: str | None) -> str:
        wanted, (_, listed) = _needed(name), await self._voices()
        if (voice := listed.get(wanted)) is None:
            raise NotFound(f"There is no voice {wanted[:80]!r} any more.")
        if not voice.clips:
            raise Unsupported(f"{wanted!r} is part of its engine; it cannot be changed.")
        return wanted


def _needed(name: str | None) -> str:
    if not name:
        raise BadInput("Choose a voice first.")
    return name
