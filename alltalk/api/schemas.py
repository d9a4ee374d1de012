"""The fields of V2's speech calls, and how each becomes a `SpeechRequest`. Their names end here."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from alltalk.config import Config
from alltalk.engine import Sampling
from alltalk.errors import BadInput, TextTooLong
from alltalk.speech import (
    FORMATS,
    AudioFormat,
    Conversion,
    Narrator,
    Outside,
    SpeechRequest,
    TextFilterName,
)

DecimalComma = BeforeValidator(lambda v: v.replace(",", ".") if isinstance(v, str) else v)

STREAM_RATE = 24_000
"""Hz that V2's streams always have: some players expect it without reading the header."""

_NO_CONVERSION = {"", "disabled", "disable", "none", "please refresh settings"}
"""RVC voices that mean none; the last is what one client sends before it has listed any."""

_NOT_IN_VOICES = re.compile(r'[<>"|?*\x00-\x1f]')
_NOT_IN_NAMES = re.compile(r'[/\\:<>"|?*\x00-\x1f]')


class InvalidFields(BadInput):
    """Values that the application itself refuses, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))


class Fields(BaseModel):
    """Of a request. Those that nobody knows are ignored; an optional one sent empty is absent."""

    model_config = ConfigDict(extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, sent: Any) -> Any:
        if not isinstance(sent, Mapping):
            return sent
        needed = {name for name, field in cls.model_fields.items() if field.is_required()}
        return {name: value for name, value in sent.items() if value != "" or name in needed}


class Manner(Fields):
    """How to say a text: what `tts-generate` takes, and streams take as well."""

    text_filtering: str | None = Field(None, description="none, standard or html.")
    rvccharacter_voice_gen: str | None = Field(None, description="RVC voice, or `Disabled`.")
    rvccharacter_pitch: float | None = Field(None, description="Semitones, -24 to 24.")
    narrator_enabled: str | None = Field(None, description="true, false or silent.")
    narrator_voice_gen: str | None = Field(None, description="Voice of text between asterisks.")
    rvcnarrator_voice_gen: str | None = Field(None, description="RVC voice of the narrator.")
    rvcnarrator_pitch: float | None = Field(None, description="Semitones, -24 to 24.")
    text_not_inside: str | None = Field(
        None, description="Who says text outside quotes and asterisks: character, narrator, silent."
    )
    speed: float | None = Field(None, description="0.25 to 2.0.")
    pitch: float | None = Field(None, description="Semitones, -10 to 10.")
    temperature: float | None = Field(None, description="0.1 to 1.0.")
    repetition_penalty: Annotated[float | None, DecimalComma] = Field(
        None, description="1.0 to 20.0."
    )
    format: str | None = Field(
        None, description="Of a stream: wav (the default), mp3, opus, aac, flac, pcm, m4a or ogg."
    )


class TtsGenerateForm(Manner):
    """The fields of `POST /api/tts-generate`. Absent and empty ones take the configured default."""

    text_input: str = Field(description="What to say.")
    character_voice_gen: str | None = Field(None, description="Voice, as `/api/voices` lists it.")
    language: str | None = Field(None, description="Language code, or `auto`.")
    output_file_name: str | None = Field(None, description="Name of the file, without ending.")
    output_file_timestamp: bool | None = Field(None, description="Make the name unique.")
    autoplay: bool | None = Field(None, description="Play on the server's own sound device.")
    autoplay_volume: float | None = Field(None, description="0.1 to 1.0.")
    streaming: bool | None = Field(None, description="Answer the sound itself, while it is made.")

    def filled(self, config: Config, engine_settings: Mapping[str, Any]) -> TtsGenerateForm:
        """Every field set: what was not sent comes from the settings. Raises InvalidFields."""
        api = config.api_def
        form = self._with(_defaults(config, engine_settings))
        problems = list(form.problems())
        if len(form.text_input) > api.api_max_characters:
            too_long = TextTooLong(len(form.text_input), api.api_max_characters)
            problems.insert(0, f"text_input: {too_long}")
        if _NOT_IN_NAMES.search(form.output_file_name or "") or not form.file_stem:
            problems.append("output_file_name: must be letters, digits and underscores.")
        if problems:
            raise InvalidFields(problems)
        return form

    def to_request(self, format: AudioFormat, sample_rate: int | None = None) -> SpeechRequest:
        """What is to be said; call it on a filled form."""
        return SpeechRequest(
            text=self.text_input,
            voice=self.character_voice_gen or "",
            narrator=self._narrator(),
            text_filter=cast(TextFilterName, self.text_filtering),
            language=self.language or "",
            speed=_set(self.speed),
            pitch=_set(self.pitch),
            sampling=Sampling(
                temperature=self.temperature, repetition_penalty=self.repetition_penalty
            ),
            conversion=conversion(self.rvccharacter_voice_gen, self.rvccharacter_pitch),
            format=format,
        )

    @property
    def file_stem(self) -> str:
        """`output_file_name` with what V2 did not allow in it replaced."""
        return file_stem(self.output_file_name or "")

    def problems(self) -> Iterator[str]:
        """One line for each field that does not hold, in V2's manner: `field: explanation`."""
        for field, choices in _CHOICES.items():
            if getattr(self, field) not in choices:
                yield f"{field}: must be one of {', '.join(choices)}."
        for field, (low, high) in _RANGES.items():
            value = getattr(self, field)
            if not (math.isfinite(value) and low <= value <= high):
                yield f"{field}: must be between {low} and {high}."
        if _NOT_IN_VOICES.search(self.character_voice_gen or ""):
            yield 'character_voice_gen: must not contain any of < > " | ? * or control characters.'

    def _with(self, defaults: Mapping[str, Any]) -> TtsGenerateForm:
        """What was sent over `defaults`. V2's own clients write `True` where it wanted `true`."""
        values = {**defaults, **self.model_dump(exclude_none=True)}
        return self.model_copy(
            update={**values, "narrator_enabled": str(values["narrator_enabled"]).lower()}
        )

    def _narrator(self) -> Narrator | None:
        if self.narrator_enabled == "false":
            return None
        return Narrator(
            voice=self.narrator_voice_gen or "",
            silent=self.narrator_enabled == "silent",
            outside=cast(Outside, self.text_not_inside),
            conversion=conversion(self.rvcnarrator_voice_gen, self.rvcnarrator_pitch),
        )


class StreamingFields(Manner):
    """The fields of `/api/tts-generate-streaming`. Absent: no filter, no narrator, speed 1."""

    text: str = Field(description="What to say.")
    voice: str = Field(description="Voice, as `/api/voices` lists it.")
    language: str = Field(description="Language code, or `auto`.")
    output_file: str = Field(description="Name of the file to keep.")

    def to_request(
        self, config: Config, engine_settings: Mapping[str, Any], format: AudioFormat
    ) -> SpeechRequest:
        """What is to be said. Raises InvalidFields."""
        plain = {"text_filtering": "none", "narrator_enabled": "false", "speed": 1.0, "pitch": 0.0}
        form = TtsGenerateForm(
            text_input=self.text,
            character_voice_gen=self.voice,
            language=self.language,
            **self.model_dump(include=set(Manner.model_fields), exclude_none=True),
        )._with({**_defaults(config, engine_settings), **plain})
        if problems := list(form.problems()):
            raise InvalidFields(problems)
        return form.to_request(format, stream_rate(format))


class PreviewForm(Fields):
    """The fields of `POST /api/previewvoice/`."""

    voice: str = Field(description="Voice, as `/api/voices` lists it.")
    rvccharacter_voice_gen: str | None = Field(None, description="RVC voice, or `Disabled`.")
    rvccharacter_pitch: float | None = Field(None, description="Semitones, -24 to 24.")

    def to_request(self, config: Config) -> SpeechRequest:
        """One sentence that names the voice."""
        rvc = config.rvc_settings
        character = rvc.rvc_char_model_file if rvc.rvc_enabled else "Disabled"
        name = " ".join(re.findall(r"\w+", re.sub(r"(\.wav)+$", "", self.voice))) or "unnamed"
        return SpeechRequest(
            text=f"Hello, this is a short preview of the voice {name}.",
            voice=self.voice,
            language="en",
            conversion=conversion(
                self.rvccharacter_voice_gen or character,
                rvc.pitch if self.rvccharacter_pitch is None else self.rvccharacter_pitch,
            ),
            format=config.file_format,
        )


class VoiceToRvcForm(Fields):
    """The fields of `POST /api/voice2rvc`."""

    input_tts_path: str = Field(description="A recording in the outputs folder.")
    output_rvc_path: str = Field(description="Where in the outputs folder to write.")
    pth_name: str = Field(description="RVC voice, as `/api/rvcvoices` lists it.")
    pitch: float = Field(ge=-24, le=24, description="Semitones, -24 to 24.")
    method: str = Field(description="How the pitch is found: rmvpe, fcpe, …")

    @property
    def conversion(self) -> Conversion:
        """The voice, and how far it is moved."""
        return Conversion(self.pth_name, self.pitch)


def is_no_conversion(voice: str | None) -> bool:
    """True for names of RVC voices that mean none."""
    return (voice or "").strip().lower() in _NO_CONVERSION


def stream_format(name: str | None) -> AudioFormat:
    """The format of a stream. Raises UnknownFormat."""
    return AudioFormat.named(name or "wav")


def stream_rate(format: AudioFormat) -> int | None:
    """Hz of a stream: of a wav V2's, of others what the format or the engine says (None)."""
    return STREAM_RATE if format.name == "wav" else None


def file_stem(name: str) -> str:
    """`name` with what V2 did not allow in a file's name replaced by underscores."""
    return re.sub(r"\W+", "_", name, flags=re.ASCII)


def stream_stem(name: str) -> str:
    """The name that a stream is kept under: no folder, and not one of our endings.

    Empty where nothing of `name` is left.
    """
    bare = re.split(r"[/\\]", name)[-1].strip()
    for suffix in {format.suffix for format in FORMATS.values()}:
        if bare.lower().endswith(suffix):
            return file_stem(bare[: -len(suffix)])
    return file_stem(bare)


def _defaults(config: Config, engine_settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a field is that was not sent."""
    api, rvc = config.api_def, config.rvc_settings
    return {
        "text_filtering": api.api_text_filtering,
        "character_voice_gen": engine_settings.get("def_character_voice", ""),
        "rvccharacter_voice_gen": rvc.rvc_char_model_file if rvc.rvc_enabled else "Disabled",
        "rvccharacter_pitch": rvc.pitch,
        "narrator_enabled": api.api_narrator_enabled,
        "narrator_voice_gen": engine_settings.get("def_narrator_voice", ""),
        "rvcnarrator_voice_gen": rvc.rvc_narr_model_file if rvc.rvc_enabled else "Disabled",
        "rvcnarrator_pitch": rvc.pitch,
        "text_not_inside": api.api_text_not_inside,
        "language": api.api_language,
        "output_file_name": api.api_output_file_name,
        "output_file_timestamp": api.api_output_file_timestamp,
        "autoplay": api.api_autoplay,
        "autoplay_volume": api.api_autoplay_volume,
        "speed": engine_settings.get("generationspeed_set", 1.0),
        "pitch": engine_settings.get("pitch_set", 0.0),
        "temperature": engine_settings.get("temperature_set", 0.75),
        "repetition_penalty": engine_settings.get("repetitionpenalty_set", 10.0),
        "streaming": False,
    }


_CHOICES = {
    "text_filtering": ("none", "standard", "html"),
    "narrator_enabled": ("true", "false", "silent"),
    "text_not_inside": ("character", "narrator", "silent"),
}
_RANGES = {
    "rvccharacter_pitch": (-24, 24),
    "rvcnarrator_pitch": (-24, 24),
    "autoplay_volume": (0.1, 1.0),
    "speed": (0.25, 2.0),
    "pitch": (-10, 10),
    "temperature": (0.1, 1.0),
    "repetition_penalty": (1.0, 20.0),
}


def conversion(voice: str | None, semitones: float | None) -> Conversion | None:
    """Voice conversion as V2's fields say it; None where the voice means none."""
    if is_no_conversion(voice):
        return None
    return Conversion(str(voice), float(semitones or 0.0))


def _set(value: float | None) -> float:
    assert value is not None, "the form was not filled"
    return value
