"""The Engines page: what is loaded, changed while others are being served."""

from __future__ import annotations

from typing import Any

import gradio as gr

from alltalk.errors import BadInput
from alltalk.keys import Role
from alltalk.product import Product
from alltalk.status import Switch
from alltalk.ui.long_text_view import shown_text, status_html
from alltalk.ui.parts import Update, connect, require, table_html

TICK_S = 2.0


def tab(product: Product) -> gr.Timer:
    """Put the page into the Blocks that are being built; what looks anew while it is shown."""
    page = _Page(product)
    page.wire()
    return page.timer


class _Page:
    """Its components, and what happens when they are used."""

    def __init__(self, product: Product) -> None:
        self._service, self._control = product.service, product.control
        self.timer = gr.Timer(TICK_S, active=False)
        self.message = gr.HTML(elem_id="engines-message")
        self.backends = gr.HTML(elem_id="engines-backends")
        with gr.Row():
            self.restart = gr.Button("Restart all", min_width=120)
            self.free = gr.Button("Free memory", min_width=120)
        gr.Markdown("### The current engine")
        with gr.Row():
            self.engine = gr.Dropdown([], label="Engine to load", min_width=200)
            self.swap = gr.Button("Load this engine", variant="primary", min_width=140)
        with gr.Row():
            self.model = gr.Dropdown([], label="Model to load", min_width=200)
            self.load = gr.Button("Load this model", variant="primary", min_width=140)
        self.low_vram = gr.Checkbox(label="Low VRAM: weights leave the GPU between requests")
        self.deepspeed = gr.Checkbox(label="DeepSpeed")
        self.switches = gr.HTML(elem_id="engines-switches")

    def wire(self) -> None:
        """Connect the components to what they do."""
        root = gr.context.Context.root_block
        assert root is not None, "a tab is built inside Blocks"
        shown = [self.backends, self.engine, self.model, self.low_vram, self.deepspeed]
        shown.append(self.switches)

        def on(trigger: Any, call: Any, inputs: list[Any], outputs: list[Any]) -> None:
            connect(trigger, call, inputs, outputs, self.message)

        on(root.load, self._all, [], shown)
        self.timer.tick(
            self._state,
            [],
            [self.backends],
            concurrency_limit=None,
            show_progress="hidden",
            api_visibility="private",
        )
        on(self.swap.click, self._swap, [self.engine], shown)
        on(self.load.click, self._load, [self.model], shown)
        on(self.restart.click, self._restart, [], shown)
        on(self.free.click, self._free, [], shown)
        on(self.low_vram.input, self._low_vram, [self.low_vram], shown)
        on(self.deepspeed.input, self._deepspeed, [self.deepspeed], shown)

    def _state(self) -> str:
        rows = [
            [
                f"{view.title or view.type}{' (current)' if view.current else ''}",
                *(view.status.value, view.current_model, view.device),
                *(f"{view.usages} of {view.max_usages}", view.error),
            ]
            for view in self._service.pool.backends
        ]
        heads = ["Backend", "State", "Model", "Runs on", "In use", "What is wrong"]
        return table_html(heads, rows, "There is no backend. Add one with the backends API.")

    async def _all(self) -> Update:
        status = await self._service.lane().run(self._service.status)
        obstacles = {what: status.obstacle(what) for what in _SWITCHES}
        fields = {"low_vram": self.low_vram, "deepspeed": self.deepspeed}
        return {
            self.backends: self._state(),
            self.engine: gr.update(choices=list(status.engines), value=status.engine),
            self.model: gr.update(choices=list(status.models), value=status.model),
            **{
                fields[what]: gr.update(value=status.is_on(what), interactive=not obstacles[what])
                for what in _SWITCHES
            },
            self.switches: "".join(f"<p>{shown_text(each)}</p>" for each in obstacles.values()),
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

    async def _restart(self, asked: gr.Request) -> Update:
        require(asked, Role.POWER)
        count = await self._service.pool.restart()
        return {**await self._all(), self.message: status_html(f"{count} restarted.")}

    async def _free(self, asked: gr.Request) -> Update:
        require(asked, Role.POWER)
        count = await self._service.free()
        said = f"{count} freed." if count else "Nothing to free: none is loaded and quiet."
        return {**await self._all(), self.message: status_html(said)}

    async def _low_vram(self, on: bool, asked: gr.Request) -> Update:
        return await self._switched("low_vram", on, asked)

    async def _deepspeed(self, on: bool, asked: gr.Request) -> Update:
        return await self._switched("deepspeed", on, asked)

    async def _switched(self, what: Switch, on: bool, asked: gr.Request) -> Update:
        require(asked, Role.POWER)
        await self._control.switch(what, on)
        return {**await self._all(), self.message: status_html("Done.")}


_SWITCHES: tuple[Switch, ...] = ("low_vram", "deepspeed")


def _needed(name: str | None) -> str:
    if not name:
        raise BadInput("Choose one first.")
    return name
