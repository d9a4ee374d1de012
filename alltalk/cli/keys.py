"""`alltalk keys`: who may use the server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from alltalk.cli.options import HomeOption
from alltalk.config_store import ConfigStore
from alltalk.home import Home
from alltalk.keys import ApiKey, RoleName, new_key, with_key, without_key

app = typer.Typer(help="API keys: who may use the server. Without any, everybody may.")

_Name = Annotated[str, typer.Argument(help="Whose key it is: A-Z a-z 0-9 _ -.")]


@app.command()
def add(
    name: _Name,
    role: Annotated[
        RoleName,
        typer.Option(help="user: speak; power: also restart backends; admin: everything."),
    ] = "user",
    home: HomeOption = None,
) -> None:
    """Make a key and print it. It is shown this once; only its hash is kept."""
    key = new_key()
    _edit(home, lambda keys: with_key(keys, name, key, role))
    print(key)


@app.command("list")
def list_keys(home: HomeOption = None) -> None:
    """List the keys, a line each: name, tab, role."""
    for key in ConfigStore(Home.find(home)).current.server.api_keys:
        print(f"{key.name}\t{key.role}")


@app.command()
def remove(name: _Name, home: HomeOption = None) -> None:
    """Remove a key: what it opened is closed from then on."""
    _edit(home, lambda keys: without_key(keys, name))


def _edit(home: Path | None, edited: Callable[[Sequence[ApiKey]], Sequence[ApiKey]]) -> None:
    """Change the keys that are there by then: the server may have changed them meanwhile."""
    ConfigStore(Home.find(home)).edit(
        lambda config: {"server.api_keys": [asdict(key) for key in edited(config.server.api_keys)]}
    )
