"""The catalogue of models: what can be installed, how far it is, and removing it again."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from alltalk.api.body import documented, json_fields, validated
from alltalk.api.json import JSONResponse
from alltalk.api.keys import role_of
from alltalk.errors import Forbidden
from alltalk.keys import Role
from alltalk.models import Installs, InstallState, InstallView, ListedModel

router = APIRouter(tags=["Models"])


async def installs_of(http: HTTPConnection) -> Installs:
    """The installations of the server."""
    installs: Installs = http.app.state.installs
    return installs


InstallsDep = Annotated[Installs, Depends(installs_of)]


async def admin(http: HTTPConnection) -> None:
    """Refuse whoever may not fill the disk, or empty it."""
    if role_of(http.scope) < Role.ADMIN:
        raise Forbidden(
            "This takes an API key with the role admin, or a program on the server's own machine "
            "while no key is set."
        )


class Agreement(BaseModel):
    """How a model is to be installed."""

    model_config = ConfigDict(extra="forbid")
    agreed: bool = False
    """To the model's `terms`, where it has any."""


@router.get("/v1/catalogue", summary="List the models that can be installed")
async def list_catalogue(installs: InstallsDep, engine: str = "", language: str = "") -> Response:
    """Those of an engine, or all; that speak a language, or any; and how much of each is here."""
    listed = await installs.catalogue.list(engine)
    problems = (await installs.catalogue.read()).problems
    data = [
        _shown(each, installs.view(each.entry.key))
        for each in listed
        if each.entry.speaks(language)
    ]
    return JSONResponse({"object": "list", "data": data, "problems": dict(problems)})


@router.post(
    "/v1/catalogue/{engine}/{name}",
    openapi_extra=documented(Agreement, "application/json"),
    dependencies=[Depends(admin)],
    summary="Install a model",
    status_code=202,
)
async def install(engine: str, name: str, http: Request, installs: InstallsDep) -> Response:
    """Begin, and answer at once; the list tells how it goes. What has arrived before is used."""
    wish = validated(Agreement, await json_fields(http) if await http.body() else {})
    entry = await installs.start(f"{engine}/{name}", agreed=wish.agreed)
    return JSONResponse({"id": entry.key, "status": "installing"}, 202)


@router.delete(
    "/v1/catalogue/{engine}/{name}",
    dependencies=[Depends(admin)],
    summary="Remove a model, or stop its installation",
)
async def remove(engine: str, name: str, installs: InstallsDep) -> Response:
    """While it is being installed that is stopped, and what has arrived is kept."""
    entry = (await installs.catalogue.read()).find(f"{engine}/{name}")
    view = installs.view(entry.key)
    if view is not None and view.state is InstallState.RUNNING:
        await installs.stop(entry.key)
        return JSONResponse({"id": entry.key, "status": "stopped"})
    await installs.remove(entry.key)
    return JSONResponse({"id": entry.key, "status": "removed"})


def _shown(listed: ListedModel, view: InstallView | None) -> dict[str, Any]:
    entry = listed.entry
    return {
        "id": entry.key,
        "object": "catalogue.model",
        "engine": entry.group,
        "name": entry.name,
        "description": entry.description,
        "languages": list(entry.languages),
        "licence": entry.licence,
        "licence_url": entry.licence_url,
        "terms": entry.terms,
        "recommended": entry.recommended,
        "size": entry.size,
        "state": listed.state.value,
        "needs_environment": listed.needs_environment,
        "installation": None if view is None else _without_key(asdict(view)),
    }


def _without_key(view: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in view.items() if name != "key"}
