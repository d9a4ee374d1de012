"""The landing page at `/` and `/settings`."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from alltalk.api.deps import ServiceDep
from alltalk.config import Config

router = APIRouter(include_in_schema=False)

_LANDING = Path(__file__).with_name("landing.html")


@router.get("/")
@router.head("/")
@router.get("/settings")
async def landing(http: Request, service: ServiceDep) -> Response:
    """What this server is, with pickers for its engine and model, and a form to try it."""
    if http.url.path == "/" and _came_by_pages_port(http, service.config):
        return RedirectResponse("/ui/")
    return landing_page()


def _came_by_pages_port(http: Request, config: Config) -> bool:
    """True for the port at which V2 had its settings pages, and nothing else."""
    port = (http.scope.get("server") or ("", None))[1]
    return config.server.listen_gradio_port and port == config.gradio_port_number


def landing_page() -> Response:
    """A page without outside assets; what it shows, it asks the API for."""
    return HTMLResponse(_LANDING.read_bytes())
