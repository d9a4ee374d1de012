"""`alltalk keys`: who may use the server."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from alltalk.cli.options import HomeOption
from alltalk.config_store import ConfigStore
from alltalk.errors import BadValue, NotFound
from alltalk.home import Home
from alltalk.keys import ApiKey, RoleName, hashed, new_key

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
    store = ConfigStore(Home.find(home))
    keys = store.current.server.api_keys
    if any(key.name == name for key in keys):
        raise BadValue("NAME", f"there is a key of {name!r} already; remove that first.")
    key = new_key()
    try:
        added = ApiKey(name, hashed(key), role)
    except ValueError as error:
        raise BadValue("NAME", f"{error}.") from None
    _save(store, (*keys, added))
    print(key)


@app.command("list")
def list_keys(home: HomeOption = None) -> None:
    """List the keys, a line each: name, tab, role."""
    for key in ConfigStore(Home.find(home)).current.server.api_keys:
        print(f"{key.name}\t{key.role}")


@app.command()
def remove(name: _Name, home: HomeOption = None) -> None:
    """Remove a key: what it opened is closed from then on."""
    store = ConfigStore(Home.find(home))
    keys = store.current.server.api_keys
    rest = tuple(key for key in keys if key.name != name)
    if rest == keys:
        raise NotFound(f"There is no key of {name!r}.")
    _save(store, rest)


def _save(store: ConfigStore, keys: tuple[ApiKey, ...]) -> None:
    store.change({"server": {"api_keys": [asdict(key) for key in keys]}})
