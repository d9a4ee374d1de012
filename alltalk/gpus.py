"""The graphics cards of this machine and how full they are, as NVIDIA's own tool tells it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

PATIENCE_S = 5.0
"""A driver that hangs must not hang who asks."""
_QUERY = ("--query-gpu=name,memory.used,memory.total,utilization.gpu",)
_FORMAT = ("--format=csv,noheader,nounits",)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One card, as of now."""

    name: str
    used_mb: int
    """By all programs."""
    total_mb: int
    busy: float | None
    """Share of the last moments in which it worked, 0 to 1; None: it does not tell."""


async def gpus() -> tuple[Gpu, ...]:
    """All of them; none where there is no `nvidia-smi`, or where it does not answer."""
    if (tool := shutil.which("nvidia-smi")) is None:
        return ()
    child = await asyncio.create_subprocess_exec(
        *(tool, *_QUERY, *_FORMAT),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            told, _ = await child.communicate()
    except TimeoutError:
        return ()
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    return tuple(_read(told.decode(errors="replace"))) if child.returncode == 0 else ()


def _read(told: str) -> Iterator[Gpu]:
    """A line a card; what a card does not tell is `[N/A]` or `[Not Supported]`."""
    for line in told.splitlines():
        parts = [part.strip() for part in line.rsplit(",", 3)]
        if len(parts) < 4:  # "No devices were found"
            continue
        used, total, busy = (int(each) if each.isdecimal() else None for each in parts[1:])
        if used is not None and total:
            yield Gpu(parts[0], used, total, None if busy is None else busy / 100)
