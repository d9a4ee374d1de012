"""Draws reports of benchmarks."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from alltalk.bench import Report
from alltalk.errors import BadValue, StorageError

SUFFIXES = (".png", ".svg", ".pdf")


def check_plot(file: Path) -> None:
    """Refuse, before anything is measured, what could not be drawn. Raises BadValue."""
    if file.suffix.lower() not in SUFFIXES:
        raise BadValue("--plot", f"{file.name} must end with {', '.join(SUFFIXES)}")
    if not file.absolute().parent.is_dir():
        raise BadValue("--plot", f"there is no folder {file.absolute().parent}")
    if importlib.util.find_spec("matplotlib") is None:
        raise BadValue("--plot", "needs matplotlib: pip install 'alltalk[bench]'")


def plot(reports: Sequence[Report], file: Path) -> None:
    """Requests a second, time to first audio and memory of all engines. Raises StorageError."""
    figure = importlib.import_module("matplotlib.figure").Figure((12, 4), layout="constrained")
    rates, firsts, memory = figure.subplots(1, 3)
    for report in reports:
        clients = [load.clients for load in report.loads]
        rates.plot(clients, [x.requests_per_s for x in report.loads], "o-", label=report.engine)
        firsts.plot(clients, [x.first_audio_p50_s * 1e3 for x in report.loads], "o-")
    memory.bar([x.engine for x in reports], [x.memory_mb or 0.0 for x in reports])
    ticks = sorted({load.clients for report in reports for load in report.loads})
    for axes, title in ((rates, "Requests a second"), (firsts, "First audio (ms, median)")):
        axes.set(title=title, xlabel="clients", xticks=ticks)
        axes.set_ylim(bottom=0)
    memory.set_title("Memory (MB)")
    rates.legend()
    try:
        figure.savefig(file)
    except OSError as error:
        raise StorageError(f"{file} cannot be written: {error}") from error
