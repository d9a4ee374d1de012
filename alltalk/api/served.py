"""Sends a finished file: whole, in part (Range), or not again (If-None-Match)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from email.utils import formatdate
from typing import BinaryIO

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from alltalk.serving.lane import Lane

BLOCK = 256 * 1024
"""Bytes read at once."""
_RANGE = re.compile(r"bytes=(?:(?P<start>\d{1,15})-(?P<end>\d{0,15})|-(?P<last>\d{1,15}))")


class ServedFile(Response):
    """A file that is open already: one that takes its name meanwhile does not disturb it."""

    def __init__(
        self,
        file: BinaryIO,
        lane: Lane,
        *,
        media_type: str,
        headers: dict[str, str],
        done: Callable[[], None],
        size: int | None = None,
        tag: str = "",
    ) -> None:
        """Closes `file` and calls `done` at the end, however that comes.

        What is no file of the disk comes with its `size` in bytes, and with a `tag` that changes
        with its content.
        """
        self._file, self._lane, self._done = file, lane, done
        known = {"Accept-Ranges": "bytes"}
        if size is None:
            state = os.fstat(file.fileno())
            size, tag = state.st_size, f"{state.st_mtime_ns:x}-{state.st_size:x}"
            known["Last-Modified"] = formatdate(state.st_mtime, usegmt=True)
        self._size, self._tag = size, f'"{tag}"'
        self.status_code, self.media_type, self.background = 200, media_type, None
        self.body = b""
        self.init_headers({**known, "ETag": self._tag, **headers})
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what the request's headers ask for."""
        try:
            start, end = self._chosen(Headers(scope=scope))
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            if scope["method"] != "HEAD":
                await self._send(send, start, end)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._file.close()
            self._done()

    async def _send(self, send: Send, start: int, end: int) -> None:
        """Bytes `start` up to `end`. Where the client has left, sending raises and this ends."""
        while start < end:
            piece = await self._lane.run(self._read, start, min(BLOCK, end - start))
            start += len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            if not piece:
                raise OSError("a file became shorter while it was sent")

    def _read(self, start: int, count: int) -> bytes:
        self._file.seek(start)
        return self._file.read(count)

    def _chosen(self, asked: Headers) -> tuple[int, int]:
        """Which bytes are sent: from, up to. Sets the status and the headers that say so."""
        if asked.get("if-none-match") == self._tag:
            self.status_code = 304
            return 0, 0
        start, end = 0, self._size
        if (found := _RANGE.fullmatch(asked.get("range", ""))) and (
            asked.get("if-range", self._tag) == self._tag
        ):
            start, end = _bounds(found, self._size)
            self.status_code = 206 if start < end else 416
            shown = f"{start}-{end - 1}" if start < end else "*"
            self.headers["Content-Range"] = f"bytes {shown}/{self._size}"
        self.headers["Content-Length"] = str(max(0, end - start))
        return start, end


def _bounds(found: re.Match[str], size: int) -> tuple[int, int]:
    """The range that was asked for: from, up to; empty where there is none such."""
    if found["last"]:
        return max(0, size - int(found["last"])), size
    start = int(found["start"])
    end = min(size, int(found["end"]) + 1) if found["end"] else size
    return start, max(start, end) if start < size else start
