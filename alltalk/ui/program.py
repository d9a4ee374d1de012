"""The same from a program, on the Speak page: curl and Python for what its fields are set to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import gradio as gr

from alltalk.product import Product
from alltalk.speech import SpeechRequest
from alltalk.ui.parts import Update, quietly
from alltalk.ui.snippets import code_for


class Program:
    """Its components, which follow the fields."""

    def __init__(self, product: Product) -> None:
        self._config = product.config
        with gr.Accordion("The same from a program", open=False):
            self._curl = _code("shell", "curl", "speak-curl")
            self._sdk = _code("python", "Python", "speak-sdk")

    def wire(
        self,
        loaded: Any,
        fields: Collection[Any],
        request: Callable[[Mapping[Any, Any]], SpeechRequest],
    ) -> None:
        """Show what `request` makes of `fields` after the event `loaded`, and as they change."""

        async def show(values: dict[Any, Any], asked: gr.Request) -> Update:
            origin = str(asked.headers.get("origin", "")) or "http://127.0.0.1:7851"
            needs_key = bool(self._config.current.server.api_keys)
            curl, sdk = code_for(request(values), origin, needs_key)
            return {self._curl: curl, self._sdk: sdk}

        for trigger in (loaded.then, partial(gr.on, [each.change for each in fields])):
            quietly(
                trigger,
                show,
                {*fields},
                [self._curl, self._sdk],
                trigger_mode="always_last",  # of what is typed meanwhile, how it is by then
            )


def _code(language: Any, label: str, id: str) -> gr.Code:
    """What is only read, and copied."""
    return gr.Code(language=language, label=label, interactive=False, wrap_lines=True, elem_id=id)
