"""OpenAI's speech API: `/v1/audio/speech` and the lists its clients ask for."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from alltalk.answers import Answer
from alltalk.api import sse
from alltalk.api.body import documented, form_fields, json_fields, validated
from alltalk.api.deps import Given, GivenDep, ServiceDep
from alltalk.api.disconnect import StreamedResponse, started, unless_disconnected
from alltalk.api.json import JSONResponse
from alltalk.api.openai_schemas import SpeechBody
from alltalk.api.uploads import read_clip, read_form, while_spoken
from alltalk.cache import CacheOutcome
from alltalk.clips import OneOffVoice
from alltalk.errors import NotFound
from alltalk.service import SpeechService
from alltalk.speech import FORMATS, SpeechRequest

router = APIRouter(tags=["OpenAI"])

CREATED = 1_700_000_000
"""`created` of a model; OpenAI's clients need a number, ours have no such date."""


@router.post(
    "/v1/audio/speech",
    openapi_extra=documented(SpeechBody, "application/json", "multipart/form-data"),
    summary="Speak a text",
)
async def create_speech(http: Request, given: GivenDep) -> Response:
    """The sound itself, sent while it is being spoken; `stream_format` sse: as events."""
    body, request, clip = await _read(http, given)
    events = body.stream_format == "sse"
    opted_out = events or body.cache is False or _no_cache(http)
    cached = {"opted_out": opted_out, "enabled": given.service.config.cache.enabled_v1}
    answer = given.answers.at_hand(request, given.ticket, **cached)
    if answer is None:
        answer = await unless_disconnected(
            http, given.answers.answer(request, given.ticket, **cached)
        )
    return await _sent(http, answer, request, clip, events)


@router.post(
    "/v1/audio/speech/stream",
    openapi_extra=documented(SpeechBody, "application/json", "multipart/form-data"),
    summary="Speak a text as a growing 48 kHz wav",
)
async def stream_speech(http: Request, given: GivenDep) -> Response:
    """Whatever the engine and the format asked for; never cached."""
    _, request, clip = await _read(http, given)
    request = replace(request, format=FORMATS["wav"], sample_rate=48_000)
    sound = _with(clip, given.service.encoded(request, given.ticket))
    begun = await unless_disconnected(http, started(sound))
    return StreamedResponse(begun, request.format.content_type, {"X-Route": "HOT"})


@router.get("/v1/models", summary="List models")
async def list_models(service: ServiceDep) -> Response:
    """`tts-1`, and every engine and model by name."""
    return JSONResponse({"object": "list", "data": [_model(id) for id in _model_ids(service)]})


@router.get("/v1/models/{id:path}", summary="Describe a model")
async def retrieve_model(id: str, service: ServiceDep) -> Response:
    """One entry of the list."""
    if id not in _model_ids(service):
        raise NotFound(f"There is no model {id[:80]!r}.")
    return JSONResponse(_model(id))


@router.get("/v1/audio/models", summary="List models, briefly")
async def list_audio_models(service: ServiceDep) -> Response:
    """The ids alone, as web UIs ask for them."""
    return JSONResponse({"models": [{"id": id} for id in _model_ids(service)]})


@router.get("/v1/audio/voices", summary="List voices")
async def list_voices(service: ServiceDep) -> Response:
    """OpenAI's names first, then the engine's own; each can be sent as `voice`."""
    names = [*service.openai_voices(), *(each.name for each in service.voices())]
    return JSONResponse({"voices": [{"id": name, "name": name} for name in dict.fromkeys(names)]})


async def _read(
    http: Request, given: Given
) -> tuple[SpeechBody, SpeechRequest, OneOffVoice | None]:
    """The body, what it asks for, and the clip to speak it with, which whoever speaks closes."""
    content_type = http.headers.get("content-type", "")
    if "json" in content_type:
        return *_understood(await json_fields(http), given.service), None
    if "multipart" not in content_type:
        return *_understood(await form_fields(http), given.service), None
    async with read_form(http, given.studio) as form:
        fields = {name: value for name, value in form.fields.items() if value != ""}
        body, request = _understood(fields, given.service)
        clip = await read_clip(form, given.studio)  # last, for nothing may fail once it is there
    return body, replace(request, voice=clip.voice) if clip is not None else request, clip


def _understood(
    fields: Mapping[str, Any], service: SpeechService
) -> tuple[SpeechBody, SpeechRequest]:
    body = validated(SpeechBody, fields)
    return body, body.to_request(service.config, service.engine_names())


def _with(clip: OneOffVoice | None, sound: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    return sound if clip is None else while_spoken(clip, sound)


async def _sent(
    http: Request,
    answer: Answer,
    request: SpeechRequest,
    clip: OneOffVoice | None,
    events: bool,
) -> Response:
    headers = {"X-Cache": answer.outcome, "X-Route": _ROUTES.get(answer.outcome, "HOT")}
    content_type = request.format.content_type
    if answer.sound is None:
        return Response(answer.content, media_type=content_type, headers=headers)
    sound = await unless_disconnected(http, started(_with(clip, answer.sound)))
    if answer.size is not None:
        headers["Content-Length"] = str(answer.size)
    if not events:
        return StreamedResponse(sound, content_type, headers)
    wrap = partial(sse.events, http, characters=len(request.text))
    return StreamedResponse(sound, "text/event-stream", headers, wrap)


def _no_cache(http: Request) -> bool:
    control = http.headers.get("cache-control", "").lower()
    return "no-cache" in control or "no-store" in control


_ROUTES = {CacheOutcome.HIT: "CACHE", CacheOutcome.ADHOC: "ADHOC"}


def _model_ids(service: ServiceDep) -> list[str]:
    named = [
        entry
        for engine, models in service.engines().items()
        for entry in (engine, *(f"{engine}/{model}" for model in models))
    ]
    served = service.config.speech.served_model_name
    return list(dict.fromkeys((served, "tts-1", "tts-1-hd", "gpt-4o-mini-tts", *named)))


def _model(id: str) -> dict[str, Any]:
    return {"id": id, "object": "model", "created": CREATED, "owned_by": "alltalk"}
