"""Sounds: what a visitor has spoken, heard at `/ui/sound/<name>` while it is being made."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

from starlette.responses import FileResponse, PlainTextResponse, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from alltalk.errors import AllTalkError, NotFound, SynthesisFailed
from alltalk.service import SpeechService
from alltalk.speech import FORMATS, AudioFormat, SpeechRequest, Ticket

logger = logging.getLogger(__name__)

PATH = "sound"
"""Below the pages' own."""
PREFIX = "speak_"
LOOKED_AFTER_S = 2.0
"""How often it is seen whether a page that waits or listens is still open."""


class Take:
    """One text being spoken. Its name cannot be guessed: who knows it may hear it."""

    def __init__(self, service: SpeechService, request: SpeechRequest, ticket: Ticket) -> None:
        # Not the request's id, which listings show to others.
        self.name = new_name(request.format)
        self.format, self.ticket = request.format, ticket
        self._service, self._request = service, request
        self._pieces: list[bytes] = []
        self._changed = asyncio.Condition()
        self._is_over = False
        self._error: AllTalkError | None = None

    async def run(self) -> None:
        """Speak it to its end, which leaves a file."""
        try:
            async for piece in self._service.kept(self._request, self.ticket, self.name):
                async with self._changed:
                    self._pieces.append(piece)
                    self._changed.notify_all()
        except AllTalkError as error:
            self._error = error
        except Exception as error:  # ours: the visitor is told, and the log has the rest
            logger.exception("A take on the pages failed")
            self._error = SynthesisFailed(
                f"Something failed that should not ({type(error).__name__}). The log says more."
            )
        finally:
            async with self._changed:
                self._is_over = True
                self._changed.notify_all()

    async def begun(self) -> None:
        """Return at the first sound. Raises what keeps it from being spoken."""
        await self._until(lambda: bool(self._pieces) or self._is_over)

    async def ended(self) -> None:
        """Return when it is a file. Raises what kept it from becoming one, Cancelled included."""
        await self._until(lambda: self._is_over)

    async def going_on(self, every_s: float) -> AsyncGenerator[None]:
        """One None every `every_s` seconds until it has ended. Raises as `ended`."""
        async for _ in _every(every_s, self.ended):
            yield None

    async def waiting(self, every_s: float) -> AsyncGenerator[None]:
        """One None every `every_s` seconds until the first sound. Raises as `begun`."""
        async for _ in _every(every_s, self.begun):
            yield None

    async def pieces(self) -> AsyncGenerator[bytes]:
        """All of it from its beginning, as far as it is, then as it comes."""
        at = 0
        while True:
            async with self._changed:
                while at == len(self._pieces) and not self._is_over:
                    await self._changed.wait()
            if at == len(self._pieces):
                return
            yield self._pieces[at]
            at += 1

    def stop(self) -> None:
        """Speak no further."""
        self._service.requests.cancel(self.ticket.id)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(condition)
        if self._error is not None:
            raise self._error


class Sounds:
    """The takes under way, and the files of those that ended."""

    def __init__(self, service: SpeechService) -> None:
        self._service = service
        self._takes: dict[str, Take] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, request: SpeechRequest, ticket: Ticket) -> Take:
        """Begin to speak."""
        take = Take(self._service, request, ticket)
        self._takes[take.name] = take
        task = asyncio.create_task(take.run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._takes.pop(take.name, None))
        return take

    async def keep(self, content: bytes, format: AudioFormat) -> str:
        """Make `content` a sound that is heard here; its name. Raises StorageError."""
        name = new_name(format)
        await self._service.lane().run(self._service.outputs.write, name, content)
        return name

    def stop(self, name: str) -> bool:
        """Stop the take of that name; False when it has ended."""
        if (take := self._takes.get(name)) is None:
            return False
        take.stop()
        return True

    def path(self, name: str) -> Path:
        """The file of a take that ended. Raises NotFound."""
        if not name.startswith(PREFIX):
            raise NotFound(f"There is no sound {name[:80]!r}.")
        return self._service.outputs.path(name)

    async def delete(self, name: str) -> None:
        """Delete its file; who knows its name may."""
        path = self.path(name)
        await self._service.lane().run(lambda: path.unlink(missing_ok=True))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for the sound that the path's last part names."""
        await self._response(scope["path"].rpartition("/")[2])(scope, receive, send)

    def _response(self, name: str) -> ASGIApp:
        if (take := self._takes.get(name)) is not None:
            return StreamingResponse(take.pieces(), media_type=take.format.content_type)
        try:
            path = self.path(name)
        except NotFound as error:
            return PlainTextResponse(f"{error}\n", 404)
        return FileResponse(path, media_type=_format_of(path).content_type)


async def _every(every_s: float, end: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    while True:
        try:
            async with asyncio.timeout(every_s):
                await end()
            return
        except TimeoutError:
            yield None


def new_name(format: AudioFormat) -> str:
    """The name of a sound, which nobody can guess."""
    return f"{PREFIX}{secrets.token_hex(16)}{format.suffix}"


def _format_of(path: Path) -> AudioFormat:
    return next(each for each in FORMATS.values() if each.suffix == path.suffix)
