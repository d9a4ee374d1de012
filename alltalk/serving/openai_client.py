"""OpenAI's speech API as a client sees it: what to ask, and what the answers mean.

https://platform.openai.com/docs/api-reference/audio/createSpeech
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from alltalk.audio import from_pcm16
from alltalk.engine import Chunk, Utterance, Voice
from alltalk.errors import (
    AllTalkError,
    BadValue,
    LoadFailed,
    NotReady,
    QueueFull,
    SynthesisFailed,
    WorkerLost,
)

if TYPE_CHECKING:
    import httpx

OPENAI_VOICES = (
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage",
    "shimmer", "verse",
)  # fmt: skip
"""What a server that lists no voices is taken to have."""

_SAMPLE_RATE = 24000
"""Hz of OpenAI's `pcm`."""


def speech_body(utterance: Utterance, model: str, *, extended: bool) -> dict[str, Any]:
    """What to ask for with OpenAI's fields; `extended`: and with those that AllTalk adds."""
    body: dict[str, Any] = {
        "model": model or "tts-1",
        "input": utterance.text,
        "voice": utterance.voice.name,
        "response_format": "pcm",
        "speed": utterance.speed,
    }
    if utterance.instructions:
        body["instructions"] = utterance.instructions
    if extended:
        extensions = {"language": utterance.language or None, **asdict(utterance.sampling)}
        body |= {name: value for name, value in extensions.items() if value is not None}
    return body


def error_of(response: httpx.Response, url: str) -> AllTalkError:
    """What an answer other than success means here."""
    status = response.status_code
    message, part = _complaint(response)
    text = f"{url} answered {status}: {message}"
    if status in (401, 403):
        return LoadFailed(f"{url} refuses the API key ({status}): {message}")
    if status == 429:
        return QueueFull(text, _retry_after_s(response))
    if status == 503:
        return NotReady(text, _retry_after_s(response))
    if status in (502, 504):
        return WorkerLost(text)
    if 400 <= status < 500:
        return BadValue(part, text)
    return SynthesisFailed(text)


async def chunks(response: httpx.Response) -> AsyncGenerator[Chunk]:
    """The body as sound. Raises SynthesisFailed if there is none."""
    rest, heard, sample_rate = b"", False, _rate(response)
    async for piece in response.aiter_bytes():
        pcm = rest + piece
        whole = len(pcm) & ~1  # a sample may be cut in two by the transport
        rest = pcm[whole:]
        if whole:
            heard = True
            yield Chunk(from_pcm16(pcm[:whole], sample_rate))
    if not heard:
        raise SynthesisFailed(f"{response.url.host} answered without any sound.")


def _rate(response: httpx.Response) -> int:
    """Hz: what `audio/pcm;rate=…` (RFC 2586) says, else 24 kHz."""
    said = re.search(r"\brate=(\d{4,6})\b", response.headers.get("content-type", ""))
    return int(said[1]) if said else _SAMPLE_RATE


def voices_in(listing: Any) -> tuple[Voice, ...]:
    """The voices of a listing: names, or objects with `id` or `name`, below `voices` or `data`."""
    if isinstance(listing, dict):
        listing = listing.get("voices") or listing.get("data")
    names = [_name_of(each) for each in listing] if isinstance(listing, list) else []
    return tuple(Voice(name) for name in dict.fromkeys(names) if name)


def _name_of(voice: Any) -> str:
    if isinstance(voice, dict):
        voice = voice.get("id") or voice.get("name")
    return voice if isinstance(voice, str) else ""


def openai_voices(names: Sequence[str]) -> Mapping[str, str]:
    """OpenAI's names as themselves where the server has them, else spread over what it has."""
    return {
        openai: openai if openai in names else names[index % len(names)]
        for index, openai in enumerate(OPENAI_VOICES)
    }


def _complaint(response: httpx.Response) -> tuple[str, str]:
    """What the server says is wrong, and with which part of the request."""
    content: Any = None
    with suppress(ValueError):
        content = response.json()
    error = content.get("error", content.get("detail")) if isinstance(content, dict) else None
    if isinstance(error, dict):
        return str(error.get("message", ""))[:300], str(error.get("param") or "request")
    return str(error or response.text)[:300].strip() or response.reason_phrase, "request"


def _retry_after_s(response: httpx.Response) -> float:
    with suppress(ValueError):
        return max(0.0, float(response.headers.get("retry-after", "")))
    return 1.0


def said(error: Exception) -> str:
    return str(error) or type(error).__name__
