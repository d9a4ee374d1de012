"""How the Status page shows what it knows."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from alltalk.gpus import Gpu
from alltalk.metrics import Vitals
from alltalk.recent import Failure
from alltalk.serving.requests import RequestView
from alltalk.ui.long_text_view import shown_text
from alltalk.ui.parts import table_html


@dataclass(frozen=True, slots=True)
class Memory:
    """What the server uses, MB."""

    own: float | None
    """None: this system does not tell."""
    engines: float
    """Of engines that run in processes of their own."""


@dataclass(frozen=True, slots=True)
class Look:
    """How the server was at one moment."""

    at_s: float
    """On the clock that never goes back."""
    in_flight: int
    waiting: int
    completed: int
    memory: Memory
    gpus: tuple[Gpu, ...]


def summary_html(vitals: Vitals, look: Look) -> str:
    """The numbers of now, in words."""
    ready = "Ready to speak" if vitals.ready else "No engine can speak yet; see “Engines”"
    return (
        f"<p><b>{ready}.</b> {vitals.in_flight - vitals.waiting} speaking, "
        f"{vitals.waiting} waiting, {vitals.completed} spoken and {vitals.errors} failed since "
        f"the start. Load: {vitals.load_score:.0%}.</p>{_room_html(look)}"
    )


def _room_html(look: Look) -> str:
    """Memory, and graphics cards where there are any."""
    own, engines = look.memory.own, look.memory.engines
    said = ["Memory: unknown on this system" if own is None else f"Memory: {own:.0f} MB"]
    if engines:
        said.append(f"engines in processes of their own: {engines:.0f} MB")
    for gpu in look.gpus:
        busy = "" if gpu.busy is None else f", {gpu.busy:.0%} busy"
        said.append(f"{gpu.name}: {gpu.used_mb} of {gpu.total_mb} MB in use{busy}")
    return f"<p>{shown_text('; '.join(said))}.</p>"


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


def plots_html(
    seen: Sequence[Look], first_audio_s: Sequence[float], speeds: Sequence[float]
) -> str:
    """Small plots: of the last minutes, while somebody was watching, and of the last requests."""
    rates = [
        60 * (after.completed - before.completed) / max(after.at_s - before.at_s, 0.1)
        for before, after in itertools.pairwise(seen)
    ]
    memory = [look.memory.own for look in seen if look.memory.own is not None]
    cards = [look.gpus[0].used_mb for look in seen if look.gpus]
    plots = [
        _plot("Being spoken", [look.in_flight - look.waiting for look in seen], "{:.0f}"),
        _plot("Waiting", [look.waiting for look in seen], "{:.0f}"),
        _plot("Spoken", rates, "{:.0f} a minute"),
        _plot("Time to first audio", first_audio_s, "{:.2f} s", each="request"),
        _plot("Speed", speeds, "{:.1f} times real time", each="request"),
        _plot("Memory", memory, "{:.0f} MB"),
        _plot("GPU memory", cards, "{:.0f} MB"),
    ]
    return f'<div style="display:flex;flex-wrap:wrap;gap:1rem">{"".join(plots)}</div>'


def _plot(title: str, values: Sequence[float], unit: str, each: str = "") -> str:
    """A line from the oldest to the newest value, the highest at the top; nothing without any."""
    if not values:
        return ""
    top, last = max(*values, 1e-9), len(values) - 1
    points = " ".join(
        f"{120 * at / max(1, last):.1f},{40 - 38 * value / top:.1f}"
        for at, value in enumerate([*values, values[-1]] if not last else values)
    )
    said = f"{title}: {unit.format(values[-1])}"
    of = f"last {len(values)} {each}s" if each and last else f"last {each}" if each else ""
    most = f"at most {unit.format(max(values))}" + (f", {of}" if of else "")
    return (
        f'<figure style="margin:0"><svg width="160" height="54" viewBox="0 0 120 42" role="img" '
        f'aria-label="{shown_text(f"{said}; {most}")}"><polyline points="{points}" fill="none" '
        'stroke="var(--color-accent)" stroke-width="1.5"/></svg>'
        f"<figcaption>{shown_text(said)}<br><small>{shown_text(most)}</small></figcaption></figure>"
    )


def failures_html(failures: Sequence[Failure]) -> str:
    """What went wrong last; the messages say what to do."""
    rows = [
        [time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each.at_s)), str(each.times), each.text]
        for each in failures
    ]
    return table_html(["Last", "Times", "What failed, and what to do"], rows, "") if rows else ""
