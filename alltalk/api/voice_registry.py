"""The voice registry: upload, list, hear, change and delete voices."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from alltalk.api.body import documented, form_fields, validated
from alltalk.api.deps import ServiceDep, StudioDep, TicketDep
from alltalk.api.disconnect import unless_disconnected
from alltalk.api.json import JSONResponse
from alltalk.api.uploads import read_form
from alltalk.engine import Voice
from alltalk.errors import BadInput, NotFound, Unsupported
from alltalk.service import SpeechService
from alltalk.speech import FORMATS, SpeechRequest
from alltalk.studio import PREVIEW, not_heard
from alltalk.voices import TRANSCRIPT_CHARS, NewVoice, find_voice

router = APIRouter(tags=["Voices"])

LanguageTag = Annotated[str, Field(pattern=r"^([A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*)?$")]


class NewVoiceForm(BaseModel):
    """Fields of an upload. Every file of the form is a clip; several are a set of one speaker."""

    name: str = ""
    """Empty: that of the first file."""
    language: LanguageTag = ""
    transcript: Annotated[str, Field(max_length=TRANSCRIPT_CHARS)] = ""
    """What is said in the first clip."""
    overwrite: bool = False


class VoiceChanges(BaseModel):
    """What is to be changed of a voice; what is not sent stays."""

    name: str = ""
    transcript: Annotated[str, Field(max_length=TRANSCRIPT_CHARS)] | None = None
    """What is said in the first clip; empty: nobody knows."""


@router.get("/v1/voices", summary="List voices with their details")
async def list_voices(service: ServiceDep, studio: StudioDep) -> Response:
    """The current engine's voices, sorted by name, and which one speaks where none is asked for."""
    voices = sorted(service.voices(), key=lambda voice: voice.name)
    data = [_described(voice, studio.folder) for voice in voices]
    return JSONResponse({"object": "list", "data": data, "default": service.default_voice()})


@router.post(
    "/v1/voices",
    openapi_extra=documented(NewVoiceForm, "multipart/form-data"),
    summary="Upload a voice",
)
async def add_voice(http: Request, service: ServiceDep, studio: StudioDep) -> Response:
    """Stores the clips once they are checked; tells what better ones would not have."""
    async with read_form(http, studio) as form:
        fields = validated(NewVoiceForm, {k: v for k, v in form.fields.items() if v != ""})
        new = NewVoice(
            name=fields.name or (form.uploads[0].name if form.uploads else ""),
            clips=[(each.name, each.file) for each in form.uploads],
            language=fields.language.lower(),
            transcript=fields.transcript,
            overwrite=fields.overwrite,
        )
        added = await unless_disconnected(http, studio.add(new))
    unheard = not_heard(added.voice, service.voices())
    warnings = [*added.warnings, *([unheard] if unheard else [])]
    return JSONResponse({**_described(added.voice, studio.folder), "warnings": warnings})


@router.get("/v1/voices/{id:path}/preview", summary="Hear a voice")
async def preview_voice(id: str, http: Request, service: ServiceDep, ticket: TicketDep) -> Response:
    """The same sentence for every voice, as a wav."""
    request = SpeechRequest(PREVIEW, voice=_known(id, service).name, format=FORMATS["wav"])
    content = await unless_disconnected(http, service.whole(request, ticket))
    return Response(content, media_type=request.format.content_type)


@router.get("/v1/voices/{id:path}", summary="Describe a voice")
async def retrieve_voice(id: str, service: ServiceDep, studio: StudioDep) -> Response:
    """One entry of the list."""
    return JSONResponse(_described(_known(id, service), studio.folder))


@router.patch(
    "/v1/voices/{id:path}",
    openapi_extra=documented(VoiceChanges, "application/json", "multipart/form-data"),
    summary="Change a voice",
)
async def change_voice(id: str, http: Request, service: ServiceDep, studio: StudioDep) -> Response:
    """The voice under its new name, with its new transcript. Voices of an engine stay as they are.

    What is refused changes nothing.
    """
    _refuse_built_in(id, service)
    sent = validated(VoiceChanges, await form_fields(http, keep_empty=("transcript",)))
    if not sent.name and sent.transcript is None:
        raise BadInput("There is nothing to change: send a name, a transcript, or both.")
    changed = await studio.change(id, to=sent.name, transcript=sent.transcript)
    return JSONResponse(_described(changed, studio.folder))


@router.delete("/v1/voices/{id:path}", summary="Delete a voice")
async def delete_voice(id: str, service: ServiceDep, studio: StudioDep) -> Response:
    """Deletes its clips. Voices of an engine stay."""
    _refuse_built_in(id, service)
    removed = await studio.remove(id)
    return JSONResponse({"id": removed.name, "object": "voice", "deleted": True})


@router.post("/admin/reload-voices", summary="Read voices.json and the voices folder anew")
async def reload_voices(studio: StudioDep) -> Response:
    """What can be cloned from, and what is named or there and cannot."""
    done = await studio.reload()
    found = {"loaded": done.loaded, "failed": done.failed, "total": len(done.loaded)}
    return JSONResponse({"status": "ok", **found})


def _described(voice: Voice, folder: Path) -> dict[str, Any]:
    """`voice` as an object; `wav_path` of its first clip, relative to the voices folder."""
    clip = voice.clips[0] if voice.clips else None
    return {
        "id": voice.name,
        "object": "voice",
        "name": voice.name,
        "language": voice.language,
        "wav_path": clip.relative_to(folder).as_posix() if clip else None,
        "transcript": voice.transcript,
    }


def _known(id: str, service: SpeechService) -> Voice:
    """The current engine's voice `id`. Raises NotFound."""
    voice = find_voice(id, {voice.name: voice for voice in service.voices()})
    if voice is None:
        raise NotFound(f"There is no voice {id[:80]!r}.")
    return voice


def _refuse_built_in(id: str, service: SpeechService) -> None:
    """A clip may be called like a voice of the engine, but for its suffix."""
    if any(voice.name == id and not voice.clips for voice in service.voices()):
        raise Unsupported(f"{id!r} is part of its engine; only voices of your own can be changed.")
