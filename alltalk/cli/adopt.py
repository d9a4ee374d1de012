"""`alltalk adopt`: move in from AllTalk V2."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from alltalk.adopt import Adopted, V2Folder
from alltalk.adopt import adopt as adopted
from alltalk.cli.options import HomeOption
from alltalk.config_store import ConfigStore
from alltalk.home import Home

EVERYWHERE, LOCAL = "0.0.0.0", "127.0.0.1"
LOOPBACK = (LOCAL, "localhost", "::1")
TITLES = {"settings": "Settings", "voices": "Voices", "models": "Models", "rvc": "RVC voices"}


def adopt(
    folder: Annotated[Path, typer.Argument(help="AllTalk V2's folder. It is only read.")],
    link: Annotated[
        bool,
        typer.Option(
            "--link/--copy",
            help="Link large model files, or copy everything; voices are copied in either case.",
        ),
    ] = True,
    everywhere: Annotated[
        bool | None,
        typer.Option(
            "--listen-everywhere/--local-only",
            help="Let other machines reach the server, as V2 did, or only this one.",
            show_default="asked on a terminal, else as it is here",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    home: HomeOption = None,
) -> None:
    """Take over settings, voices and models of AllTalk V2. Can be run again at any time."""
    v2, ours = V2Folder.at(folder), Home.find(home)
    if not yes and sys.stdin.isatty():
        typer.confirm(f"Take over {v2.root} into {ours.root}?", default=True, abort=True)
        everywhere = _ask_where(ours) if everywhere is None else everywhere
    host = None if everywhere is None else (EVERYWHERE if everywhere else LOCAL)
    console = Console(soft_wrap=True, highlight=False)
    items = []
    with console.status("Moving in") as status:
        for item in adopted(v2, ours, link=link, host=host):
            status.update(Text(f"Moving in: {item.name}"))  # a name may hold [marks]
            items.append(item)
    for line in report(items):
        console.print(line, markup=False)


def report(items: Sequence[Adopted]) -> list[str]:
    """What was taken, as lines for people: counts of files, each setting, and all that was not."""
    lines = []
    for part, title in TITLES.items():
        counts = Counter(item.outcome for item in items if item.part == part)
        lines.append(f"{title}: {counts['taken']} taken, {counts['same']} here already")
        if part == "settings":
            lines += _each(items, "taken", part)
    for outcome, title in (("kept", "Kept as it is here:"), ("left", "Left in the V2 folder:")):
        if named := _each(items, outcome):
            lines += [title, *named]
    return lines


def _each(items: Sequence[Adopted], outcome: str, part: str | None = None) -> list[str]:
    return [
        f"  {item.name}: {item.detail}"
        for item in items
        if item.outcome == outcome and part in (None, item.part)
    ]


def _ask_where(home: Home) -> bool | None:
    """The user's answer; None where the settings here already let other machines in."""
    if ConfigStore(home).current.server.host not in LOOPBACK:
        return None
    return typer.confirm(
        "V2 answered every machine on the network; AllTalk answers only this one unless told. "
        "Let other machines in?",
        default=False,
    )
