"""`/api/tts-generate-streaming`: sound while it is being spoken."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from alltalk.api.body import FORM, documented, form_fields, validated
from alltalk.api.deps import ServiceDep, TicketDep
from alltalk.api.disconnect import StreamedResponse, started, unless_disconnected
from alltalk.api.json import JSONResponse
from alltalk.api.keys import signed_path
from alltalk.api.schemas import StreamingFields, stream_format, stream_stem
from alltalk.errors import BadValue, Unsupported
from alltalk.home import safe_name
from alltalk.service import SpeechService
from alltalk.speech import SpeechRequest, Ticket

router = APIRouter(tags=["AllTalk V2: speech"])

HEADERS_AFTER_S = 1.0
"""One client gives up when the headers are not there after two seconds."""


@router.get("/tts-demo-request", include_in_schema=False)
@router.get("/api/tts-generate-streaming", summary="Speak a text as a growing wav")
async def stream(
    http: Request,
    query: Annotated[StreamingFields, Query()],
    service: ServiceDep,
    ticket: TicketDep,
) -> Response:
    """Playable by `<audio src>` while it grows; kept as `output_file` once it was heard whole."""
    request = _request(query, service)
    return await answer_stream(http, service, request, ticket, keep_as=query.output_file)


@router.post("/tts-demo-request", include_in_schema=False)
@router.post(
    "/api/tts-generate-streaming",
    openapi_extra=documented(StreamingFields, *FORM),
    summary="Speak a text into a named file, or as a stream",
)
async def stream_to_file(http: Request, service: ServiceDep, ticket: TicketDep) -> Response:
    """As V2: does not stream, but answers when the file `output_file` is complete. A client that
    accepts `audio/…` gets the stream."""
    fields = validated(StreamingFields, await form_fields(http))
    request = _request(fields, service)
    if "audio/" in http.headers.get("accept", ""):
        return await answer_stream(http, service, request, ticket, keep_as=fields.output_file)
    name = _file_name(fields.output_file, request)
    saved = await unless_disconnected(http, service.render(request, ticket, name))
    return JSONResponse(
        {
            "output_file_path": fields.output_file,
            "output_file_url": signed_path(http, f"/audio/{saved.path.name}"),
            "output_cache_url": signed_path(http, f"/audiocache/{saved.path.name}"),
        }
    )


async def answer_stream(
    http: Request,
    service: SpeechService,
    request: SpeechRequest,
    ticket: Ticket,
    *,
    keep_as: str | None,
) -> Response:
    """The sound of `request` while it is spoken, kept under the name `keep_as` where there is one.

    What is wrong with the request is raised before the headers. They wait for the first sound, but
    not for longer than the most impatient client does.
    """
    if service.config.speech.strict_streaming and not service.status().capabilities.streaming:
        raise Unsupported("Invalid value: Streaming not supported by current TTS engine")
    if keep_as is None:
        sound = service.encoded(request, ticket)
    else:
        sound = service.kept(request, ticket, _file_name(keep_as, request))
    begun = await unless_disconnected(http, started(sound, HEADERS_AFTER_S))
    return StreamedResponse(begun, request.format.content_type)


def _request(fields: StreamingFields, service: SpeechService) -> SpeechRequest:
    format = stream_format(fields.format)
    return fields.to_request(service.config, service.engine_settings(), format)


def _file_name(sent: str, request: SpeechRequest) -> str:
    """The file's name in the outputs folder. Raises BadValue, UnsafeName."""
    if not (stem := stream_stem(sent)):
        raise BadValue("output_file", "must name a file")
    return safe_name(stem + request.format.suffix)
