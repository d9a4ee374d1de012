"""A button for what cannot be undone: it says what would be lost, and asks again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import gradio as gr

from alltalk.ui.held import Held
from alltalk.ui.long_text_view import status_html
from alltalk.ui.parts import Update, connect, quietly


class AskedTwice:
    """The button, put where it is made; `build_question` puts the rest below it."""

    def __init__(self, label: str, id: str, **more: Any) -> None:
        """`id` is the button's in the page; `more` says how it looks."""
        self._id = id
        self.ask = gr.Button(label, variant="stop", elem_id=id, **more)
        self.meant = Held(visible=False)
        """What was asked about. Whoever chooses something else afterwards still loses only that."""

    def build_question(self, really: str) -> None:
        """What is hidden until the button is pressed. `really` is what the second one says."""
        with gr.Column(visible=False) as self._question:
            self._loss = gr.HTML()
            with gr.Row():
                self.really = gr.Button(really, variant="stop", size="sm", min_width=120)
                self.keep = gr.Button("Keep it", size="sm", min_width=120)

    @property
    def outputs(self) -> list[Any]:
        """What `over` changes."""
        return [self._question, self._loss, self.meant]

    def wire(self, chosen: Any, loss: Callable[[Any], Awaitable[str]], message: Any) -> None:
        """Ask about what the component `chosen` holds by then; another choice takes that back.

        `loss` says what would be lost, or raises what keeps it from that, which is told in
        `message`. What is to be done when `really` is clicked, with `meant`, is the page's own
        matter; it ends with `over`.
        """

        async def ask(value: Any) -> Update:
            said = status_html(await loss(value), wrong=True)
            return {self._question: gr.update(visible=True), self._loss: said, self.meant: value}

        async def keep() -> Update:
            return self.over()

        connect(self.ask.click, ask, [chosen], self.outputs, message)
        connect(self.keep.click, keep, [], self.outputs, message)
        quietly(  # tells nothing: a message about what was done stays
            chosen.change,
            self.over,
            [],
            self.outputs,
        )
        for answer in (self.really, self.keep):  # it goes, and the keyboard's place with it
            answer.click(None, js=f"() => document.getElementById('{self._id}')?.focus()")

    def over(self) -> Update:
        """Nothing is asked any more."""
        return {self._question: gr.update(visible=False), self._loss: "", self.meant: None}
