"""Helpers of V2's generator page for long texts: its list, subtitles, and checking by ear."""

from __future__ import annotations

import json
from urllib.parse import unquote, urlsplit

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, RootModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from alltalk.api.body import documented, json_value, validated
from alltalk.api.deps import ServiceDep
from alltalk.api.json import JSONResponse
from alltalk.clips import decode
from alltalk.draft import write_whole
from alltalk.errors import NotFound, Unsupported
from alltalk.outputs import Outputs
from alltalk.subtitles import laid_end_to_end, to_srt

router = APIRouter(tags=["AllTalk V2: generator"])

LIST_NAME = "ttsList.json"
"""In the outputs folder, where V2's tools look for it."""
LONGEST_S = 24 * 3600.0
"""Seconds of one file."""


class Item(BaseModel):
    """One piece of a long text, spoken into a file."""

    model_config = ConfigDict(extra="ignore")

    id: int
    fileUrl: str
    text: str
    characterVoice: str = ""
    language: str = ""


class ItemList(RootModel[list[Item]]):
    """All pieces, in the order in which they are heard."""


@router.post(
    "/api/save-tts-data",
    openapi_extra=documented(ItemList, "application/json"),
    summary="Keep the generator's list",
)
async def save_tts_data(http: Request, service: ServiceDep) -> Response:
    """There is one list; saving replaces it whole."""
    items = validated(ItemList, await json_value(http)).model_dump()
    content = json.dumps(items, ensure_ascii=False, indent=2)
    await service.lane().run(write_whole, service.outputs.folder / LIST_NAME, content.encode())
    return JSONResponse({"message": "Data saved successfully"})


@router.get("/api/srt-generation", summary="Subtitles for the kept list")
async def srt_generation(service: ServiceDep) -> Response:
    """Each text for as long as its file lasts, one after the other. 404 where a file is gone."""
    srt = await service.lane().run(_srt, service.outputs)
    headers = {"Content-Disposition": 'attachment; filename="subtitles.srt"'}
    return Response(srt.encode(), media_type="application/octet-stream", headers=headers)


@router.get("/api/trigger-analysis", summary="Compare speech with its text")
async def trigger_analysis(
    service: ServiceDep, threshold: int = 98, whisper_model: str = "large-v3"
) -> Response:
    """Needs a speech recogniser, which AllTalk does not bring along."""
    await service.lane().run(_items, service.outputs)
    raise Unsupported(
        "No speech recogniser is installed, so the files cannot be compared with their texts."
    )


def _srt(outputs: Outputs) -> str:
    pieces = ((item.text, _seconds(item, outputs)) for item in _items(outputs))
    return to_srt(laid_end_to_end(pieces))


def _seconds(item: Item, outputs: Outputs) -> float:
    """How long the file lasts that the item's address names, whichever host is in it."""
    file, done = outputs.open(unquote(urlsplit(item.fileUrl).path).rpartition("/")[2])
    try:
        with file:
            return decode(file, item.fileUrl, LONGEST_S).seconds
    finally:
        done()


def _items(outputs: Outputs) -> list[Item]:
    """The kept list. Raises NotFound."""
    try:
        content = (outputs.folder / LIST_NAME).read_bytes()
        return ItemList.model_validate_json(content).root
    except (OSError, ValidationError) as error:
        raise NotFound("There is no list; send it to /api/save-tts-data first.") from error
