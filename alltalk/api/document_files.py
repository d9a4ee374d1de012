"""What is spoken of a document, as sound, and as subtitles."""

from __future__ import annotations

from typing import BinaryIO, cast
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from alltalk.api.deps import LongTextsDep, ServiceDep
from alltalk.api.disconnect import unless_disconnected
from alltalk.api.served import ServedFile
from alltalk.documents import ExportFormat

router = APIRouter(tags=["Long texts"])

_SUBTITLE_TYPES = {"srt": "application/x-subrip", "vtt": "text/vtt"}


@router.get("/v1/documents/{id}/audio", summary="Hear a document")
@router.head("/v1/documents/{id}/audio", include_in_schema=False)
async def document_audio(
    id: str, texts: LongTextsDep, service: ServiceDep, start: int | None = None
) -> Response:
    """What is spoken so far, from the line of id `start` on, as one wav; any part of it by Range.

    Nothing is made for it: the lines' own files are read in turn.
    """
    sound = await texts.sound(id, start)
    return ServedFile(
        cast(BinaryIO, sound),
        service.lane(),
        media_type="audio/wav",
        headers={"Cache-Control": "no-cache"},
        done=lambda: None,
        size=sound.size,
        tag=sound.digest,
    )


@router.get("/v1/documents/{id}/lines/{line}/audio", summary="Hear one line")
@router.head("/v1/documents/{id}/lines/{line}/audio", include_in_schema=False)
async def line_audio(id: str, line: int, texts: LongTextsDep, service: ServiceDep) -> Response:
    """As a wav; 404 until it has been spoken."""
    file = await texts.piece(id, line)
    headers = {"Cache-Control": "no-cache"}
    return ServedFile(
        file, service.lane(), media_type="audio/wav", headers=headers, done=lambda: None
    )


@router.get("/v1/documents/{id}/export/{format}", summary="Take a document away")
async def export_document(
    id: str,
    format: str,
    http: Request,
    texts: LongTextsDep,
    service: ServiceDep,
    leave_out: bool = False,
) -> Response:
    """All lines in one file: wav, mp3, flac, or m4b with chapters; or srt and vtt subtitles.

    400 names the lines that are not spoken yet, unless `leave_out` leaves them out. Made at the
    first call, which may take minutes for a book; kept until something changes.
    """
    title = (await texts.open(id)).document.title
    headers = {"Content-Disposition": attachment(title, format.lower())}
    if kind := _SUBTITLE_TYPES.get(format.lower()):
        content = await texts.subtitles(id, format.lower(), leave_out=leave_out)
        return Response(content.encode(), media_type=f"{kind}; charset=utf-8", headers=headers)
    chosen = ExportFormat.named(format)
    file = await unless_disconnected(http, texts.exported(id, chosen, leave_out=leave_out))
    return ServedFile(
        file,
        service.lane(),
        media_type=chosen.content_type,
        headers=headers,
        done=lambda: None,
    )


def attachment(title: str, suffix: str) -> str:
    """A Content-Disposition under which the file is saved as `title` (RFC 6266)."""
    name = "".join("_" if c in '/\\:<>"|?*' or not c.isprintable() else c for c in title)
    name = f"{name[:100].strip(' .') or 'document'}.{suffix}"
    plain = name.encode("ascii", "replace").decode().replace("?", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
