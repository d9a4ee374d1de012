"""The Speak page: a text heard while it is spoken, and what this browser had spoken before."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import gradio as gr

from alltalk.engine import Sampling
from alltalk.errors import AllTalkError, BadInput, Cancelled, NotFound
from alltalk.product import Product
from alltalk.speech import FORMATS, Narrator, Offer, SpeechRequest
from alltalk.ui.held import Held
from alltalk.ui.history import History
from alltalk.ui.long_text_view import clock, status_html
from alltalk.ui.parts import Update, choice, connect, opened, ticket
from alltalk.ui.player import PLAYABLE, drawn, player_html
from alltalk.ui.program import Program
from alltalk.ui.rvc_choice import RvcChoice, offered
from alltalk.ui.sounds import LOOKED_AFTER_S, Sounds, Take

DEFAULT = "As the settings say"
STOPPED = "Stopped."
NO_TEXT = "Type your text here."
"""What a program is shown to send, where there is no text yet."""


def tab(product: Product, sounds: Sounds) -> None:
    """Put the page into the Blocks that are being built."""
    _Page(product, sounds).wire()


class _Page:
    """Its components, and what happens when they are used."""

    def __init__(self, product: Product, sounds: Sounds) -> None:
        self._service, self._studio, self._sounds = product.service, product.studio, sounds
        self._conversions = product.conversions
        self.take = Held("", visible=False)
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
        with gr.Accordion("Voice conversion (RVC)", open=False):
            self.rvc_reason = gr.HTML(elem_id="speak-rvc")
            self.rvc = RvcChoice("RVC voice", "RVC pitch, semitones")
            self.narrator_rvc = RvcChoice("Narrator's RVC voice", "Narrator's RVC pitch")
        with gr.Accordion("Manner and format", open=False):
            self._build_manner()
        with gr.Row():
            self.speak = gr.Button("Speak", variant="primary", min_width=120)
            self.stop = gr.Button("Stop", variant="stop", min_width=120, interactive=False)
        self.status = gr.HTML(elem_id="speak-message")
        self.player = gr.HTML(elem_id="speak-player")
        self.picture = gr.HTML(elem_id="speak-picture")
        self.program = Program(product)
        self.history = History(self._studio, sounds, self.player, self.picture)

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
        of_engine = [self.voice, self.narrator, self.engine, self.language]
        rvc = [*self.rvc.fields, *self.narrator_rvc.fields]
        choosable = {*of_engine, self.rvc.voice, self.narrator_rvc.voice}
        choices = [*of_engine, self.temperature, *rvc, self.rvc_reason]
        wanted = {
            *(self.text, *of_engine, *rvc, self.narration, self.outside),
            *(self.speed, self.pitch, self.temperature, self.format),
        }
        spoken = [self.take, self.speak, self.stop, self.player, self.picture, self.history.change]

        def on(trigger: Any, call: Any, inputs: Any, outputs: list[Any]) -> Any:
            return connect(trigger, call, inputs, outputs, self.status)

        loaded = on(root.load, self._unset, [], [self.temperature])
        self.program.wire(loaded, wanted, self._request)
        opened(lambda event: on(event, self._choices, choosable, choices))
        on(self.engine.input, self._choices, choosable, choices)
        self.history.follow(on(self.speak.click, self._speak, wanted, spoken))
        on(self.stop.click, self._stop, [self.take], [self.take, self.speak, self.stop])
        self.history.wire(on, loaded, self.status)

    async def _unset(self) -> Update:
        """Nothing, where the page would take a number that was never set for a 0."""
        return {self.temperature: None}

    async def _choices(self, values: dict[Any, Any]) -> Update:
        """What can be chosen now; what cannot be used is disabled, with the reason."""
        rvc = await offered(self._conversions)
        choices = {
            self.rvc_reason: status_html(rvc.reason),
            **self.rvc.offering(rvc, *[values[self.rvc.voice]] * 2),
            **self.narrator_rvc.offering(rvc, *[values[self.narrator_rvc.voice]] * 2),
        }
        offers = self._service.pool.offers
        offer = next((each for each in offers if each.engine == values[self.engine]), None)
        offer = offer or (offers[0] if offers else None)
        if offer is None:
            said = "No engine is loaded yet. See the page “Engines”, or wait a moment."
            return {**choices, self.status: status_html(said, wrong=True)}
        voices = await self._studio.run(self._voices, offer)
        tags = sorted(offer.capabilities.languages)
        draws = "temperature" in offer.capabilities.sampling
        return {
            **choices,
            self.voice: _among(DEFAULT, voices, values[self.voice]),
            self.narrator: _among(DEFAULT, voices, values[self.narrator]),
            self.engine: _among(
                "The current one", list(self._service.engines()), values[self.engine]
            ),
            self.language: _among(
                DEFAULT,
                ["auto", *tags] if tags else [],
                values[self.language],
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

    async def _speak(self, values: dict[Any, Any], asked: gr.Request) -> AsyncGenerator[Update]:
        if not values[self.text].strip():
            raise BadInput("There is nothing to speak yet. Type a text above.")
        request = self._request(values)
        take = self._sounds.begin(request, ticket(asked, self._service.config))
        try:
            yield self._beginning(take)
            async for _ in take.waiting(LOOKED_AFTER_S):
                yield {self.status: status_html("One moment …")}
            yield self._begun(take)
            async for _ in take.going_on(LOOKED_AFTER_S):  # Gradio looks whether the page is open
                yield {self.status: status_html("Speaking …")}
        except Cancelled:
            yield {**self._at_rest(), self.player: "", self.status: status_html(STOPPED)}
        except AllTalkError as error:
            yield {**self._at_rest(), self.status: status_html(str(error), wrong=True)}
        else:
            yield await self._spoken(take, request.text)
        finally:
            take.stop()  # whoever closed the page hears no more

    def _request(self, values: Mapping[Any, Any]) -> SpeechRequest:
        """What the fields ask for."""
        return SpeechRequest(
            values[self.text] if values[self.text].strip() else NO_TEXT,
            voice=values[self.voice],
            engine=values[self.engine],
            language=values[self.language],
            narrator=self._narrator(values),
            conversion=self.rvc.asked(values),
            speed=values[self.speed],
            pitch=values[self.pitch],
            sampling=Sampling(temperature=values[self.temperature]),
            format=FORMATS[values[self.format]],
        )

    def _narrator(self, values: Mapping[Any, Any]) -> Narrator | None:
        narration = values[self.narration]
        if narration == "off":
            return None
        return Narrator(
            values[self.narrator],
            silent=narration == "silent",
            outside=values[self.outside],
            conversion=self.narrator_rvc.asked(values),
        )

    def _beginning(self, take: Take) -> Update:
        return {
            self.take: take.name,
            self.speak: gr.update(interactive=False),
            self.stop: gr.update(interactive=True),
            self.player: "",
            self.picture: "",
            self.status: status_html("One moment …"),
        }

    def _begun(self, take: Take) -> Update:
        return {self.player: player_html(take.name), self.status: status_html("Speaking …")}

    async def _spoken(self, take: Take, text: str) -> Update:
        try:
            picture, seconds = await drawn(self._studio, self._sounds, take.name)
        except NotFound:
            said = status_html("Spoken, but not kept: the server's log says why.", wrong=True)
            return {**self._at_rest(), self.status: said}
        said = "Spoken." if seconds is None else f"Spoken: {clock(seconds)} of sound."
        return {
            **self._at_rest(),
            **self.history.adding(take.name, text),
            self.picture: picture,
            self.status: status_html(said),
        }

    def _at_rest(self) -> Update:
        return {
            self.take: "",
            self.speak: gr.update(interactive=True),
            self.stop: gr.update(interactive=False),
        }

    async def _stop(self, name: str) -> Update:
        if not self._sounds.stop(name):
            return {**self._at_rest(), self.status: status_html("Nothing is being spoken.")}
        return {self.status: status_html(STOPPED)}


def _among(first: str, names: list[str], now: str, **more: Any) -> Any:
    """A choice of `names`, or of none of them, which is called `first`; `now` while it is there."""
    return choice([(first, ""), *((name, name) for name in names)], now, now, **more)
