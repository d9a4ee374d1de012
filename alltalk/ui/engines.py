"""The Engines page: what is loaded, changed while others are being served."""

from __future__ import annotations

from typing import Any

import gradio as gr

from alltalk.errors import AllTalkError, BadInput
from alltalk.keys import Role
from alltalk.product import Product
from alltalk.status import EngineStatus, Switch
from alltalk.ui.backends import Backends
from alltalk.ui.engine_settings import EngineSettings
from alltalk.ui.long_text_view import shown_text, status_html
from alltalk.ui.models import Models
from alltalk.ui.parts import Update, connect, quietly, require

TICK_S = 2.0


def tab(product: Product) -> gr.Timer:
    """Put the page into the Blocks that are being built; what looks anew while it is shown."""
    page = _Page(product)
    page.wire()
    EngineSettings(product).wire()
    gr.Markdown("## Models to install")
    Models(product).wire(page.timer)
    return page.timer


class _Page:
    """Its components, and what happens when they are used."""

    def __init__(self, product: Product) -> None:
        self._service, self._control = product.service, product.control
        self.timer = gr.Timer(TICK_S, active=False)
        self.message = gr.HTML(elem_id="engines-message")
        self.seen = gr.State(None)
        self.backends = Backends(product, self.message)
        gr.Markdown("## The current engine")
        with gr.Row():
            self.engine = gr.Dropdown(
                [], label="Engine to load", allow_custom_value=True, min_width=200
            )
            self.swap = gr.Button("Load this engine", variant="primary", min_width=140)
        with gr.Row():
            self.model = gr.Dropdown(
                [], label="Model to load", allow_custom_value=True, min_width=200
            )
            self.load = gr.Button("Load this model", variant="primary", min_width=140)
        self.low_vram = gr.Checkbox(label="Low VRAM: weights leave the GPU between requests")
        self.deepspeed = gr.Checkbox(label="DeepSpeed")
        self.switches = gr.HTML(elem_id="engines-switches")

    def wire(self) -> None:
        """Connect the components to what they do."""
        root = gr.context.Context.root_block
        assert root is not None, "a tab is built inside Blocks"
        shown = [self.engine, self.model, self.low_vram, self.deepspeed, self.switches, self.seen]

        def on(trigger: Any, call: Any, inputs: list[Any], outputs: list[Any]) -> None:
            connect(trigger, call, inputs, outputs, self.message)

        on(root.load, self._all, [], shown)
        quietly(
            self.timer.tick,
            self._look,
            [self.seen],
            shown,
        )
        on(self.swap.click, self._swap, [self.engine], shown)
        on(self.load.click, self._load, [self.model], shown)
        on(self.low_vram.input, self._low_vram, [self.low_vram], shown)
        on(self.deepspeed.input, self._deepspeed, [self.deepspeed], shown)
        self.backends.wire(self.timer)

    async def _look(self, seen: object) -> Update:
        """How things are. What a visitor has chosen stays chosen, until another engine speaks."""
        if self._service.pool.current is None:
            return {self.seen: None}
        status = await self._service.lane().run(self._service.status)
        if _told(status) != seen:
            return self._shown(status)
        return {
            self.engine: gr.update(choices=list(status.engines)),
            self.model: gr.update(choices=list(status.models)),
        }

    async def _all(self) -> Update:
        return self._shown(await self._service.lane().run(self._service.status))

    def _shown(self, status: EngineStatus) -> Update:
        fields = {"low_vram": self.low_vram, "deepspeed": self.deepspeed}
        return {
            self.engine: gr.update(choices=list(status.engines), value=status.engine),
            self.model: gr.update(choices=list(status.models), value=status.model),
            **{
                fields[what]: gr.update(
                    value=status.is_loaded and status.asked(what),
                    interactive=status.is_loaded
                    and (status.asked(what) or not status.obstacle(what)),
                )
                for what in _SWITCHES
            },
            self.switches: switches_html(status),
            self.seen: _told(status),
        }

    async def _swap(self, engine: str | None, asked: gr.Request) -> Update:
        require(asked, Role.POWER)
        offer = await self._control.load_engine(_needed(engine))
        said = status_html(f"{offer.engine} speaks now, with {offer.model}.")
        return {**await self._all(), self.message: said}

    async def _load(self, model: str | None, asked: gr.Request) -> Update:
        require(asked, Role.POWER)
        offer = await self._control.load_model(_needed(model))
        said = status_html(f"{offer.engine} speaks with {offer.model} now.")
        return {**await self._all(), self.message: said}

    async def _low_vram(self, on: bool, asked: gr.Request) -> Update:
        return await self._switched("low_vram", on, asked)

    async def _deepspeed(self, on: bool, asked: gr.Request) -> Update:
        return await self._switched("deepspeed", on, asked)

    async def _switched(self, what: Switch, on: bool, asked: gr.Request) -> Update:
        """The box shows what was asked for; whatever comes of it, it then shows what is so."""
        try:
            require(asked, Role.POWER)
            await self._control.switch(what, on)
        except AllTalkError as error:
            return {**await self._all(), self.message: status_html(str(error), wrong=True)}
        status = await self._service.lane().run(self._service.status)
        return {**self._shown(status), self.message: status_html(status.effect(what))}


_SWITCHES: tuple[Switch, ...] = ("low_vram", "deepspeed")


def switches_html(status: EngineStatus) -> str:
    """What the loaded engine does, which may be less than it was asked for."""
    return "".join(f"<p>{shown_text(status.effect(what))}</p>" for what in _SWITCHES)


def _told(status: EngineStatus) -> tuple[str, ...]:
    """Another value where what is shown of the current engine is another."""
    return (status.engine, status.model, *map(status.effect, _SWITCHES))


def _needed(name: str | None) -> str:
    if not name:
        raise BadInput("Choose one first.")
    return name
