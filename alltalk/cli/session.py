"""A service inside the command's own process: no server has to run."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from alltalk.home import Home
from alltalk.product import build, running
from alltalk.service import SpeechService


@asynccontextmanager
async def session(
    home: Path | None, engine: str | None, device: str = "cpu"
) -> AsyncGenerator[SpeechService]:
    """The service of `home`, with `engine` loaded on `device`, or the configured one."""
    product = build(Home.find(home), engine=engine, device=device, solo=True)
    async with running(product, tended=False):
        await product.service.pool.ready()
        yield product.service
