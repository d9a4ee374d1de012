"""The server as a client sees it: in this process, over ASGI, with the tone engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from alltalk.app import create_app
from alltalk.home import Home
from alltalk.service import SpeechService


@pytest.fixture
async def app(tmp_path: Path) -> AsyncGenerator[FastAPI]:
    """The whole application at work, its engine loaded."""
    app = create_app(Home(tmp_path), engine="tone")
    async with app.router.lifespan_context(app):
        await app.state.service.pool.ready()
        yield app


@pytest.fixture
def service(app: FastAPI) -> SpeechService:
    """What the doors talk to."""
    service: SpeechService = app.state.service
    return service


@pytest.fixture
async def outputs(app: FastAPI, tmp_path: Path) -> Path:
    """The folder of finished files, once `app` has made it: on a thread, while it may speak."""
    folder = tmp_path / "outputs"
    async with asyncio.timeout(60):
        while not folder.is_dir():  # noqa: ASYNC110 - nothing rings for a test
            await asyncio.sleep(0.005)
    return folder


@pytest.fixture
def outputs_in_the_way(outputs: Path) -> Path:
    """A file where that folder should be."""
    outputs.rmdir()
    outputs.write_text("a file is in the way")
    return outputs


@pytest.fixture
async def client(app: FastAPI) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of `app`; what the application raises is an answer, as in production."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("127.0.0.1", 9999))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield client
