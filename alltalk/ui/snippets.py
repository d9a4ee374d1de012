"""Snippets: the same speech from a program, as a curl line and for OpenAI's Python library."""

from __future__ import annotations

import json
import shlex
from typing import Any

from alltalk.speech import Conversion, SpeechRequest

_NO_KEY = ('"none"', "")
"""What the library is given instead, and what that takes."""
_NO_PITCH = "# OpenAI's API knows no pitch: it is left out.\n"


def code_for(request: SpeechRequest, origin: str, needs_key: bool) -> tuple[str, str]:
    """A curl line, and Python, that have the same text spoken in the same way.

    `origin`: scheme, name and port of this server, as whoever asks knows it. `needs_key`: it is
    sent an API key, which both take from the environment variable ALLTALK_API_KEY.
    """
    fields, more, suffix = _openai(request), _more(request), request.format.suffix
    note = _NO_PITCH if request.pitch else ""
    body = shlex.quote(json.dumps({**fields, **more}, ensure_ascii=False))
    key = '-H "Authorization: Bearer $ALLTALK_API_KEY" ' if needs_key else ""
    curl = (
        f"{note}curl {origin}/v1/audio/speech -H 'Content-Type: application/json' {key}"
        f"-o speech{suffix} -d {body}"
    )
    arguments = [f"{name}={value!r}" for name, value in fields.items()]
    arguments += [f"extra_body={more!r}"] if more else []
    api_key, imports = ('os.environ["ALLTALK_API_KEY"]', "import os\n\n") if needs_key else _NO_KEY
    sdk = (
        f"{imports}from openai import OpenAI\n\n"
        f'{note}client = OpenAI(base_url="{origin}/v1", api_key={api_key})\n'
        f"speech = client.audio.speech.create({', '.join(arguments)})\n"
        f'speech.write_to_file("speech{suffix}")'
    )
    return curl, sdk


def _openai(request: SpeechRequest) -> dict[str, Any]:
    """The fields that OpenAI's own API has."""
    return {
        "model": request.engine or "tts-1",
        "input": request.text,
        "voice": request.voice,
        "response_format": request.format.name,
        "speed": request.speed,
    }


def _more(request: SpeechRequest) -> dict[str, Any]:
    """Fields of ours, where they were used."""
    more: dict[str, Any] = {}
    if request.language:
        more["language"] = request.language
    if request.sampling.temperature is not None:
        more["temperature"] = request.sampling.temperature
    if request.text_filter != "standard":
        more["text_filtering"] = request.text_filter
    more |= _converted("rvccharacter", request.conversion)
    if narrator := request.narrator:
        more["narrator_enabled"] = "silent" if narrator.silent else "true"
        more["text_not_inside"] = narrator.outside
        if narrator.voice:
            more["narrator_voice_gen"] = narrator.voice
        more |= _converted("rvcnarrator", narrator.conversion)
    return more


def _converted(role: str, conversion: Conversion | None) -> dict[str, Any]:
    if conversion is None:
        return {}
    return {f"{role}_voice_gen": conversion.voice, f"{role}_pitch": conversion.semitones}
