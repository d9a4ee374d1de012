"""Presence, against a real Redis."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis.asyncio

from alltalk import presence
from alltalk.config import Presence
from alltalk.errors import ConfigError
from alltalk.presence import announced

STATE = {"load_score": 0.25, "accepts_requests": True, "engine": "tone"}


@dataclass
class Redis:
    """A Redis server of the test's own, that can go away and come back."""

    program: str
    socket: Path
    """Where it listens; no port, which another program may take first."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [self.program, "--port", "0", "--unixsocket", str(self.socket), "--save", ""],
            cwd=self.socket.parent,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while not self._listens():
            assert time.monotonic() < deadline, "redis-server does not listen"
            time.sleep(0.02)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)
            self.process = None


@pytest.fixture
def server(needs, tmp_path) -> Iterator[Redis]:
    server = Redis(needs("redis-server"), tmp_path / "redis")
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def client(server):
    client = redis.asyncio.from_url(server.url)
    yield client
    await client.aclose()


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A Redis that answers late on a busy machine is not away."""
    monkeypatch.setattr(presence, "PATIENCE_S", 60.0)


async def until(look: Callable[[], Awaitable[object]]) -> object:
    """What `look` finds, as soon as it finds something; a Redis cannot be waited for."""
    for _ in range(3000):
        if found := await look():
            return found
        await asyncio.sleep(0.02)
    raise AssertionError("not within a minute")


async def test_a_server_is_announced_while_it_runs_and_gone_after(server, client):
    settings = Presence(redis_url=server.url, node_id="n1", node_host="tts.lan", interval_s=0.05)

    async def left_ms() -> int:
        return max(0, await client.pttl("tts:nodes:n1"))

    async with announced(settings, 7851, lambda: STATE):
        entry = json.loads(await until(lambda: client.get("tts:nodes:n1")))
        assert abs(entry.pop("ts") - time.time()) < 60
        assert entry == {**STATE, "host": "tts.lan", "port": 7851}
        assert await until(left_ms) <= 2000
    assert await client.keys("*") == []


async def test_the_entry_follows_the_load(server, client):
    state = dict(STATE)
    settings = Presence(redis_url=server.url, node_id="n1", interval_s=0.05)

    async def busy() -> bool:
        text = await client.get("tts:nodes:n1")
        return bool(text) and json.loads(text)["load_score"] == 1.0

    async with announced(settings, 7851, lambda: state):
        await until(lambda: client.get("tts:nodes:n1"))
        state["load_score"] = 1.0
        await until(busy)


async def test_servers_of_one_machine_have_entries_of_their_own(server, client):
    settings = Presence(redis_url=server.url, interval_s=0.05)

    async def both() -> bool:
        return len(await client.keys("tts:nodes:*")) == 2

    async with announced(settings, 1, lambda: STATE), announced(settings, 2, lambda: STATE):
        await until(both)


async def test_a_redis_that_went_away_is_found_again_and_told_of_once(server, client, caplog):
    caplog.set_level(logging.INFO, "alltalk.presence")
    settings = Presence(redis_url=server.url, node_id="n1", interval_s=0.05)

    async def said(word: str) -> bool:
        return word in caplog.text

    async with announced(settings, 7851, lambda: STATE):
        await until(lambda: client.get("tts:nodes:n1"))
        server.stop()
        await until(lambda: said("does not answer"))
        await asyncio.sleep(0.3)
        server.start()
        await until(lambda: said("is back"))
    assert caplog.text.count("does not answer") == 1


async def test_a_redis_that_is_away_keeps_nobody_from_starting_or_stopping(server):
    server.stop()
    settings = Presence(redis_url=server.url, interval_s=0.05)
    async with asyncio.timeout(60), announced(settings, 7851, lambda: STATE):
        await asyncio.sleep(0.1)


async def test_nothing_happens_without_an_address():
    before = asyncio.all_tasks()
    async with announced(Presence(), 7851, lambda: STATE):
        assert asyncio.all_tasks() == before


async def test_an_address_of_something_else_is_refused_by_its_key():
    with pytest.raises(ConfigError, match=r"presence\.redis_url"):
        async with announced(Presence(redis_url="http://here"), 7851, lambda: STATE):
            raise AssertionError("started")


async def test_a_missing_client_is_named_with_what_installs_it(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "redis"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigError, match=r'pip install "alltalk\[redis\]"'):
        async with announced(Presence(redis_url="redis://here"), 7851, lambda: STATE):
            raise AssertionError("started")
