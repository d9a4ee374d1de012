"""`alltalk bench`: how fast the engines speak on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from alltalk import __version__
from alltalk.bench import TEXT, Load, Report, measure, peak_memory_mb
from alltalk.bench.plot import check_plot, plot
from alltalk.cli.options import HomeOption
from alltalk.cli.session import session
from alltalk.engine import Place
from alltalk.errors import BadValue, EngineError
from alltalk.figures import Figures
from alltalk.home import Home
from alltalk.registry import Registry
from alltalk.service import SpeechService
from alltalk.speech import SpeechRequest

EXAMPLES = "Examples: alltalk bench --engine piper; alltalk bench --clients 1,4,16 --json"


def bench(
    engine: Annotated[
        str | None,
        typer.Option("--engine", "-e", help="Only this engine.", show_default="each that can"),
    ] = None,
    voice: Annotated[
        str, typer.Option("--voice", "-v", help="With --engine: as `alltalk voices` lists it.")
    ] = "",
    text: Annotated[str, typer.Option(help="What is spoken.", show_default="3 sentences")] = TEXT,
    clients: Annotated[str, typer.Option(help="How many ask at once, one run for each.")] = "1,8",
    seconds: Annotated[float, typer.Option(min=0.0, help="Length of a run.")] = 5.0,
    plain: Annotated[
        bool, typer.Option("--plain", help="Leave out what an engine measures of itself.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
    plot_file: Annotated[
        Path | None,
        typer.Option("--plot", help="Draw it, too: .png, .svg or .pdf. Needs matplotlib."),
    ] = None,
    device: Annotated[str, typer.Option(help="Where engines run: cpu, cuda, cuda:1.")] = "cpu",
    home: HomeOption = None,
) -> None:
    """Measure engines: requests a second, time to first audio, real-time factor, memory.

    Nothing is cached, and no HTTP is in it. Other work on the machine makes all of it slower. With
    --engine, an engine that measures itself adds its own tables, which can take minutes.
    """
    counts = _counts(clients)
    if voice and not engine:
        raise BadValue("--voice", "needs --engine: each engine has voices of its own")
    if plot_file is not None:
        check_plot(plot_file)
    if engine:
        speaking = session(home, engine, device)
        report = asyncio.run(_measured(speaking, SpeechRequest(text, voice), counts, seconds))
        reports = [replace(report, memory_mb=peak_memory_mb())]  # its own process has ended by now
    else:
        options = [f"--text={text}", f"--clients={clients}", f"--seconds={seconds}"]
        reports = _each_apart([*options, f"--device={device}"], Home.find(home))
    if not as_json:
        Console().print(_table(reports))
    figures: list[Figures] = []
    try:
        if engine and not plain:
            figures.extend(_own(reports[0], device, home, not as_json))
    finally:  # what was measured took minutes: an engine that fails, or a Ctrl-C, costs none of it
        if figures:
            reports = [replace(reports[0], figures=tuple(figures))]
        _write(reports, plot_file, as_json=as_json)


def _write(reports: Sequence[Report], plot_file: Path | None, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({**_machine(), "engines": [each.as_dict() for each in reports]}, indent=2))
    if plot_file is not None:
        plot(reports, plot_file)


def _counts(clients: str) -> list[int]:
    try:
        counts = [int(each) for each in clients.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise BadValue("--clients", "must be whole numbers of 1 or more, such as 1,8")
    return counts


async def _measured(
    speaking: AbstractAsyncContextManager[SpeechService],
    request: SpeechRequest,
    counts: Sequence[int],
    seconds: float,
) -> Report:
    started = time.perf_counter()
    async with speaking as service:
        load_s = time.perf_counter() - started
        offer = service.pool.offers[0]
        await measure(service, request, 1, 0.0)  # what a first request loads is not its speed
        loads = [await measure(service, request, count, seconds) for count in counts]
    voice = str(request.voice or "default")
    characters = len(request.text)
    return Report(offer.engine, offer.model, voice, characters, load_s, None, tuple(loads))


def _own(report: Report, device: str, home: Path | None, shown: bool) -> Iterator[Figures]:
    """What the engine measures of itself; `shown`: each table is printed as soon as it is there."""
    place = Place(device, os.cpu_count() or 1)
    for each in Registry(Home.find(home)).bench(report.engine, report.model, place):
        if shown:
            table = Table(box=box.SIMPLE, title=each.title, title_justify="left")
            for index, column in enumerate(each.columns):
                table.add_column(column, justify="right" if index else "left")
            for row in each.texts():
                table.add_row(*row)
            Console().print(table)
        yield each


def _each_apart(options: Sequence[str], home: Home) -> list[Report]:
    """Every engine that can speak, each in a process of its own: none pays for another's memory."""
    registry = Registry(home)
    names = [each for each in registry.names() if not registry.missing(each)]
    reports = []
    for name in (each for each in names if registry.models(each)):
        command = [sys.executable, "-m", "alltalk", "bench", "--json", "--plain"]
        command.append(f"--home={home.root}")
        run = subprocess.run(
            [*command, f"--engine={name}", *options], stdout=subprocess.PIPE, text=True
        )
        if run.returncode:  # it has said why
            raise EngineError(f"{name} could not be measured.")
        reports += [Report.of(each) for each in json.loads(run.stdout)["engines"]]
    return reports


def _machine() -> dict[str, Any]:
    return {
        "alltalk": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
    }


def _table(reports: Sequence[Report]) -> Table:
    table = Table(box=box.SIMPLE, caption="p50 / p95; RTF: seconds computed per second spoken")
    table.add_column("engine")
    for column in ("clients", "requests/s", "first audio, ms", "request, ms", "RTF", "memory"):
        table.add_column(column, justify="right")
    for report in reports:
        for index, load in enumerate(report.loads):
            memory = f"{report.memory_mb:.0f} MB" if report.memory_mb and not index else ""
            table.add_row("" if index else report.engine, *_cells(load), memory)
    return table


def _cells(load: Load) -> tuple[str, ...]:
    return (
        str(load.clients),
        f"{load.requests_per_s:.1f}",
        f"{load.first_audio_p50_s * 1e3:.0f} / {load.first_audio_p95_s * 1e3:.0f}",
        f"{load.request_p50_s * 1e3:.0f} / {load.request_p95_s * 1e3:.0f}",
        f"{load.rtf:.4f}",
    )
