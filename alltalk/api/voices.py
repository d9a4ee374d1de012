"""What can be spoken with, and converted to."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from alltalk.api.body import FORM, documented, form_fields, validated
from alltalk.api.deps import ServiceDep
from alltalk.api.json import JSONResponse
from alltalk.api.schemas import VoiceToRvcForm, is_no_conversion
from alltalk.errors import Unsupported

router = APIRouter(tags=["AllTalk V2: status"])

NO_VOICES = "No Voices Found"
"""What V2 lists where there is none. Sent back, it means the default voice."""


@router.get("/api/voices", summary="List voices")
async def voices(service: ServiceDep) -> Response:
    """The voices of the current engine; never an empty list, which some clients cannot read."""
    names = [each.name for each in service.voices()] or [NO_VOICES]
    return JSONResponse({"status": "success", "voices": names})


@router.get("/api/rvcvoices", summary="List voices to convert to")
async def rvcvoices() -> Response:
    """`Disabled` first. Some clients read `rvcvoices`, others `voices`."""
    names = ["Disabled"]
    return JSONResponse({"status": "success", "rvcvoices": names, "voices": names})


@router.post(
    "/api/voice2rvc",
    openapi_extra=documented(VoiceToRvcForm, *FORM),
    summary="Convert a recording to an RVC voice",
)
async def voice2rvc(http: Request) -> Response:
    """Not available yet; `Disabled` is answered as in V2."""
    form = validated(VoiceToRvcForm, await form_fields(http))
    if is_no_conversion(form.pth_name):
        message = "No RVC voice was chosen, so there is nothing to convert to."
        return JSONResponse({"status": "error", "message": message})
    raise Unsupported("This version cannot convert voices; choose `Disabled`.")
