"""`alltalk models`: what can be installed, what is, and bringing it here."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from alltalk.cli.options import HomeOption
from alltalk.errors import AllTalkError, DownloadFailed, InstallFailed, StorageError
from alltalk.home import Home
from alltalk.models import Catalogue, Hub, ListedModel, ModelCatalogue, ModelEntry, ModelState
from alltalk.models import Progress as Arrived
from alltalk.models.catalogue import RVC
from alltalk.registry import Registry

app = typer.Typer(
    name="models",
    help="Voices and models for the engines: list, install, remove, verify.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
Names = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL...",
        help="As listed, or an engine's name for its recommended model.",
        show_default=False,
    ),
]


@app.command("list")
def list_models(
    engine: Annotated[
        str | None, typer.Argument(help="Only models of this engine.", show_default=False)
    ] = None,
    language: Annotated[
        str | None, typer.Option("--language", "-l", help="Only those that speak it, e.g. `de`.")
    ] = None,
    installed: Annotated[
        bool, typer.Option("--installed", help="Only what is here, or on its way.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """List models. On a terminal as a table, else a line each: name, tab, state, tab, size."""
    catalogue = _open(home)
    if engine not in (None, RVC):
        Registry(Home.find(home)).manifest(engine)  # a name that is none is said so
    listed = [
        each
        for each in asyncio.run(catalogue.list(engine or ""))
        if each.entry.speaks(language or "") and not (installed and each.state is ModelState.ABSENT)
    ]
    for file, problem in asyncio.run(catalogue.read()).problems.items():
        print(f"alltalk: {file} is left out: {problem}", file=sys.stderr)
    if sys.stdout.isatty():
        Console().print(_table(listed))
    else:
        for each in listed:
            print(f"{each.entry.key}\t{each.state}\t{each.entry.size or ''}")


@app.command()
def install(
    models: Names,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Agree to the models' terms without being asked.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Install models, several side by side. Again after an interruption, it goes on."""
    catalogue = _open(home)
    entries = _find(asyncio.run(catalogue.read()), models)
    for entry in entries:
        _show_terms(entry, yes)
    asyncio.run(_install(catalogue, entries))


@app.command()
def remove(
    models: Names,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    home: HomeOption = None,
) -> None:
    """Delete installed models; with the last of an engine its own environment, too."""
    catalogue = _open(home)
    entries = _find(asyncio.run(catalogue.read()), models)
    if not yes and sys.stdin.isatty():
        typer.confirm(f"Delete {', '.join(entry.key for entry in entries)}?", abort=True)
    for entry in entries:
        asyncio.run(catalogue.remove(entry.key))
        print(f"{entry.key} was removed.")


@app.command()
def verify(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL...]", help="Default: all that are installed."),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Read the files of installed models and compare them. Exit code 1 if one is not as it was."""
    catalogue = _open(home)
    if models:
        entries = _find(asyncio.run(catalogue.read()), models)
    else:
        here = asyncio.run(catalogue.list())
        entries = [each.entry for each in here if each.state is not ModelState.ABSENT]
    if not entries:
        print("Nothing is installed yet. What there is: alltalk models list", file=sys.stderr)
    faulty = False
    for entry in entries:
        faults = asyncio.run(catalogue.verify(entry.key))
        faulty = faulty or bool(faults)
        print(f"{entry.key}: {' '.join(faults) or 'as it should be'}")
        if faults:
            print(f"    alltalk models install {entry.key}")
    if faulty:
        raise typer.Exit(1)


class Bars:
    """A bar for each file on a terminal; else a line when one begins and when it is there."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._told: set[tuple[str, str, bool]] = set()

    def report(self, model: str, at: Arrived) -> None:
        """Show how far a file of `model` is."""
        if self._progress is None:
            self._tell(model, at)
            return
        key = (model, at.path)
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(at.path, total=at.size)
        self._progress.update(self._tasks[key], completed=at.received, total=at.size)

    def say(self, line: str) -> None:
        """Show a line of what else goes on."""
        if self._progress is None:
            print(line, flush=True)
        else:
            self._progress.console.print(line, markup=False, highlight=False)

    def _tell(self, model: str, at: Arrived) -> None:
        is_there = at.received == at.size
        if (model, at.path, is_there) not in self._told:
            self._told.add((model, at.path, is_there))
            size = f" ({at.size / 1e6:.1f} MB)" if at.size else ""
            print(f"{at.path}{size}: {'fetched' if is_there else 'fetching'}", flush=True)


async def _install(catalogue: ModelCatalogue, entries: Sequence[ModelEntry]) -> None:
    """All of them; those that fail do not stop the others. Raises the first error."""
    with _bars() as bars:

        async def one(entry: ModelEntry) -> ListedModel:
            return await catalogue.install(
                entry.key,
                agreed=True,
                report=lambda at: bars.report(entry.key, at),
                say=bars.say,
            )

        results = await asyncio.gather(*map(one, entries), return_exceptions=True)
    failed = [each for each in results if isinstance(each, BaseException)]
    for entry, result in zip(entries, results, strict=True):
        if isinstance(result, ListedModel):
            print(f"{entry.key} is installed.")
        elif result is not failed[0] and isinstance(result, AllTalkError):
            print(f"alltalk: {result}", file=sys.stderr)
    if failed:
        again = " ".join(e.key for e, r in zip(entries, results, strict=True) if r in failed)
        raise _with_command(failed[0], f"alltalk models install {again}")


def _with_command(error: BaseException, command: str) -> BaseException:
    """`error` with the command that goes on where it stopped, where that would help."""
    if isinstance(error, DownloadFailed | InstallFailed | StorageError):
        return type(error)(f"{error}\nTo go on: {command}")
    return error


@contextmanager
def _bars() -> Iterator[Bars]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Bars(None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield Bars(progress)


def _open(home: Path | None) -> ModelCatalogue:
    found = Home.find(home)
    found.create()
    return ModelCatalogue(found, Registry(found), Hub.of(os.environ))


def _find(catalogue: Catalogue, names: Sequence[str]) -> list[ModelEntry]:
    """The entries asked for, each once. Raises NotFound."""
    return list({entry.key: entry for entry in map(catalogue.find, names)}.values())


def _show_terms(entry: ModelEntry, yes: bool) -> None:
    """Licence and terms; ends the command unless they are agreed to."""
    size = f", {entry.size / 1e6:,.0f} MB" if entry.size else ""
    licence = " ".join(filter(None, (entry.licence, entry.licence_url)))
    print(f"{entry.key}{size}" + (f". Licence: {licence}" if licence else ""))
    if not entry.terms:
        return
    print(entry.terms)
    if not yes and not sys.stdin.isatty():
        print(f"To agree: alltalk models install {entry.key} --yes", file=sys.stderr)
        raise typer.Exit(2)
    if not yes:
        typer.confirm("Do you agree?", abort=True)


def _table(listed: Sequence[ListedModel]) -> Table:
    table = Table("Model", "State", "MB", "Languages", "Description", box=None)
    for each in listed:
        entry = each.entry
        state = "" if each.state is ModelState.ABSENT else str(each.state)
        star = " (recommended)" if entry.recommended else ""
        table.add_row(
            entry.key,
            state,
            f"{entry.size / 1e6:,.0f}" if entry.size else "?",
            ", ".join(entry.languages),
            entry.description + star,
        )
    return table
