"""OpenAI's voice names on the Voices page: who speaks where a program asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        self._pool, self._control = product.service.pool, product.control
        gr.Markdown("Programs made for OpenAI ask for these names; choose who speaks then.")
        with gr.Row():
            self.fields: list[Any] = [
                # Another engine's voice may still stand there: `_map` says who is not known.
                gr.Dropdown(
                    [], label=name, min_width=160, elem_id=f"map-{name}", allow_custom_value=True
                )
                for name in NAMES
            ]
        self._save = gr.Button("Save the names")
        self._message = gr.HTML(elem_id="names-message")

    def wire(self) -> None:
        """Connect the components to what they do."""
        connect(self._save.click, self._map, {*self.fields}, self.fields, self._message)

    def offering(self, voices: Sequence[str]) -> Update:
        """The fields with `voices` to choose from, and who speaks now."""
        return {
            field: gr.update(choices=list(voices), value=value)
            for field, value in zip(self.fields, self._now(), strict=True)
        }

    def _now(self) -> list[str | None]:
        """Who speaks for each name."""
        current = self._pool.current
        known: Mapping[str, str] = {}
        if current is not None and current.offer is not None:
            known = current.offer.openai_voices
        return [known.get(name) for name in NAMES]

    async def _map(self, values: dict[Any, Any], asked: gr.Request) -> Update:
        require(asked, Role.POWER)
        named = {name: values[field] for name, field in zip(NAMES, self.fields, strict=True)}
        await self._control.map_openai_voices({name: who for name, who in named.items() if who})
        now = self._now()
        stay = [name for name, who in zip(NAMES, now, strict=True) if who and not named[name]]
        said = f" Not so {', '.join(stay)}: each name keeps a voice." if stay else ""
        shown = dict(zip(self.fields, now, strict=True))
        return {**shown, self._message: status_html(f"Saved.{said}")}
