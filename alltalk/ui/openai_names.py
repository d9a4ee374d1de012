"""OpenAI's voice names on the Voices page: who speaks where a program asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from alltalk.keys import Role
from alltalk.product import Product
from alltalk.ui.long_text_view import status_html
from alltalk.ui.parts import Update, connect, require

NAMES = ("alloy", "echo", "fable", "onyx", "nova", "shimmer")


class OpenaiNames:
    """A field for each name."""

    def __init__(self, product: Product) -> None:
        self._service, self._studio = product.service, product.studio
        self._pool, self._control = product.service.pool, product.control
        gr.Markdown("Programs made for OpenAI ask for these names; choose who speaks then.")
        with gr.Row():
            self.fields: list[Any] = [
                gr.Dropdown([], label=name, min_width=160, elem_id=f"map-{name}") for name in NAMES
            ]
        self._save = gr.Button("Save the names")
        self._message = gr.HTML(elem_id="names-message")

    def wire(self) -> None:
        """Connect the components to what they do."""
        root = gr.context.Context.root_block
        assert root is not None, "a tab is built inside Blocks"
        connect(root.load, self._known, [], self.fields, self._message)
        connect(self._save.click, self._map, {*self.fields}, [], self._message)

    def offering(self, voices: Sequence[str]) -> Update:
        """The fields with `voices` to choose from."""
        return {field: gr.update(choices=list(voices)) for field in self.fields}

    async def _known(self) -> Update:
        """Who speaks now."""
        current = self._pool.current
        known = current.offer.openai_voices if current and current.offer else {}
        voices = sorted(voice.name for voice in await self._studio.run(self._service.voices))
        return {
            field: gr.update(choices=voices, value=known.get(name))
            for name, field in zip(NAMES, self.fields, strict=True)
        }

    async def _map(self, values: dict[Any, Any], asked: gr.Request) -> Update:
        require(asked, Role.POWER)
        named = {name: values[field] for name, field in zip(NAMES, self.fields, strict=True)}
        await self._control.map_openai_voices({name: who for name, who in named.items() if who})
        return {self._message: status_html("Saved.")}
