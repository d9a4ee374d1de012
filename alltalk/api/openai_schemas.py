"""The body of OpenAI's speech call, and how it becomes a `SpeechRequest`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from alltalk.api.schemas import conversion
from alltalk.config import Config, RvcSettings
from alltalk.engine import Sampling
from alltalk.errors import BadValue, EmptyText, TextTooLong
from alltalk.speech import AudioFormat, Narrator, SpeechRequest


class VoiceId(BaseModel):
    """OpenAI's other way to name a voice."""

    id: str


class SpeechBody(BaseModel):
    """The body of `POST /v1/audio/speech`."""

    model_config = ConfigDict(extra="ignore")

    input: str = Field(description="What to say.")
    model: str = Field("tts-1", description="`engine`, `engine/model`, or any name: the current.")
    voice: str | VoiceId | None = Field(
        None, description="An OpenAI name or a voice of the engine."
    )
    response_format: str | None = Field(None, description="mp3, opus, aac, flac, wav, pcm, …")
    speed: float = Field(1.0, description="0.25 to 4.0.")
    instructions: str | None = Field(None, description="How to say it, for engines that can.")
    stream_format: Literal["audio", "sse"] | None = Field(None, description="audio or sse.")
    language: str | None = Field(None, description="Language code, or `auto`.")
    temperature: float | None = Field(None, ge=0.0, le=2.0)
    seed: int | None = Field(None)
    repetition_penalty: float | None = Field(None, ge=1.0, le=20.0)
    sample_rate: int | None = Field(None, ge=8000, le=48000, description="Hz of the answer.")
    cfg_value: float = Field(2.0, ge=0.5, le=5.0, description="Accepted for other servers' sake.")
    cache: bool | None = Field(None, description="false: neither read nor kept.")
    text_filtering: Literal["none", "standard", "html"] = Field("standard")
    narrator_enabled: Literal["true", "false", "silent"] = Field("false")
    narrator_voice_gen: str = Field("", description="Voice of text between asterisks.")
    text_not_inside: Literal["character", "narrator", "silent"] = Field("character")
    rvccharacter_voice_gen: str = Field(
        "", description="RVC voice, or `Disabled`. Empty: that of the settings."
    )
    rvccharacter_pitch: float | None = Field(None, description="Semitones, -24 to 24.")
    rvcnarrator_voice_gen: str = Field("", description="RVC voice of the narrator.")
    rvcnarrator_pitch: float | None = Field(None, description="Semitones, -24 to 24.")

    @field_validator("cache", "narrator_enabled", mode="before")
    @classmethod
    def _from_form(cls, value: Any, info: ValidationInfo) -> Any:
        """Forms know only text: there, whatever does not say no is a yes."""
        if info.field_name == "narrator_enabled":
            return str(value).lower() if isinstance(value, bool | str) else value
        if isinstance(value, str):
            return value.strip().lower() not in ("0", "false", "no", "off")
        return value

    def to_request(self, config: Config, engines: Collection[str]) -> SpeechRequest:
        """What is to be said. `engines`: those that `model` may name."""
        if not self.input.strip():
            raise EmptyText
        limit = config.speech.max_text_chars
        if limit is not None and len(self.input) > limit:
            raise TextTooLong(len(self.input), limit)
        if not 0.25 <= self.speed <= 4.0:
            raise BadValue("speed", "must be between 0.25 and 4.0.")
        engine, _, model = self.model.partition("/")
        known, rvc = engine in engines, config.rvc_settings
        return SpeechRequest(
            text=self.input,
            voice=self._voice or config.speech.default_voice,
            openai_voice=True,
            narrator=self._narrator(config.rvc_settings),
            text_filter=self.text_filtering,
            language=self.language or "auto",
            speed=self.speed,
            sampling=Sampling(
                seed=self.seed,
                temperature=self.temperature,
                repetition_penalty=self.repetition_penalty,
            ),
            instructions=self.instructions or "",
            conversion=conversion(
                self.rvccharacter_voice_gen or _default(rvc, rvc.rvc_char_model_file),
                rvc.pitch if self.rvccharacter_pitch is None else self.rvccharacter_pitch,
            ),
            format=AudioFormat.named(self._format or config.speech.default_format),
            sample_rate=self.sample_rate,
            engine=engine if known else "",
            model=model if known else "",
        )

    @property
    def _voice(self) -> str:
        return self.voice.id if isinstance(self.voice, VoiceId) else self.voice or ""

    @property
    def _format(self) -> str:
        name = (self.response_format or "").lower()
        return "ogg" if name == "vorbis" else name

    def _narrator(self, rvc: RvcSettings) -> Narrator | None:
        if self.narrator_enabled == "false":
            return None
        return Narrator(
            voice=self.narrator_voice_gen,
            silent=self.narrator_enabled == "silent",
            outside=self.text_not_inside,
            conversion=conversion(
                self.rvcnarrator_voice_gen or _default(rvc, rvc.rvc_narr_model_file),
                rvc.pitch if self.rvcnarrator_pitch is None else self.rvcnarrator_pitch,
            ),
        )


def _default(rvc: RvcSettings, voice: str) -> str:
    """`voice` of the settings, where they convert at all."""
    return voice if rvc.rvc_enabled else ""
