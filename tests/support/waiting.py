"""Waiting for what others do, as long as a loaded machine may need for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PATIENCE_S = 60.0
"""How long a test waits for what must come, and lets what must end by itself go on."""


async def until(holds: Callable[[], object]) -> None:
    """Return when `holds()` is true: of threads, processes and others who tell nobody."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.002)
