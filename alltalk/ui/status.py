"""The Status page: what is spoken and waits, and how the server is doing."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import gradio as gr

from alltalk.errors import BadInput, NotFound
from alltalk.keys import Role
from alltalk.metrics import Vitals
from alltalk.product import Product
from alltalk.serving.requests import RequestView
from alltalk.ui.long_text_view import shown_text, status_html
from alltalk.ui.parts import Update, client, connect, role_of, table_html

TICK_S = 2.0
KEPT = 60
"""Looks that a plot goes back, each `TICK_S` after the one before while somebody watches."""


@dataclass(frozen=True, slots=True)
class Look:
    """How the server was at one moment."""

    at_s: float
    """On the clock that never goes back."""
    in_flight: int
    waiting: int
    completed: int
    memory_mb: float


def tab(product: Product) -> gr.Timer:
    """Put the page into the Blocks that are being built; what looks anew while it is shown."""
    page = _Page(product)
    page.wire()
    return page.timer


class _Page:
    """Its components, and what happens when they are used."""

    def __init__(self, product: Product) -> None:
        self._service, self._metrics = product.service, product.metrics
        self.seen = gr.State([])
        self.timer = gr.Timer(TICK_S, active=False)
        self.message = gr.HTML(elem_id="status-message")
        self.summary = gr.HTML(elem_id="status-summary")
        self.plots = gr.HTML(elem_id="status-plots")
        self.live = gr.HTML(elem_id="status-requests")
        with gr.Row(visible=False) as self.choice:
            self.request = gr.Dropdown([], label="Request to stop", scale=3)
            self.cancel = gr.Button("Stop it", variant="stop", scale=1)
        self.problems = gr.HTML(elem_id="status-problems")

    def wire(self) -> None:
        """Connect the components to what they do."""
        shown = [self.seen, self.summary, self.plots, self.live, self.choice, self.request]
        shown.append(self.problems)
        root = gr.context.Context.root_block
        assert root is not None, "a tab is built inside Blocks"
        for trigger in (root.load, self.timer.tick):
            trigger(
                self._look,
                [self.seen],
                shown,
                concurrency_limit=None,
                show_progress="hidden",
                api_visibility="private",
            )
        connect(self.cancel.click, self._cancel, [self.request], [], self.message)

    async def _look(self, seen: list[Look], asked: gr.Request) -> Update:
        vitals = self._metrics.vitals()
        memory_mb = (await self._service.lane().run(_memory_bytes)) / 2**20
        look = Look(time.monotonic(), vitals.in_flight, vitals.waiting, vitals.completed, memory_mb)
        seen = list(deque([*seen, look], KEPT))
        views = self._visible(asked)
        labels = [(_label(number, view), view.id) for number, view in enumerate(views, 1)]
        return {
            self.seen: seen,
            self.summary: summary_html(vitals, memory_mb),
            self.plots: plots_html(seen),
            self.live: requests_html(views),
            self.choice: gr.update(visible=bool(views)),
            self.request: gr.update(choices=labels),
            self.problems: self._problems(),
        }

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

    def _problems(self) -> str:
        rows = [
            [f"{view.id}: {view.title or view.type}", view.error]
            for view in self._service.pool.backends
            if view.error
        ]
        return table_html(["Backend", "What is wrong"], rows, "") if rows else ""


def summary_html(vitals: Vitals, memory_mb: float) -> str:
    """The numbers of now, in words."""
    ready = "Ready to speak" if vitals.ready else "No engine can speak yet; see “Engines”"
    return (
        f'<p role="status"><b>{ready}.</b> {vitals.in_flight - vitals.waiting} speaking, '
        f"{vitals.waiting} waiting, {vitals.completed} spoken and {vitals.errors} failed since "
        f"the start. {memory_mb:.0f} MB of memory. Load: {vitals.load_score:.0%}.</p>"
    )


def requests_html(views: Iterable[RequestView]) -> str:
    """What is spoken and waits."""
    rows = [
        [
            *(
                str(number),
                view.state,
                f"{view.progress:.0%}",
                view.voice or "default",
                view.engine,
            ),
            *(str(view.characters), f"{view.age_s:.0f} s", view.door),
        ]
        for number, view in enumerate(views, 1)
    ]
    heads = ["", "State", "Heard", "Voice", "Engine", "Characters", "Since", "Asked through"]
    return table_html(heads, rows, "Nothing is being spoken. Go to “Speak” to hear something.")


def plots_html(seen: list[Look]) -> str:
    """Small plots of the last minutes, for as long as somebody has been watching."""
    rates = [
        60 * (after.completed - before.completed) / max(after.at_s - before.at_s, 0.1)
        for before, after in itertools.pairwise(seen)
    ]
    return (
        '<div style="display:flex;flex-wrap:wrap;gap:1rem">'
        + "".join(
            (
                _plot("Requests", [float(look.in_flight) for look in seen], ""),
                _plot("Waiting", [float(look.waiting) for look in seen], ""),
                _plot("Spoken", rates, " a minute"),
                _plot("Memory", [look.memory_mb for look in seen], " MB"),
            )
        )
        + "</div>"
    )


def _plot(title: str, values: list[float], unit: str) -> str:
    """A line from the oldest to the newest value, the highest at the top."""
    values = values or [0.0]
    top, last = max(*values, 1.0), len(values) - 1
    points = " ".join(
        f"{120 * at / max(1, last):.1f},{40 - 38 * value / top:.1f}"
        for at, value in enumerate(values)
    )
    said = f"{title}: {values[-1]:.0f}{unit}"
    return (
        f'<figure style="margin:0"><svg width="160" height="54" viewBox="0 0 120 42" role="img" '
        f'aria-label="{said}"><polyline points="{points}" fill="none" '
        'stroke="var(--color-accent)" stroke-width="1.5"/></svg>'
        f"<figcaption>{shown_text(said)}</figcaption></figure>"
    )


def _label(number: int, view: RequestView) -> str:
    return f"{number}. {view.voice or 'default voice'}, {view.characters} characters"


def _memory_bytes() -> int:
    """Of this process; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * 4096
    except OSError:
        return 0
