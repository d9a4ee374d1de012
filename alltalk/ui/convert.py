"""A recording in another voice, on the Voices page: uploaded or spoken, heard and saved."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import gradio as gr

from alltalk.audio import Audio
from alltalk.clips import decode
from alltalk.errors import BadInput
from alltalk.product import Product
from alltalk.speech import FORMATS
from alltalk.ui.long_text_view import clock, status_html
from alltalk.ui.parts import Update, connect, ticket, uploaded
from alltalk.ui.player import PLAYABLE, drawn, player_html
from alltalk.ui.rvc_choice import RvcChoice, RvcOffer, needed
from alltalk.ui.sounds import Sounds

LOOKED_AFTER_S = 2.0
"""How often it is seen whether a page that waits is still open."""


class ConvertForm:
    """Its components, and what happens when they are used."""

    def __init__(self, product: Product, sounds: Sounds) -> None:
        self._service, self._studio, self._sounds = product.service, product.studio, sounds
        self.reason = gr.HTML(elem_id="convert-reason")
        self.clip = gr.Audio(
            sources=["upload", "microphone"],
            type="filepath",
            label="Recording to convert",
            elem_id="convert-clip",
            buttons=["download"],  # sharing would send it to another server
        )
        self.rvc = RvcChoice("Into this RVC voice", "Converted: moved by")
        self.format = gr.Dropdown(list(PLAYABLE), value="wav", label="Saved as")
        self.convert = gr.Button("Convert it", variant="primary")
        self.message = gr.HTML(elem_id="convert-message")
        self.player = gr.HTML(elem_id="convert-player")
        self.picture = gr.HTML(elem_id="convert-picture")

    @property
    def outputs(self) -> list[Any]:
        """What `offering` changes."""
        return [self.reason, *self.rvc.fields, self.convert]

    def wire(self) -> None:
        """Connect the components to what they do."""
        wanted = {self.clip, *self.rvc.fields, self.format}
        outputs = [self.player, self.picture]
        connect(self.convert.click, self._convert, wanted, outputs, self.message)

    def offering(self, offer: RvcOffer, now: str) -> Update:
        """The voices to convert to; `now`, else the first, is chosen."""
        return {
            self.reason: status_html(offer.reason),
            **self.rvc.offering(offer, now, now or next(iter(offer.voices), "")),
            self.convert: gr.update(interactive=bool(offer.voices)),
        }

    async def _convert(self, values: dict[Any, Any], asked: gr.Request) -> AsyncGenerator[Update]:
        paths = uploaded(values[self.clip], self._studio.largest_bytes)
        if not paths:
            raise BadInput("Choose a recording, or make one with the microphone.")
        conversion, format = needed(self.rvc.asked(values)), FORMATS[values[self.format]]
        yield {self.player: "", self.picture: "", self.message: status_html("Converting …")}
        longest_s = self._service.config.voices.max_clip_s
        audio = await self._studio.run(_read, paths[0], longest_s)
        wanted = ticket(asked, self._service.config)
        work = asyncio.create_task(self._service.convert(audio, conversion, format, wanted))
        try:
            while not (await asyncio.wait({work}, timeout=LOOKED_AFTER_S))[0]:
                yield {self.message: status_html("Converting …")}
            content = await work
        finally:
            work.cancel()
        name = await self._sounds.keep(content, format)
        picture, _ = await drawn(self._studio, self._sounds, name)
        said = status_html(f"Converted: {clock(audio.seconds)} of sound.")
        yield {self.player: player_html(name), self.picture: picture, self.message: said}


def _read(path: Path, longest_s: float) -> Audio:
    """Raises UnreadableClip."""
    with path.open("rb") as file:
        return decode(file, path.name, longest_s)
