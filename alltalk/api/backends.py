"""The backends API: `POST /API/…`, route names in any case, failures as 200 with `error`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from alltalk import __version__
from alltalk.api.backend_schemas import (
    AddBody,
    BackendBody,
    Body,
    EditBody,
    FreeBody,
    ListBody,
    RestartBody,
    ToggleBody,
    shown_backend,
    shown_type,
)
from alltalk.api.body import documented, json_fields, validated
from alltalk.api.deps import ServiceDep
from alltalk.api.json import JSONResponse
from alltalk.api.keys import role_of
from alltalk.api.sessions import Sessions
from alltalk.backend_types import BackendType, missing_type
from alltalk.errors import Forbidden, Unauthorized
from alltalk.keys import Role
from alltalk.service import SpeechService
from alltalk.serving.backend import BackendView, State
from alltalk.serving.backend_store import BackendSpec

router = APIRouter(prefix="/API", tags=["Backends"])

Answer = Mapping[str, Any]
Call = Callable[[SpeechService, Any], Awaitable[Answer]]


async def list_backend_types(service: SpeechService, body: Body) -> Answer:
    """The kinds of backend there are, and what each can be set to."""
    types = await service.backend_types()
    return {"list": [shown_type(each) for each in types.values()]}


async def list_backends(service: SpeechService, body: ListBody) -> Answer:
    """Every backend, under its id."""
    show = await _display(service)
    return {str(view.id): show(view, full=body.full_data) for view in service.pool.backends}


async def add_new_backend(service: SpeechService, body: AddBody) -> Answer:
    """Add a backend with its type's default settings; it loads in the background."""
    if body.type_id not in await service.backend_types():
        return {"error": f"Invalid backend type: {body.type_id[:80]}"}
    show = await _display(service)
    return show(await service.pool.add(BackendSpec(id=0, type=body.type_id)))


async def edit_backend(service: SpeechService, body: EditBody) -> Answer:
    """Change a backend once those who speak on it are done; it is loaded again."""
    show = await _display(service)
    kind = show.kind(service.pool.view(body.backend_id))
    if body.changed is None:
        return {"error": "Missing settings."}
    changes = kind.read(body.changed)
    if body.title is not None:
        changes["title"] = body.title
    if body.new_id >= 0:
        changes["id"] = body.new_id
    return show(await service.pool.edit(body.backend_id, **changes))


async def delete_backend(service: SpeechService, body: BackendBody) -> Answer:
    """Remove a backend; those who speak on it are heard to their end."""
    removed = await service.pool.remove(body.backend_id)
    return {"result": "Deleted." if removed else "Already didn't exist."}


async def toggle_backend(service: SpeechService, body: ToggleBody) -> Answer:
    """Enable or disable a backend."""
    changed = await service.pool.toggle(body.backend_id, body.enabled)
    return {"result": "Success." if changed else "No change."}


async def restart_backends(service: SpeechService, body: RestartBody) -> Answer:
    """Load backends again, one or all."""
    return {"result": "Success.", "count": await service.pool.restart(body.id)}


async def free_backend_memory(service: SpeechService, body: FreeBody) -> Answer:
    """Free the memory of backends that nobody speaks on."""
    asked = [view for view in service.pool.backends if body.id in (None, view.id)]
    eligible = any(view.status is State.RUNNING for view in asked)
    return {"result": eligible, "count": await service.free(body.id)}


async def make_current(service: SpeechService, body: BackendBody) -> Answer:
    """Have V2's routes, and requests that name no engine, mean this backend."""
    await service.pool.make_current(body.backend_id)
    return {"result": "Success."}


@router.post("/GetNewSession", summary="Begin a session")
async def get_new_session(http: Request) -> Response:
    """The id that every other call here wants."""
    return JSONResponse(
        {
            "session_id": _sessions(http).new(),
            "user_id": "local",
            "output_append_user": False,
            "version": __version__,
            "server_id": http.app.state.server_id,
        }
    )


class InvalidSession(Unauthorized):
    """No session of that id was handed out."""

    def __init__(self) -> None:
        super().__init__("Invalid session ID. Ask GetNewSession for one.")


_CALLS: Mapping[str, tuple[Call, type[Body], Role]] = {
    "ListBackendTypes": (list_backend_types, Body, Role.POWER),
    "ListBackends": (list_backends, ListBody, Role.POWER),
    "AddNewBackend": (add_new_backend, AddBody, Role.ADMIN),
    "EditBackend": (edit_backend, EditBody, Role.ADMIN),
    "DeleteBackend": (delete_backend, BackendBody, Role.ADMIN),
    "ToggleBackend": (toggle_backend, ToggleBody, Role.ADMIN),
    "RestartBackends": (restart_backends, RestartBody, Role.POWER),
    "FreeBackendMemory": (free_backend_memory, FreeBody, Role.POWER),
    "MakeBackendCurrent": (make_current, BackendBody, Role.ADMIN),
}
"""Route → what it does, what it takes, who may: the API's permissions, as roles of callers."""


def _route(name: str, call: Call, model: type[Body], role: Role) -> None:
    async def endpoint(http: Request, service: ServiceDep) -> Response:
        fields = await json_fields(http) if await http.body() else {}
        if not _sessions(http).knows(_session(http, fields)):
            raise InvalidSession
        _require(http, role)
        return JSONResponse(await call(service, validated(model, fields)))

    router.add_api_route(
        f"/{name}",
        endpoint,
        methods=["POST"],
        name=name,
        summary=(call.__doc__ or "").partition(".")[0],
        openapi_extra=documented(model, "application/json"),
    )


for _name, (_call, _model, _right) in _CALLS.items():
    _route(_name, _call, _model, _right)


class AnyCase:
    """Finds the routes of this API however their names are written."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        names = ("GetNewSession", *_CALLS)
        self._paths = {f"/api/{name.lower()}": f"/API/{name}" for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with the name as it is declared."""
        if scope["type"] == "http" and scope["path"].startswith("/API/"):
            path = self._paths.get(scope["path"].lower().rstrip("/"), scope["path"])
            scope = {**scope, "path": path}
        await self._app(scope, receive, send)


def _session(http: Request, fields: Mapping[str, Any]) -> str:
    return str(fields.get("session_id") or http.headers.get("x-session-id", ""))


def _sessions(http: Request) -> Sessions:
    sessions: Sessions = http.app.state.sessions
    return sessions


def _require(http: Request, role: Role) -> None:
    if role_of(http.scope) < role:
        raise Forbidden(f"This call needs an API key of role {role.name.lower()}.")


@dataclass(frozen=True, slots=True)
class _Display:
    """Backends as this API shows them, by the types there were when it was made."""

    service: SpeechService
    types: Mapping[str, BackendType]

    def __call__(self, view: BackendView, *, full: bool = False) -> dict[str, Any]:
        return shown_backend(view, self.service.pool.spec(view.id), self.kind(view), full=full)

    def kind(self, view: BackendView) -> BackendType:
        """What it can be set to."""
        return self.types.get(view.type) or missing_type(view.type)


async def _display(service: SpeechService) -> _Display:
    return _Display(service, await service.backend_types())
