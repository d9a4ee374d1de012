"""Documents on disk, and a whole server's parts with the tone engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest

from alltalk.documents import DocumentStore, Limits
from alltalk.home import Home
from alltalk.product import Product, build, running

PATIENCE_S = 60.0
"""How long a test waits for what must come."""


@pytest.fixture
def store(tmp_path: Path) -> DocumentStore:
    """An empty store."""
    return DocumentStore(tmp_path / "documents", lambda: Limits(10, 10_000))


@pytest.fixture
async def product(tmp_path: Path) -> AsyncGenerator[Product]:
    """The whole program at work, without its doors."""
    product = build(Home(tmp_path), engine="tone", environ={})
    async with running(product, tended=False):
        await product.pool.ready()
        yield product


@pytest.fixture
def until() -> Callable[..., object]:
    """`await until(holds)`: return once `await holds()` is true."""

    async def wait(holds: Callable[[], object]) -> None:
        for _ in range(int(PATIENCE_S / 0.005)):
            if await holds():
                return
            await asyncio.sleep(0.005)
        raise AssertionError("it did not come")

    return wait
