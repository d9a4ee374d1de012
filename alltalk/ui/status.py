"""The Status page: what is spoken and waits, and how the server is doing."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace

import gradio as gr

from alltalk.errors import BadInput, NotFound
from alltalk.gpus import Gpu, Gpus
from alltalk.keys import Role
from alltalk.memory import used_by_children, used_bytes
from alltalk.product import Product
from alltalk.serving.requests import RequestView
from alltalk.ui.long_text_view import status_html
from alltalk.ui.parts import Update, client, connect, quietly, role_of, table_html
from alltalk.ui.status_view import (
    Look,
    Memory,
    failures_html,
    plots_html,
    requests_html,
    summary_html,
)
from alltalk.ui.visible import visible_backends

TICK_S = 2.0
KEPT = 60
"""Looks that a plot goes back, each `TICK_S` after the one before while somebody watches."""


def tab(product: Product) -> gr.Timer:
    """Put the page into the Blocks that are being built; what looks anew while it is shown."""
    page = _Page(product)
    page.wire()
    return page.timer


class _Page:
    """Its components, and what happens when they are used."""

    def __init__(self, product: Product) -> None:
        self._service, self._metrics = product.service, product.metrics
        self._gpus = Gpus()
        self.seen = gr.State([])
        self.timer = gr.Timer(TICK_S, active=False)
        self.message = gr.HTML(elem_id="status-message")
        self.summary = gr.HTML(elem_id="status-summary")
        self.plots = gr.HTML(elem_id="status-plots")
        self.live = gr.HTML(elem_id="status-requests")
        with gr.Row(visible=False) as self.choice:
            self.request = gr.Dropdown(
                # What is chosen may end, and be none of the choices any more: `_cancel` says so.
                [],
                label="Request to stop",
                scale=3,
                allow_custom_value=True,
            )
            self.cancel = gr.Button("Stop it", variant="stop", scale=1)
        self.problems = gr.HTML(elem_id="status-problems")
        self.failures = gr.HTML(elem_id="status-failures")

    def wire(self) -> None:
        """Connect the components to what they do."""
        shown = [self.seen, self.summary, self.plots, self.live, self.choice, self.request]
        shown += [self.problems, self.failures]
        root = gr.context.Context.root_block
        assert root is not None, "a tab is built inside Blocks"
        for trigger in (root.load, self.timer.tick):
            quietly(
                trigger,
                self._look,
                [self.seen],
                shown,
            )
        connect(self.cancel.click, self._cancel, [self.request], [], self.message)

    async def _look(self, seen: list[Look], asked: gr.Request) -> Update:
        vitals = self._metrics.vitals()
        memory, cards = await self._room(asked)
        look = Look(
            time.monotonic(), vitals.in_flight, vitals.waiting, vitals.completed, memory, cards
        )
        seen = list(deque([*seen, look], KEPT))
        views, recent = self._visible(asked), self._metrics.recent
        labels = [(_label(number, view), view.id) for number, view in enumerate(views, 1)]
        return {
            self.seen: seen,
            self.summary: summary_html(vitals, look),
            self.plots: plots_html(seen, recent.first_audio_s, recent.speeds),
            self.live: requests_html(views),
            self.choice: gr.update(visible=bool(views)),
            self.request: gr.update(choices=labels),
            self.problems: self._problems(asked),
            self.failures: self._failures(asked),
        }

    async def _room(self, asked: gr.Request) -> tuple[Memory, tuple[Gpu, ...]]:
        """Memory; of the engines and the graphics cards to those who may know of backends."""
        memory = await self._service.lane().run(_memory)
        if role_of(asked) < Role.POWER:
            return replace(memory, engines=0.0), ()
        return memory, await self._gpus.look()

    def _visible(self, asked: gr.Request) -> list[RequestView]:
        """All to an admin, else one's own: an id is the right to stop."""
        who, _ = client(asked)
        sees_all = role_of(asked) is Role.ADMIN
        return [view for view in self._service.requests if sees_all or view.client == who]

    async def _cancel(self, id: str | None, asked: gr.Request) -> Update:
        if not id:
            raise BadInput("Choose a request first.")
        if id not in {view.id for view in self._visible(asked)}:
            raise NotFound("That request has ended already.")
        self._service.requests.cancel(id)
        return {self.message: status_html("Stopped.")}

    def _problems(self, asked: gr.Request) -> str:
        rows = [
            [f"{view.id}: {view.title or view.type}", view.error]
            for view in visible_backends(self._service.pool.backends, role_of(asked))
            if view.error
        ]
        return table_html(["Backend", "What is wrong"], rows, "") if rows else ""

    def _failures(self, asked: gr.Request) -> str:
        """To an admin: they may name what others asked for."""
        if role_of(asked) < Role.ADMIN:
            return ""
        return failures_html(self._metrics.recent.failures)


def _label(number: int, view: RequestView) -> str:
    return f"{number}. {view.voice or 'default voice'}, {view.characters} characters"


def _memory() -> Memory:
    own = used_bytes()
    return Memory(None if own is None else own / 2**20, used_by_children() / 2**20)
