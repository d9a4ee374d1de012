"""Voice conversion: the voices there are, more of them, and a recording in another voice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from alltalk.api.body import FORM, documented, form_fields, validated
from alltalk.api.deps import ConversionsDep, ServiceDep, StudioDep, TicketDep
from alltalk.api.disconnect import unless_disconnected
from alltalk.api.json import JSONResponse
from alltalk.api.schemas import VoiceToRvcForm, is_no_conversion
from alltalk.api.uploads import read_form
from alltalk.audio import Audio
from alltalk.clips import decode
from alltalk.draft import write_whole
from alltalk.effects.rvc.shelf import NewRvcVoice
from alltalk.errors import BadInput, NotFound, UnknownRvcVoice, UnsafeName
from alltalk.speech import FORMATS, AudioFormat, Conversion

router = APIRouter(tags=["Voice conversion"])

Semitones = Annotated[float, Field(ge=-24, le=24)]
Ratio = Annotated[float, Field(ge=0, le=1)]


class ConvertForm(BaseModel):
    """Fields of `POST /v1/audio/convert`, beside the recording in `file`."""

    voice: Annotated[str, Field(min_length=1, description="As `/v1/rvc-voices` lists it.")]
    pitch: Semitones = 0.0
    response_format: str = "mp3"
    index_rate: Ratio | None = None
    protect: Annotated[float, Field(ge=0, le=0.5)] | None = None
    rms_mix_rate: Ratio | None = None
    f0_method: str | None = None
    autotune: bool | None = None

    @property
    def conversion(self) -> Conversion:
        """The voice and how far it is moved."""
        return Conversion(self.voice, self.pitch)

    @property
    def chosen(self) -> dict[str, object]:
        """What is asked for otherwise than the settings have it."""
        asked = self.model_dump(
            include={"index_rate", "protect", "rms_mix_rate", "autotune"}, exclude_none=True
        )
        return asked if self.f0_method is None else {**asked, "pitch_method": self.f0_method}


class NewRvcVoiceForm(BaseModel):
    """Fields of an upload, beside its files: a zip, or a `.pth` and its `.index`."""

    name: str = ""
    """Empty: that of the `.pth`."""
    overwrite: bool = False


@router.get("/api/rvcvoices", tags=["AllTalk V2: status"], summary="List voices to convert to")
async def rvcvoices(conversions: ConversionsDep) -> Response:
    """`Disabled` first, and alone while conversion is switched off."""
    names = ["Disabled", *await conversions.voices()]
    # Some clients read `rvcvoices`, others `voices`.
    return JSONResponse({"status": "success", "rvcvoices": names, "voices": names})


@router.post(
    "/api/voice2rvc",
    tags=["AllTalk V2: generation"],
    openapi_extra=documented(VoiceToRvcForm, *FORM),
    summary="Convert a recording to an RVC voice",
)
async def voice2rvc(
    http: Request, service: ServiceDep, conversions: ConversionsDep, ticket: TicketDep
) -> Response:
    """Reads and writes in the outputs folder, and nowhere else."""
    form = validated(VoiceToRvcForm, await form_fields(http))
    if is_no_conversion(form.pth_name):
        message = "No RVC voice was chosen, so there is nothing to convert to."
        return JSONResponse({"status": "error", "message": message})
    await conversions.require(form.pth_name)
    folder = service.outputs.folder
    source, target = _inside(folder, form.input_tts_path), _inside(folder, form.output_rvc_path)
    name = target.suffix.removeprefix(".").lower()
    format = AudioFormat.named(name if name in FORMATS else "wav")
    audio = await service.lane().run(_read, source, service.config.voices.max_clip_s)
    converted = service.convert(
        audio, form.conversion, format, ticket, chosen={"pitch_method": form.method}
    )
    content = await unless_disconnected(http, converted)
    await service.lane().run(write_whole, target, content)
    return JSONResponse({"status": "success", "output_path": form.output_rvc_path})


@router.post(
    "/v1/audio/convert",
    openapi_extra=documented(ConvertForm, "multipart/form-data"),
    summary="Convert an uploaded recording to an RVC voice",
)
async def convert(
    http: Request, service: ServiceDep, studio: StudioDep, ticket: TicketDep
) -> Response:
    """The recording in the form's `file`, in another voice."""
    async with read_form(http, studio) as form:
        fields = validated(ConvertForm, {k: v for k, v in form.fields.items() if v != ""})
        format = AudioFormat.named(fields.response_format)
        upload = form.upload("file", "audio")
        if upload is None:
            raise BadInput("The form has no recording: send it as the field `file`.")
        longest_s = service.config.voices.max_clip_s
        audio = await studio.run(decode, upload.file, upload.name, longest_s)
    converted = service.convert(audio, fields.conversion, format, ticket, chosen=fields.chosen)
    content = await unless_disconnected(http, converted)
    return Response(content, media_type=format.content_type)


@router.get("/v1/rvc-voices", summary="List RVC voices")
async def list_rvc_voices(conversions: ConversionsDep) -> Response:
    """By name. Empty while conversion is switched off, which `enabled` tells."""
    data = [{"id": name, "object": "rvc_voice"} for name in await conversions.voices()]
    return JSONResponse({"object": "list", "data": data, "enabled": conversions.enabled})


@router.post(
    "/v1/rvc-voices",
    openapi_extra=documented(NewRvcVoiceForm, "multipart/form-data"),
    summary="Upload an RVC voice",
)
async def add_rvc_voice(http: Request, conversions: ConversionsDep, studio: StudioDep) -> Response:
    """Keeps it once it has been loaded and checked."""
    async with read_form(http, studio, largest_bytes=conversions.largest_bytes) as form:
        fields = validated(NewRvcVoiceForm, {k: v for k, v in form.fields.items() if v != ""})
        files = [(each.name, each.file) for each in form.uploads]
        new = NewRvcVoice(fields.name, files, overwrite=fields.overwrite)
        name = await unless_disconnected(http, conversions.add(new))
    return JSONResponse({"id": name, "object": "rvc_voice"})


@router.delete("/v1/rvc-voices/{id:path}", summary="Delete an RVC voice")
async def delete_rvc_voice(id: str, conversions: ConversionsDep) -> Response:
    """Deletes its files."""
    try:
        removed = await conversions.remove(id)
    except UnknownRvcVoice as error:
        raise NotFound(str(error)) from error
    return JSONResponse({"id": removed, "object": "rvc_voice", "deleted": True})


def _inside(folder: Path, path: str) -> Path:
    """`path`, which must lie in the outputs folder: whole, or as `a.wav` or `outputs/a.wav`.

    Raises UnsafeName.
    """
    path, root = path.replace("\\", "/"), folder.resolve()
    if "\0" in path:
        raise UnsafeName(path, "it has control characters")
    asked = (folder / path.removeprefix(f"{folder.name}/")).resolve()
    if not asked.is_relative_to(root) or asked == root:
        raise UnsafeName(path, "it is outside the outputs folder")
    if any(part.startswith(".") for part in asked.relative_to(root).parts):
        raise UnsafeName(path, "names that begin with a dot are AllTalk's own")
    return asked


def _read(path: Path, longest_s: float) -> Audio:
    try:
        with path.open("rb") as file:
            return decode(file, path.name, longest_s)
    except OSError as error:
        raise NotFound(f"There is no recording {path.name} in the outputs folder.") from error
