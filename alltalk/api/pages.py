"""The landing page at `/` and `/settings`."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response

router = APIRouter(include_in_schema=False)

_LANDING = Path(__file__).with_name("landing.html")


@router.get("/")
@router.head("/")
@router.get("/settings")
async def landing() -> Response:
    """What this server is, with pickers for its engine and model, and a form to try it."""
    return landing_page()


def landing_page() -> Response:
    """A page without outside assets; what it shows, it asks the API for."""
    return HTMLResponse(_LANDING.read_bytes())
