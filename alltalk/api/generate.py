"""`POST /api/tts-generate` and `/api/previewvoice`: text in, a file and its addresses out."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from alltalk.api.body import FORM, documented, form_fields, validated
from alltalk.api.deps import AutoplayDep, ServiceDep, TicketDep
from alltalk.api.disconnect import unless_disconnected
from alltalk.api.json import JSONResponse
from alltalk.api.keys import signed_path
from alltalk.api.schemas import PreviewForm, TtsGenerateForm, stream_format, stream_rate
from alltalk.api.streaming import answer_stream
from alltalk.config import Config

router = APIRouter(tags=["AllTalk V2: speech"])


@router.post(
    "/api/tts-generate",
    openapi_extra=documented(TtsGenerateForm, *FORM),
    summary="Speak a text into a file",
)
async def tts_generate(
    http: Request, service: ServiceDep, ticket: TicketDep, autoplay: AutoplayDep
) -> Response:
    """Answers when the file is complete, with its path and addresses; or with the sound itself,
    while it is made, where `streaming` is true."""
    config = service.config
    form = validated(TtsGenerateForm, await form_fields(http))
    form = form.filled(config, service.engine_settings())
    if form.streaming:
        format = stream_format(form.format)
        request = form.to_request(format, stream_rate(format))
        return await answer_stream(http, service, request, ticket, keep_as=None)
    request = form.to_request(config.file_format)
    name = service.outputs.name(
        form.file_stem,
        timestamp=bool(form.output_file_timestamp),
        suffix=request.format.suffix,
        combined=request.narrator is not None,
    )
    saved = await unless_disconnected(http, service.render(request, ticket, name))
    if form.autoplay:
        autoplay.play(saved.path, form.autoplay_volume or 0.0)
    return JSONResponse(addresses(saved.path, http, base_of(http, config)))


@router.post("/api/previewvoice", include_in_schema=False)
@router.post(
    "/api/previewvoice/",
    openapi_extra=documented(PreviewForm, *FORM),
    summary="Speak a sentence that names the voice",
)
async def previewvoice(http: Request, service: ServiceDep, ticket: TicketDep) -> Response:
    """Each voice has a file of its own: previews that meet do not replace one another."""
    form = validated(PreviewForm, await form_fields(http))
    request = form.to_request(service.config)
    who = hashlib.sha256(f"{form.voice}\n{request.conversion}".encode()).hexdigest()[:8]
    name = f"api_preview_voice_{who}{request.format.suffix}"
    saved = await unless_disconnected(http, service.render(request, ticket, name))
    return JSONResponse(addresses(saved.path, http))


def addresses(path: Path, http: Request, base: str = "") -> dict[str, Any]:
    """V2's success: where the file `path` lies, and its addresses, after `base`."""
    return {
        "status": "generate-success",
        "output_file_path": str(path),
        "output_file_url": base + signed_path(http, f"/audio/{path.name}"),
        "output_cache_url": base + signed_path(http, f"/audiocache/{path.name}"),
    }


def base_of(http: Request, config: Config) -> str:
    """What stands before addresses: nothing, except for clients of V1."""
    api = config.api_def
    if not api.api_use_legacy_api:
        return ""
    _, port = http.scope.get("server") or ("", api.api_port_number)
    return f"http://{api.api_legacy_ip_address}:{port}"
