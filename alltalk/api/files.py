"""Finished files: `/audio/…` and `/audiocache/…`."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from alltalk.api.deps import ServiceDep
from alltalk.api.served import ServedFile
from alltalk.service import SpeechService
from alltalk.speech import FORMATS

router = APIRouter(tags=["AllTalk V2: files"])

_CONTENT_TYPES = {each.suffix: each.content_type for each in FORMATS.values()}


@router.get("/audio/{name}", summary="Fetch a finished file")
@router.get("/api/audio/{name}", include_in_schema=False)
@router.head("/audio/{name}", include_in_schema=False)
async def audio(name: str, service: ServiceDep) -> Response:
    """The file, with Range support; 404 when there is none of that name."""
    # Fixed names are written again, so a copy is asked about before it is used.
    return await _served(service, name, {"Cache-Control": "no-cache"})


@router.get("/audiocache/{name}", summary="Download a finished file")
@router.head("/audiocache/{name}", include_in_schema=False)
async def audiocache(name: str, service: ServiceDep) -> Response:
    """The file as a download that browsers may keep for a week."""
    headers = {
        "Cache-Control": "public, max-age=604800",
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    return await _served(service, name, headers)


async def _served(service: SpeechService, name: str, headers: dict[str, str]) -> Response:
    """Raises NotFound."""
    lane = service.lane()
    file, done = await lane.run(service.outputs.open, name)
    suffix = name[name.rindex(".") :].lower()
    media_type = _CONTENT_TYPES.get(suffix, "audio/ogg")
    return ServedFile(file, lane, media_type=media_type, headers=headers, done=done)
