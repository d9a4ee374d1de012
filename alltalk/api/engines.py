"""The current engine: what it is and what it is set to."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from alltalk.api.deps import ServiceDep
from alltalk.api.json import JSONResponse
from alltalk.status import EngineStatus, deepspeed_installed

router = APIRouter(tags=["AllTalk V2: status"])


@router.get("/api/currentsettings", summary="Describe the current engine")
async def currentsettings(service: ServiceDep) -> Response:
    """Engines, models and what the current one can do and is set to."""
    strict = service.config.speech.strict_streaming
    return JSONResponse(current_settings(service.status(), strict_streaming=strict))


def current_settings(status: EngineStatus, *, strict_streaming: bool) -> dict[str, Any]:
    """V2's `/api/currentsettings`, every key, and the four that V1's clients read instead."""
    capabilities, settings = status.capabilities, status.settings
    deepspeed, low_vram = status.is_on("deepspeed"), status.is_on("low_vram")
    return {
        "engines_available": list(status.engines),
        "current_engine_loaded": status.engine,
        "models_available": [{"name": name, "model_name": name} for name in status.models],
        "current_model_loaded": status.model,
        "manufacturer_name": status.manifest.manufacturer,
        "audio_format": "wav",
        "deepspeed_capable": capabilities.deepspeed,
        "deepspeed_available": deepspeed_installed(),
        "deepspeed_enabled": deepspeed,
        "generationspeed_capable": True,
        "generationspeed_set": settings.get("generationspeed_set", 1),
        "lowvram_capable": capabilities.low_vram,
        "lowvram_enabled": low_vram,
        "pitch_capable": True,
        "pitch_set": settings.get("pitch_set", 0),
        "pitch_enabled": settings.get("pitch_set", 0),
        "repetitionpenalty_capable": "repetition_penalty" in capabilities.sampling,
        "repetitionpenalty_set": settings.get("repetitionpenalty_set", 10),
        "streaming_capable": capabilities.streaming or not strict_streaming,
        "temperature_capable": "temperature" in capabilities.sampling,
        "temperature_set": settings.get("temperature_set", 0.75),
        "ttsengines_installed": True,
        "languages_capable": bool(capabilities.languages),
        "multivoice_capable": True,
        "multimodel_capable": len(status.models) > 1,
        "deepspeed_status": deepspeed,
        "low_vram_status": low_vram,
        "finetuned_model": False,
    }
