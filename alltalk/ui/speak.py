"""The Speak page: a text heard while it is spoken, and what this browser had spoken before."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import AsyncGenerator
from typing import Any

import gradio as gr

from alltalk.clips import decode
from alltalk.engine import Sampling
from alltalk.errors import AllTalkError, BadInput, Cancelled, NotFound, UnreadableClip
from alltalk.product import Product
from alltalk.serving.requests import new_id
from alltalk.speech import FORMATS, Narrator, Offer, SpeechRequest, Ticket
from alltalk.ui.long_text_view import clock, status_html
from alltalk.ui.parts import Update, client, connect, outside_tabs
from alltalk.ui.picture import picture_html
from alltalk.ui.sounds import PATH, Sounds

PLAYABLE = ("wav", "mp3", "opus", "flac")
"""What browsers play while it grows."""
MOST_KEPT = 50
"""Clips that a browser remembers."""
DEFAULT = "As the settings say"
LOOKED_AFTER_S = 2.0
"""How often it is seen whether a page that speaks is still open."""
LONGEST_PICTURE_S = 600.0
STOPPED = "Stopped."


def tab(product: Product, sounds: Sounds) -> None:
    """Put the page into the Blocks that are being built."""
    _Page(product, sounds).wire()


class _Page:
    """Its components, and what happens when they are used."""

    def __init__(self, product: Product, sounds: Sounds) -> None:
        self._service, self._studio, self._sounds = product.service, product.studio, sounds
        self.memory = outside_tabs(
            lambda: gr.BrowserState([], storage_key="alltalk-clips", secret="clips")
        )
        self.take = gr.State("")
        self.text = gr.Textbox(
            label="Text to speak", lines=5, max_lines=16, placeholder="Type or paste a text."
        )
        with gr.Row():
            self.voice, self.engine, self.language = (
                gr.Dropdown([(DEFAULT, "")], value="", label=label, min_width=200)
                for label in ("Voice", "Engine", "Language")
            )
        with gr.Accordion("Narrator", open=False):
            self._build_narrator()
        with gr.Accordion("Manner and format", open=False):
            self._build_manner()
        with gr.Row():
            self.speak = gr.Button("Speak", variant="primary", min_width=120)
            self.stop = gr.Button("Stop", variant="stop", min_width=120, interactive=False)
        self.status = gr.HTML(elem_id="speak-message")
        self.player = gr.HTML(elem_id="speak-player")
        self.picture = gr.HTML(elem_id="speak-picture")
        with gr.Accordion("The same from a program", open=False):
            self.code = gr.Code(
                "# Speak something first.", language="shell", label="curl", interactive=False
            )
            self.sdk = gr.Code(
                "# Speak something first.", language="python", label="Python", interactive=False
            )
        with gr.Column(visible=False) as self.past:
            self.clips = gr.Radio([], label="Your clips, kept by this browser", elem_id="clips")
            with gr.Row():
                self.replay = gr.Button("Play again", size="sm", min_width=100)
                self.delete = gr.Button("Delete", size="sm", variant="stop", min_width=100)

    def _build_narrator(self) -> None:
        gr.Markdown('Reads what is in `*asterisks*`; the voice above speaks what is in `"quotes"`.')
        with gr.Row():
            self.narration = gr.Radio(
                [("Off", "off"), ("On", "on"), ("Leave narration out", "silent")],
                value="off",
                label="Narration",
            )
            self.narrator = gr.Dropdown([(DEFAULT, "")], value="", label="Narrator's voice")
            self.outside = gr.Dropdown(
                [("the voice", "character"), ("the narrator", "narrator"), ("nobody", "silent")],
                value="character",
                label="Other text is spoken by",
            )

    def _build_manner(self) -> None:
        with gr.Row():
            self.speed = gr.Slider(0.25, 4, value=1, step=0.05, label="Speed", min_width=200)
            self.pitch = gr.Slider(-24, 24, value=0, step=1, label="Pitch, semitones")
        with gr.Row():
            self.temperature = gr.Number(
                None, minimum=0, maximum=2, step=0.05, label="Temperature", placeholder=DEFAULT
            )
            self.format = gr.Dropdown(list(PLAYABLE), value="wav", label="Format")

    def wire(self) -> None:
        """Connect the components to what they do."""
        root = gr.context.Context.root_block
        assert root is not None, "a tab is built inside Blocks"
        choices = [self.voice, self.narrator, self.engine, self.language, self.temperature]
        shown = [self.past, self.clips, self.memory]
        wanted = [
            *(self.text, self.voice, self.engine, self.language),
            *(self.narration, self.narrator, self.outside),
            *(self.speed, self.pitch, self.temperature, self.format, self.memory),
        ]
        heard = [self.player, self.picture]
        spoken = [self.take, self.speak, self.stop, *heard, self.code, self.sdk, *shown]

        def on(trigger: Any, call: Any, inputs: list[Any], outputs: list[Any]) -> None:
            connect(trigger, call, inputs, outputs, self.status)

        on(root.load, self._choices, [self.engine], choices)
        on(root.load, self._remembered, [self.memory], shown)
        on(self.engine.input, self._choices, [self.engine], choices)
        on(self.speak.click, self._speak, wanted, spoken)
        on(self.stop.click, self._stop, [self.take], [])
        on(self.replay.click, self._replay, [self.clips], heard)
        on(self.delete.click, self._delete, [self.clips, self.memory], [*heard, *shown])

    async def _choices(self, engine: str) -> Update:
        """What can be chosen with that engine; what it cannot use is disabled, with the reason."""
        offers = self._service.pool.offers
        offer = next((each for each in offers if each.engine == engine), None)
        offer = offer or (offers[0] if offers else None)
        if offer is None:
            raise NotFound("No engine is loaded yet. See the page “Engines”, or wait a moment.")
        voices = await self._studio.run(self._voices, offer)
        named = [(DEFAULT, ""), *((name, name) for name in voices)]
        tags = sorted(offer.capabilities.languages)
        engines = [("The current one", ""), *((name, name) for name in self._service.engines())]
        draws = "temperature" in offer.capabilities.sampling
        return {
            self.voice: gr.update(choices=named),
            self.narrator: gr.update(choices=named),
            self.engine: gr.update(choices=engines),
            self.language: gr.update(
                choices=[(DEFAULT, ""), *((tag, tag) for tag in ("auto", *tags))],
                interactive=bool(tags),
                info=None if tags else f"{offer.engine}: the voice decides.",
            ),
            self.temperature: gr.update(
                interactive=draws, info=None if draws else f"{offer.engine} has none."
            ),
        }

    def _voices(self, offer: Offer) -> list[str]:
        current = self._service.pool.current
        if current is not None and offer is current.offer:
            return [voice.name for voice in self._service.voices()]
        return [voice.name for voice in offer.voices]

    async def _speak(
        self,
        text: str,
        voice: str,
        engine: str,
        language: str,
        narration: str,
        narrator: str,
        outside: Any,
        speed: float,
        pitch: float,
        temperature: float | None,
        format: str,
        memory: list[dict[str, Any]],
        asked: gr.Request,
    ) -> AsyncGenerator[Update]:
        if not text.strip():
            raise BadInput("There is nothing to speak yet. Type a text above.")
        request = SpeechRequest(
            text,
            voice=voice,
            engine=engine,
            language=language,
            narrator=None
            if narration == "off"
            else Narrator(narrator, silent=narration == "silent", outside=outside),
            speed=speed,
            pitch=pitch,
            sampling=Sampling(temperature=temperature),
            format=FORMATS[format],
        )
        who, named = client(asked)
        deadline_s = self._service.config.admission.deadline_s
        ticket = Ticket(new_id(), who, named, deadline_s=deadline_s, door="/ui")
        take = self._sounds.begin(request, ticket)
        try:
            await take.begun()
            origin = str(asked.headers.get("origin", "")) or "http://127.0.0.1:7851"
            curl, sdk = code_for(request, origin)
            yield {
                self.take: take.name,
                self.speak: gr.update(interactive=False),
                self.stop: gr.update(interactive=True),
                self.player: player_html(take.name),
                self.picture: "",
                self.code: curl,
                self.sdk: sdk,
                self.status: status_html("Speaking …"),
            }
            ended = asyncio.ensure_future(take.ended())
            try:  # Gradio looks between two answers whether the page is still open
                while not (await asyncio.wait({ended}, timeout=LOOKED_AFTER_S))[0]:
                    yield {self.status: status_html("Speaking …")}
                await ended
            finally:
                ended.cancel()
        except Cancelled:
            yield {**self._at_rest(), self.player: "", self.status: status_html(STOPPED)}
            return
        except AllTalkError as error:
            yield {**self._at_rest(), self.status: status_html(str(error), wrong=True)}
            return
        finally:
            take.stop()  # whoever closed the page hears no more
        try:
            picture, seconds = await self._drawn(take.name)
            said = status_html(f"Spoken: {clock(seconds)} of sound.")
        except AllTalkError:  # too long to be drawn
            picture, said = "", status_html("Spoken.")
        kept = [{"name": take.name, "text": text[:80]}, *memory][:MOST_KEPT]
        at_rest = {**self._at_rest(), **self._past(kept, take.name)}
        yield {**at_rest, self.picture: picture, self.status: said}

    def _at_rest(self) -> Update:
        return {
            self.take: "",
            self.speak: gr.update(interactive=True),
            self.stop: gr.update(interactive=False),
        }

    async def _stop(self, name: str) -> Update:
        if not self._sounds.stop(name):
            return {self.status: status_html("Nothing is being spoken.")}
        return {self.status: status_html(STOPPED)}

    async def _replay(self, name: str | None) -> Update:
        name = _chosen(name)
        try:
            picture, _ = await self._drawn(name)
        except UnreadableClip:  # too long to be drawn
            picture = ""
        return {self.player: player_html(name), self.picture: picture}

    async def _delete(self, name: str | None, memory: list[dict[str, Any]]) -> Update:
        name = _chosen(name)
        left = [each for each in memory if each["name"] != name]
        try:
            await self._sounds.delete(name)
            said = "Deleted."
        except NotFound:
            said = "The server had deleted it already."
        emptied = {self.player: "", self.picture: "", self.status: status_html(said)}
        return {**emptied, **self._past(left, None)}

    async def _remembered(self, memory: list[dict[str, Any]]) -> Update:
        return self._past(memory, None)

    def _past(self, memory: list[dict[str, Any]], chosen: str | None) -> Update:
        clips = [(f"{number}. {each['text']}", each["name"]) for number, each in _numbered(memory)]
        return {
            self.past: gr.update(visible=bool(clips)),
            self.clips: gr.update(choices=clips, value=chosen),
            self.memory: memory,
        }

    async def _drawn(self, name: str) -> tuple[str, float]:
        """The picture of a clip, and its seconds."""

        def draw() -> tuple[str, float]:
            with self._sounds.path(name).open("rb") as file:
                audio = decode(file, name, LONGEST_PICTURE_S)
            return picture_html(audio), audio.seconds

        return await self._studio.run(draw)


def player_html(name: str) -> str:
    """A player that begins at once, and a link that saves what it plays."""
    place = f"{PATH}/{name}"
    return (
        f'<audio controls autoplay aria-label="What was spoken" style="width:100%" src="{place}">'
        f'</audio><p><a download href="{place}">Download</a></p>'
    )


def code_for(request: SpeechRequest, origin: str) -> tuple[str, str]:
    """A curl line, and one for OpenAI's SDK, that have the same text spoken in the same voice."""
    fields: dict[str, Any] = {
        "model": request.engine or "tts-1",
        "input": request.text,
        "voice": request.voice or "alloy",
        "response_format": request.format.name,
        "speed": request.speed,
    }
    body = shlex.quote(json.dumps(fields, ensure_ascii=False))
    curl = (
        f"curl {origin}/v1/audio/speech -H 'Content-Type: application/json' "
        f"-o speech{request.format.suffix} -d {body}"
    )
    arguments = ", ".join(f"{name}={value!r}" for name, value in fields.items())
    sdk = (
        "from openai import OpenAI\n\n"
        f'client = OpenAI(base_url="{origin}/v1", api_key="none")\n'
        f"speech = client.audio.speech.create({arguments})\n"
        f'speech.write_to_file("speech{request.format.suffix}")'
    )
    return curl, sdk


def _numbered(memory: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    """The newest first, with the highest number."""
    return [(len(memory) - place, each) for place, each in enumerate(memory)]


def _chosen(name: str | None) -> str:
    if not name:
        raise BadInput("Choose one of your clips first.")
    return name
