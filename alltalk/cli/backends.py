"""`alltalk backends`: the backends of a server that runs, over its backends API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

from alltalk.cli.options import HomeOption
from alltalk.config_store import ConfigStore
from alltalk.errors import AllTalkError, BadInput, BadValue, Forbidden, NotReady, Unauthorized
from alltalk.home import Home

app = typer.Typer(help="Backends of a running server: the engines it speaks with.")

PATIENCE_S = 60.0
"""A change waits for those who speak on the backend."""

Id = Annotated[int, typer.Argument(metavar="ID", help="As `list` tells it.", show_default=False)]
OneOrAll = Annotated[
    int | None, typer.Argument(metavar="[ID]", help="Which one.", show_default="all")
]
Changes = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME=VALUE]...", help="Settings, as `types` lists them."),
]
TitleOption = Annotated[str | None, typer.Option(help="What it is called in listings.")]


@dataclass(frozen=True, slots=True)
class Server:
    """A server's backends API. Raises NotReady when nobody answers there."""

    url: str
    key: str

    def call(self, route: str, **fields: Any) -> dict[str, Any]:
        """The answer of one call, in a session of its own. Raises what the server refuses."""
        session = self._post("GetNewSession", {})
        return self._post(route, {**fields, "session_id": session["session_id"]})

    def _post(self, route: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        import httpx  # takes a while, and `alltalk --help` needs none

        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        try:
            answer = httpx.post(
                f"{self.url}/API/{route}", json=fields, headers=headers, timeout=PATIENCE_S
            )
            content = answer.json()
        except httpx.ReadTimeout:
            raise NotReady(f"{self.url} has not answered for {PATIENCE_S:g} s.") from None
        except httpx.HTTPError as error:
            raise NotReady(f"No server answers at {self.url}: {error}.") from error
        except (httpx.InvalidURL, ValueError) as error:
            raise BadValue("--url", f"{self.url} is no AllTalk server.") from error
        if not isinstance(content, dict) or not (answer.is_success or "error" in content):
            raise BadValue("--url", f"{self.url} is no AllTalk server.")
        if "error" in content:
            raise _refusal(content, answer.status_code)
        return content


@app.callback()
def _connect(
    context: typer.Context,
    url: Annotated[
        str | None,
        typer.Option(
            envvar="ALLTALK_URL",
            help="Address of the server.",
            show_default="this machine's, at the configured port",
        ),
    ] = None,
    key: Annotated[
        str, typer.Option(envvar="ALLTALK_API_KEY", help="API key, where the server asks for one.")
    ] = "",
    home: HomeOption = None,
) -> None:
    if url is None:
        url = f"http://127.0.0.1:{ConfigStore(Home.find(home)).current.port}"
    context.obj = Server(url.rstrip("/"), key)


@app.command("list")
def list_backends(context: typer.Context) -> None:
    """List the backends; `*` marks the one that V2's routes mean."""
    answer = _server(context).call("ListBackends", full_data=True)
    head = ("", "ID", "TYPE", "MODEL", "STATUS", "IN USE", "LAST USED", "TITLE")
    _print_table([head, *(_row(backend) for backend in answer.values())])
    for backend in answer.values():
        if backend["problem"]:
            print(f"\n{backend['id']}: {backend['problem']}")


@app.command()
def types(
    context: typer.Context,
    type_id: Annotated[str | None, typer.Argument(metavar="[TYPE]", show_default=False)] = None,
) -> None:
    """List the types there are, or what a backend of TYPE can be set to."""
    kinds = {each["id"]: each for each in _server(context).call("ListBackendTypes")["list"]}
    if type_id is None:
        _print_table([("TYPE", "NAME"), *((id, kind["name"]) for id, kind in kinds.items())])
        return
    if type_id not in kinds:
        raise BadValue("TYPE", f"there is no {type_id!r}; there are {', '.join(kinds)}.")
    head = ("SETTING", "TYPE", "DEFAULT", "MEANING")
    _print_table([head, *(_setting_row(each) for each in kinds[type_id]["settings"])])


@app.command()
def add(
    context: typer.Context,
    type_id: Annotated[str, typer.Argument(metavar="TYPE", help="As `types` lists them.")],
    changes: Changes = None,
    title: TitleOption = None,
) -> None:
    """Add a backend and print its id; it loads in the background."""
    server, settings = _server(context), _settings(changes)
    id = server.call("AddNewBackend", type_id=type_id)["id"]
    if settings or title is not None:
        try:
            server.call("EditBackend", backend_id=id, title=title, settings=settings)
        except AllTalkError:
            server.call("DeleteBackend", backend_id=id)
            raise
    print(id)


@app.command()
def edit(
    context: typer.Context,
    id: Id,
    changes: Changes = None,
    title: TitleOption = None,
    new_id: Annotated[int, typer.Option(min=-1, help="The id it shall have.")] = -1,
) -> None:
    """Change a backend's settings; others stay. It is loaded again once nobody speaks on it."""
    fields = {"title": title, "settings": _settings(changes), "new_id": new_id}
    _server(context).call("EditBackend", backend_id=id, **fields)


@app.command()
def toggle(
    context: typer.Context, id: Id, state: Annotated[Literal["on", "off"], typer.Argument()]
) -> None:
    """Enable or disable a backend."""
    answer = _server(context).call("ToggleBackend", backend_id=id, enabled=state == "on")
    print(answer["result"])


@app.command()
def restart(context: typer.Context, id: OneOrAll = None) -> None:
    """Load a backend again, or all that are enabled. Prints how many."""
    print(_server(context).call("RestartBackends", backend=_which(id))["count"])


@app.command()
def free(context: typer.Context, id: OneOrAll = None) -> None:
    """Free the memory of a backend, or of all, where nobody speaks. Prints how many did."""
    print(_server(context).call("FreeBackendMemory", backend=_which(id))["count"])


@app.command()
def remove(context: typer.Context, id: Id) -> None:
    """Remove a backend; those who speak on it are heard to their end."""
    print(_server(context).call("DeleteBackend", backend_id=id)["result"])


@app.command()
def use(context: typer.Context, id: Id) -> None:
    """Make a backend the current one: V2's routes, and requests without an engine, mean it."""
    _server(context).call("MakeBackendCurrent", backend_id=id)


def _server(context: typer.Context) -> Server:
    server: Server = context.obj
    return server


def _refusal(content: Mapping[str, Any], status: int) -> AllTalkError:
    """What the server said, as the error that stands for it here."""
    message, error_id = str(content["error"]), content.get("error_id")
    if status == 401:
        return Unauthorized(message)
    if status == 403 or error_id == "bad_permissions":
        return Forbidden(message)
    return AllTalkError(message) if error_id else BadInput(message)


def _settings(changes: Sequence[str] | None) -> dict[str, str]:
    """What is written NAME=VALUE; the server reads the values by their types."""
    settings = {}
    for change in changes or ():
        name, equals, value = change.partition("=")
        if not equals or not name:
            raise BadValue("NAME=VALUE", f"{change!r} has no name and `=`.")
        settings[name] = value
    return settings


def _which(id: int | None) -> int | str:
    return "all" if id is None else id


def _row(backend: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        "*" if backend["current"] else "",
        str(backend["id"]),
        backend["type"],
        backend["current_model"],
        "resting" if backend["resting"] else backend["status"],
        f"{backend['usages']}/{backend['max_usages']}",
        backend["time_since_used"],
        backend["title"],
    )


def _setting_row(setting: Mapping[str, Any]) -> tuple[str, ...]:
    choices = ", ".join(filter(None, setting["values"] or ()))
    meaning = setting["description"] + (f" One of: {choices}." if choices else "")
    return setting["name"], setting["type"], setting["placeholder"], meaning


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they need; nothing is cut, so that a pipe gets all of it."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
