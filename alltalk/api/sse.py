"""Speech as server-sent events, the way OpenAI's clients read them."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from starlette.requests import Request

from alltalk.api.errors import openai_error
from alltalk.errors import AllTalkError


async def events(
    http: Request, sound: AsyncIterator[bytes], *, characters: int
) -> AsyncGenerator[bytes]:
    """`sound` as `speech.audio.delta` events, then `speech.audio.done` with the usage.

    Input tokens are the text's characters; output tokens the KiB of sound sent, rounded up. What
    fails in the middle is told in an event and raised: the connection drops, and nobody takes what
    they have for the whole.
    """
    sent = 0
    try:
        async for piece in sound:
            sent += len(piece)
            yield _event({"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()})
    except AllTalkError as error:
        http.scope["alltalk.error"] = error  # counted, though the status was 200
        yield _event({"type": "error", "error": openai_error(error)})
        raise
    output = -(-sent // 1024)
    usage = {
        "input_tokens": characters,
        "output_tokens": output,
        "total_tokens": characters + output,
    }
    yield _event({"type": "speech.audio.done", "usage": usage})


def _event(content: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(content, ensure_ascii=False).encode() + b"\n\n"
