"""A small HTTP/1.1 client for measuring: keep-alive, one request at a time per connection.

General clients spend more on a request than the server does; this one parses only what it needs.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and when."""

    status: int
    body: bytes
    first_s: float
    """Seconds from sending to the first byte of the body."""
    total_s: float
    """Seconds from sending to the last."""

    @property
    def json(self) -> Any:
        """What the body says."""
        return json.loads(self.body)


class Client:
    """One connection."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Client:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._writer.close()

    async def send(self, raw: bytes) -> Answer:
        """Send one whole request and read its answer."""
        started = time.perf_counter()
        self._writer.write(raw)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status = int(head.split(" ", 2)[1])
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        if "content-length" in fields:
            length = int(fields["content-length"])
            body = await self._reader.readexactly(min(1, length))
            first = time.perf_counter()
            body += await self._reader.readexactly(length - len(body))
        else:
            body, first = await self._chunked()
        now = time.perf_counter()
        return Answer(status, body, first - started, now - started)

    async def _chunked(self) -> tuple[bytes, float]:
        pieces, first = [], 0.0
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            first = first or time.perf_counter()
            pieces.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        await self._reader.readexactly(2)
        return b"".join(pieces), first or time.perf_counter()


def get(path: str) -> bytes:
    """A GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def post(path: str, body: dict[str, Any]) -> bytes:
    """A POST request with a JSON body."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def load(
    port: int, raw: bytes, *, clients: int, requests: int, check: Callable[[Answer], bool]
) -> list[Answer]:
    """`requests` answers in all, from `clients` connections at once. Raises on a wrong answer."""
    answers: list[Answer] = []

    async def one() -> None:
        async with Client(port) as client:
            while len(answers) < requests:
                answer = await client.send(raw)
                if not check(answer):
                    raise RuntimeError(f"wrong answer: {answer.status} {answer.body[:200]!r}")
                answers.append(answer)

    await asyncio.gather(*(one() for _ in range(clients)))
    return answers


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
