"""Remote: a Host whose engine is another server with OpenAI's speech API.

Another AllTalk, or any service with `POST /v1/audio/speech`. Sound is asked for as `pcm`, which
by OpenAI's reference is 16-bit little-endian mono at 24 kHz, and passed on as it arrives.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from alltalk.engine import Capabilities, Chunk, Utterance, Voice
from alltalk.errors import LoadFailed, ShuttingDown, SynthesisFailed, WorkerLost
from alltalk.serving.loop import Job
from alltalk.serving.openai_client import (
    OPENAI_VOICES,
    chunks,
    error_of,
    openai_voices,
    said,
    speech_body,
    voices_in,
)
from alltalk.serving.turns import Turns
from alltalk.speech import Offer

if TYPE_CHECKING:
    import httpx

_LISTINGS = ("/v1/audio/voices", "/v1/voices")
_MISSES = 3
"""Probes in a row without an answer, after which the server is lost."""
_CONNECTED = "http11.send_request_headers.started"
"""What httpcore traces once there is a connection."""
_CAPABILITIES = Capabilities(streaming=True, speed=(0.25, 4.0), instructions=True, max_chars=4096)
"""By OpenAI's reference."""
_SAMPLING = frozenset({"temperature", "top_k", "top_p", "repetition_penalty"})


class Remote:
    """An engine behind another server. Holds no thread and no process, only connections."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str = "",
        engine: str = "remote",
        model: str = "",
        slots: int = 4,
        silence_s: float = 60.0,
        probe_s: float = 10.0,
    ) -> None:
        """`base_url`: with or without `/v1`. `engine` and `model`: what it is offered as.

        `model` is also what the server is asked for; empty: `tts-1`, by custom the server's
        default. `slots`: how much it is asked to speak at a time. `silence_s`: how long it may
        send nothing in the middle of an answer. `probe_s`: between two looks whether it lives.
        """
        self._url = base_url.rstrip("/").removesuffix("/v1")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._engine, self._model = engine, model
        self._slots, self._silence_s, self._probe_s = slots, silence_s, probe_s
        self._client: httpx.AsyncClient | None = None
        self._turns = Turns(slots)
        self._listing = ""
        """The path where it lists its voices; empty: nowhere, it knows OpenAI's fields alone."""
        self._speaking = 0
        self._quiet = asyncio.Event()
        self._stopped = False

    async def start(self) -> Offer:
        """Ask for the voices. Raises LoadFailed when nobody answers, or the key is refused."""
        await self.stop(0.0)
        self._stopped = False
        self._client = self._connect()
        try:
            voices = await self._list_voices(self._client)
        except BaseException:
            await self.stop(0.0)
            raise
        return self._offer(voices)

    async def stream(self, job: Job) -> AsyncGenerator[Chunk]:
        """As in Host. WorkerLost when the connection fails, QueueFull and NotReady when told so."""
        import httpx

        self._speaking += 1
        self._quiet.clear()
        try:
            async with self._turns.of(job), self._answer(job.utterance) as response:
                async for chunk in chunks(response):
                    yield chunk
        except httpx.TransportError as error:
            if self._stopped:
                raise self._closed() from error
            raise WorkerLost(f"{self._url} was lost: {said(error)}.") from error
        finally:
            self._speaking -= 1
            if not self._speaking:
                self._quiet.set()

    async def rest(self) -> None:
        """Nothing: its accelerator is not ours."""

    async def wake(self) -> None:
        """Nothing."""

    async def stop(self, grace_s: float) -> None:
        """As in Host."""
        self._stopped = True
        if self._speaking:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), grace_s)
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def lost(self) -> None:
        """Return when the server has left several probes in a row unanswered."""
        misses = 0
        while misses < _MISSES:
            await asyncio.sleep(self._probe_s)
            misses = 0 if self._client is None or await self._lives(self._client) else misses + 1

    def _connect(self) -> httpx.AsyncClient:
        import httpx

        patience = httpx.Timeout(self._silence_s, connect=5.0, pool=None)
        try:
            return httpx.AsyncClient(base_url=self._url, headers=self._headers, timeout=patience)
        except httpx.InvalidURL as error:
            raise LoadFailed(f"{self._url!r} is not a server's address: {error}.") from error

    async def _list_voices(self, client: httpx.AsyncClient) -> tuple[Voice, ...]:
        """The voices that the server lists, else OpenAI's."""
        for path in _LISTINGS:
            listed = await self._get(client, path)
            if voices := voices_in(listed):
                self._listing = path
                return voices
        await self._get(client, "/v1/models")  # a server that lists nothing may still refuse us
        self._listing = ""
        return tuple(Voice(name) for name in OPENAI_VOICES)

    async def _get(self, client: httpx.AsyncClient, path: str) -> Any:
        """The JSON at `path`; None when there is none. Raises LoadFailed."""
        import httpx

        try:
            response = await client.get(path)
        except (httpx.TransportError, httpx.UnsupportedProtocol) as error:
            raise LoadFailed(f"{self._url} does not answer: {said(error)}.") from error
        if response.status_code in (401, 403) or response.status_code >= 500:
            raise LoadFailed(str(error_of(response, self._url)))
        with suppress(ValueError):
            return response.json() if response.is_success else None
        return None

    async def _lives(self, client: httpx.AsyncClient) -> bool:
        """True for any answer that is the server's own and not a gateway's."""
        import httpx

        try:
            response = await client.get(self._listing or "/v1/models", timeout=5.0)
        except (httpx.TransportError, RuntimeError):  # RuntimeError: closed meanwhile
            return self._stopped
        return response.status_code not in (502, 504)

    def _offer(self, voices: tuple[Voice, ...]) -> Offer:
        names = [voice.name for voice in voices]
        known = (self._url, self._model, names)
        can = replace(_CAPABILITIES, slots=self._slots)
        if self._listing:
            can = replace(can, seed=True, sampling=_SAMPLING)
        return Offer(
            engine=self._engine,
            model=self._model,
            revision=hashlib.sha256(json.dumps(known).encode()).hexdigest(),
            capabilities=can,
            voices=voices,
            settings={"def_character_voice": names[0]},
            openai_voices=openai_voices(names),
        )

    def _closed(self) -> ShuttingDown:
        return ShuttingDown(f"The connection to {self._url} was closed.")

    @asynccontextmanager
    async def _answer(self, utterance: Utterance) -> AsyncIterator[httpx.Response]:
        """The server's answer to `utterance`, open, and sound. Raises what it refused with."""
        client = self._client
        if self._stopped or client is None:
            raise self._closed()

        async def unless_closed(event: str, _: Mapping[str, Any]) -> None:
            # A connection that was still being made as `stop` closed the others is no one else's
            # to end.
            if event == _CONNECTED and self._client is not client:
                raise self._closed()

        body = speech_body(utterance, self._model, extended=bool(self._listing))
        extensions = {"trace": unless_closed}
        async with client.stream(
            "POST", "/v1/audio/speech", json=body, extensions=extensions
        ) as response:
            if not response.is_success:
                await response.aread()
                raise error_of(response, self._url)
            kind = response.headers.get("content-type", "")
            if not kind.startswith(("audio/", "application/octet-stream")):
                raise SynthesisFailed(f"{self._url} answered with {kind or 'nothing'}, not sound.")
            yield response
