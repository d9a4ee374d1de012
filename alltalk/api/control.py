"""Changing the current engine: its model, its modes, its voices for OpenAI's names.

Values are taken from the query, or from a form or JSON body: clients do all of it.
"""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from alltalk.api.body import documented, json_fields, sent_fields, validated
from alltalk.api.deps import ControlDep, at_least
from alltalk.api.json import JSONResponse
from alltalk.api.schemas import Fields
from alltalk.control import Changing, Control
from alltalk.errors import AllTalkError, UnknownEngine
from alltalk.keys import Role
from alltalk.status import Switch

router = APIRouter(tags=["AllTalk V2: control"], dependencies=[at_least(Role.POWER)])


class ModelName(Fields):
    """What `POST /api/reload` is asked."""

    tts_method: str = Field("", description="A model, as `/api/currentsettings` lists it.")


class EngineName(Fields):
    """What `POST /api/enginereload` is asked."""

    engine: str = Field("", description="An engine, as `/api/currentsettings` lists it.")


class DeepSpeed(Fields):
    """What `POST /api/deepspeed` is asked."""

    new_deepspeed_value: bool


class LowVram(Fields):
    """What `POST /api/lowvramsetting` is asked."""

    new_low_vram_value: bool


class OpenAiVoices(Fields):
    """The body of `PUT /api/openai-voicemap`: a voice of the engine for each of six names."""

    alloy: str
    echo: str
    fable: str
    nova: str
    onyx: str
    shimmer: str


@router.post(
    "/api/reload",
    openapi_extra=documented(ModelName, query=True),
    summary="Load another model",
)
async def reload(http: Request, control: ControlDep) -> Response:
    """Always 200; `status` says how it went. Until the new model can speak, the old one does."""
    model = validated(ModelName, await sent_fields(http)).tts_method
    try:
        await control.load_model(model)
    except Changing:
        return JSONResponse({"status": "model-is currently changing"})
    except AllTalkError as error:
        return JSONResponse({"status": "model-failure", "message": str(error)})
    return JSONResponse({"status": "model-success"})


@router.post(
    "/api/enginereload",
    openapi_extra=documented(EngineName, query=True),
    summary="Load another engine",
)
async def enginereload(http: Request, control: ControlDep) -> Response:
    """Answers when the new engine can speak and the choice is saved; the old one speaks until
    then, and stays where loading fails. Always 200; `status` says how it went."""
    engine = validated(EngineName, await sent_fields(http)).engine
    try:
        await control.load_engine(engine)
    except UnknownEngine:
        return JSONResponse({"status": "error", "message": "Invalid TTS engine specified"})
    except AllTalkError as error:
        return JSONResponse({"status": "error", "message": str(error)})
    return JSONResponse({"status": "engine-success"})


@router.post(
    "/api/deepspeed",
    openapi_extra=documented(DeepSpeed, query=True),
    summary="Turn DeepSpeed on or off",
)
async def deepspeed(http: Request, control: ControlDep) -> Response:
    """Always 200 for a readable value; `status` says how it went."""
    on = validated(DeepSpeed, await sent_fields(http), "query").new_deepspeed_value
    return await _switched(control, "deepspeed", on, "DeepSpeed", {"status": "deepspeed-success"})


@router.post(
    "/api/lowvramsetting",
    openapi_extra=documented(LowVram, query=True),
    summary="Turn low-VRAM mode on or off",
)
async def lowvramsetting(http: Request, control: ControlDep) -> Response:
    """Always 200 for a readable value; `status` says how it went."""
    on = validated(LowVram, await sent_fields(http), "query").new_low_vram_value
    done = {"status": "lowvram-success", "message": ""}
    return await _switched(control, "low_vram", on, "LowVRAM", done)


@router.put(
    "/api/openai-voicemap",
    openapi_extra=documented(OpenAiVoices, "application/json"),
    summary="Choose voices for OpenAI's names",
)
async def openai_voicemap(http: Request, control: ControlDep) -> Response:
    """In force at once, and kept."""
    voices = validated(OpenAiVoices, await json_fields(http))
    await control.map_openai_voices(voices.model_dump())
    return JSONResponse({"message": "OpenAI voice mappings updated successfully"})


async def _switched(
    control: Control, what: Switch, on: bool, title: str, done: dict[str, str]
) -> Response:
    """`done`, or what was in the way."""
    try:
        changed = await control.switch(what, on)
    except AllTalkError as error:
        return JSONResponse({"status": "error", "message": str(error)})
    if changed:
        return JSONResponse(done)
    state = "enabled" if on else "disabled"
    return JSONResponse({"status": "success", "message": f"{title} is already {state}"})
