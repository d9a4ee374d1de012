"""Presence: tells a Redis server, again and again, that this server is there and how busy it is.

Each server writes `tts:nodes:{node_id}`, a JSON object that expires soon after the server stops
writing: a router finds who lives, and chooses the least busy.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from alltalk import config
from alltalk.errors import ConfigError

logger = logging.getLogger(__name__)

PATIENCE_S = 2.0
"""How long Redis may take to answer, seconds."""
State = Mapping[str, Any]


@asynccontextmanager
async def announced(
    settings: config.Presence, port: int, state: Callable[[], State]
) -> AsyncGenerator[None]:
    """Write `state()` every `settings.interval_s` seconds while inside; gone from Redis after.

    `port`: what the server listens at. Nothing happens without an address. A Redis that is away
    is tried again; it never keeps this server from working. Raises ConfigError when the extra is
    not installed or the address is none.
    """
    if not settings.redis_url:
        yield
        return
    client, errors = _client(settings.redis_url)
    node = _Node(client, errors, settings, port, state)
    writing = asyncio.create_task(node.write_on(), name="presence")
    try:
        yield
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await node.leave()


class _Node:
    """This server's entry."""

    def __init__(
        self,
        client: Any,
        errors: tuple[type[Exception], ...],
        settings: config.Presence,
        port: int,
        state: Callable[[], State],
    ) -> None:
        self._client, self._errors, self._state = client, errors, state
        self._host = settings.node_host or socket.gethostname()
        self._port = settings.node_port or port
        self._interval_s = settings.interval_s
        node_id = settings.node_id or f"{socket.gethostname()}-{self._port}"
        self._key = f"tts:nodes:{node_id}"
        self._expiry_s = max(2, int(settings.interval_s * 3 + 1))
        self._away = False

    async def write_on(self) -> None:
        """Write for ever; says once that Redis is away, and once that it is back."""
        while True:
            try:
                await self._client.set(self._key, self._entry(), ex=self._expiry_s)
                if self._away:
                    logger.info("Redis is back; this server is announced as %s.", self._key)
                self._away = False
            except self._errors as error:
                if not self._away:
                    logger.warning("Redis does not answer (%s); trying on.", error)
                self._away = True
            await asyncio.sleep(self._interval_s)

    async def leave(self) -> None:
        """Remove the entry; where that fails it expires."""
        with suppress(*self._errors, asyncio.TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await self._client.delete(self._key)
        await self._client.aclose()

    def _entry(self) -> str:
        place = {"host": self._host, "port": self._port, "ts": time.time()}
        return json.dumps({**self._state(), **place})


def _client(url: str) -> tuple[Any, tuple[type[Exception], ...]]:
    """A client of the Redis at `url`, and what it raises when that is away."""
    try:
        import redis.asyncio
    except ImportError as error:
        raise ConfigError(
            "presence.redis_url is set, but the Redis client is not installed: "
            'pip install "alltalk[redis]".'
        ) from error
    try:
        client = redis.asyncio.from_url(
            url, socket_timeout=PATIENCE_S, socket_connect_timeout=PATIENCE_S
        )
    except ValueError as error:
        raise ConfigError(f"presence.redis_url is no address of a Redis: {error}.") from error
    return client, (redis.asyncio.RedisError, OSError)
