"""Held: what an open page knows by itself, whatever becomes of what the server knew of it.

The server forgets a page when it is restarted, and some time after its connection broke: its
`gr.State` is then as at the start, and no list has a choice.
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.component_meta import ComponentMeta


class _WithoutStub(ComponentMeta):
    """Makes a class as Python does: Gradio would write a .pyi beside this file."""

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> _WithoutStub:
        made: _WithoutStub = super(ComponentMeta, cls).__new__(cls, name, bases, body)
        return made


class Held(gr.JSON, metaclass=_WithoutStub):
    """A value of what JSON can say, which the browser sends with each event; `visible=False`."""

    is_template = True  # the browser has it as the component that it is made of
    data_model = None

    def preprocess(self, payload: Any) -> Any:
        """As the browser says."""
        return payload

    def postprocess(self, value: Any) -> Any:
        """As it is."""
        return value


class Choices(gr.Radio, metaclass=_WithoutStub):
    """A list to choose from, for a handler that says itself what is wrong with a choice.

    Gradio's own refuses every event of which it is an input once its choice is not in the list.
    """

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        """As the browser says: anything."""
        return payload
