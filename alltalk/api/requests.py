"""What is being spoken and what waits; stopping it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from alltalk.api.deps import ServiceDep, TicketDep
from alltalk.api.json import JSONResponse
from alltalk.api.keys import role_of
from alltalk.errors import NotFound
from alltalk.keys import Role
from alltalk.serving.requests import RequestView

router = APIRouter(tags=["Requests"])


@router.get("/api/requests", summary="List what waits and is being spoken")
async def list_requests(http: Request, service: ServiceDep, ticket: TicketDep) -> Response:
    """Oldest first. Who is no admin sees its own: an id is the right to cancel."""
    sees_all = role_of(http.scope) is Role.ADMIN
    views = [view for view in service.requests if sees_all or view.client == ticket.client]
    return JSONResponse({"requests": [_shown(view) for view in views]})


@router.delete("/api/requests/{id}", summary="Stop one request")
async def cancel_request(id: str, service: ServiceDep) -> Response:
    """Its caller gets 499; the engine is free within one chunk. Who knows the id may."""
    if not service.requests.cancel(id):
        raise NotFound(f"There is no request {id[:64]!r}; it may have ended.")
    return JSONResponse({"status": "success", "message": "Cancelled.", "id": id})


@router.put("/api/stop-generation", summary="Stop the caller's own requests")
async def stop_generation(
    http: Request, service: ServiceDep, ticket: TicketDep, request_id: str | None = None
) -> Response:
    """Those of the same API key, else of the same address; `request_id` narrows to one."""
    stopped = service.requests.cancel_client(ticket.client, request_id)
    return JSONResponse({"message": "Cancelling current TTS generation", "cancelled": stopped})


def _shown(view: RequestView) -> dict[str, Any]:
    return {**asdict(view), "age_s": round(view.age_s, 3), "progress": round(view.progress, 3)}
