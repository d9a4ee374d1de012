"""What can be spoken with."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from alltalk.api.deps import ServiceDep
from alltalk.api.json import JSONResponse

router = APIRouter(tags=["AllTalk V2: status"])

NO_VOICES = "No Voices Found"
"""What V2 lists where there is none. Sent back, it means the default voice."""


@router.get("/api/voices", summary="List voices")
async def voices(service: ServiceDep) -> Response:
    """The voices of the current engine; never an empty list, which some clients cannot read."""
    names = [each.name for each in service.voices()] or [NO_VOICES]
    return JSONResponse({"status": "success", "voices": names})
