"""Whether the server can speak, how it is doing, and its numbers for Prometheus."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response

from alltalk import __version__
from alltalk.api.deps import ServiceDep
from alltalk.api.json import JSONResponse
from alltalk.metrics import CONTENT_TYPE, Metrics
from alltalk.service import SpeechService

router = APIRouter(tags=["Operations"])


@router.get("/api/ready", summary="Ready or Unloaded")
async def ready(service: ServiceDep) -> Response:
    """`Ready` while the current engine can speak; clients compare the bare word."""
    return PlainTextResponse("Ready" if service.ready else "Unloaded")


@router.get("/health", summary="How the server is doing")
@router.head("/health", include_in_schema=False)
async def health(http: Request, service: ServiceDep) -> Response:
    """200 while the current engine can speak, else 503; routers read `routing`."""
    report = health_of(service, metrics_of(http))
    return JSONResponse(report, 200 if report["engine_ready"] else 503)


@router.get("/metrics", summary="Numbers for Prometheus")
async def metrics(http: Request) -> Response:
    """Prometheus' text format."""
    return Response(metrics_of(http).text(), media_type=CONTENT_TYPE)


def metrics_of(http: HTTPConnection) -> Metrics:
    """The numbers that the application was built with."""
    metrics: Metrics = http.app.state.metrics
    return metrics


def health_of(service: SpeechService, metrics: Metrics) -> dict[str, Any]:
    """What /health says."""
    current, vitals = service.pool.current, metrics.vitals()
    view = None if current is None else service.pool.view(current.spec.id)
    speech = service.config.speech
    return {
        "status": "ok" if vitals.ready else "starting",
        "version": __version__,
        "engine": view.type if view else "",
        "model": view.current_model if view else "",
        "served_as": speech.served_model_name,
        "engine_ready": vitals.ready,
        "engine_error": (view.error if view else "There is no backend.") or None,
        "voices_loaded": sorted(each.name for each in service.voices()),
        "default_voice": speech.default_voice or _engine_default(service),
        "routing": {
            "load_score": round(vitals.load_score, 4),
            "accepts_requests": vitals.accepts_requests,
        },
        "metrics": {
            "in_flight": vitals.in_flight,
            "waiting": vitals.waiting,
            "waiting_characters": vitals.waiting_characters,
            "total_completed": vitals.completed,
            "total_errors": vitals.errors,
            "max_num_seqs": vitals.slots,
        },
    }


def node_state(service: SpeechService, metrics: Metrics) -> dict[str, Any]:
    """What routers that find this server through Redis are told; see `alltalk.presence`."""
    current, vitals = service.pool.current, metrics.vitals()
    offer = current.offer if current else None
    return {
        "load_score": round(vitals.load_score, 4),
        "accepts_requests": vitals.accepts_requests,
        "version": __version__,
        "engine": offer.engine if offer else "",
        "model": offer.model if offer else "",
    }


def _engine_default(service: SpeechService) -> str:
    """The voice of a request that names none, as far as the loaded engine says."""
    current = service.pool.current
    offer = current.offer if current else None
    return str(offer.settings.get("def_character_voice", "")) if offer else ""
