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


class Gpus:
    """Asks, once at a time: a driver that hangs does not even let go of a query that is killed."""

    def __init__(self) -> None:
        self._asking: asyncio.Task[tuple[Gpu, ...]] | None = None
        self._until = 0.0

    async def look(self) -> tuple[Gpu, ...]:
        """All of them; none where there is no `nvidia-smi`, or where it does not answer.

        Who looks while it is asked is told the same.
        """
        loop = asyncio.get_running_loop()
        if self._asking is None or self._asking.done():
            self._asking, self._until = loop.create_task(_asked()), loop.time() + PATIENCE_S
        asking = self._asking
        await asyncio.wait([asking], timeout=max(0.0, self._until - loop.time()))
        return asking.result() if asking.done() else ()


async def _asked() -> tuple[Gpu, ...]:
    """Does not end before the tool does, however long that takes, unless it is cancelled."""
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
        _kill(child)
        await child.wait()
        return ()
    finally:
        if child.returncode is None:  # cancelled: the program ends
            _kill(child)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    await child.wait()
    return tuple(_read(told.decode(errors="replace"))) if child.returncode == 0 else ()


def _kill(child: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.kill()


def _read(told: str) -> Iterator[Gpu]:
    """A line a card; what a card does not tell is `[N/A]` or `[Not Supported]`."""
    for line in told.splitlines():
        parts = [part.strip() for part in line.rsplit(",", 3)]
        if len(parts) < 4:  # "No devices were found"
            continue
        used, total, busy = (int(each) if each.isdecimal() else None for each in parts[1:])
        if used is not None and total:
            yield Gpu(parts[0], used, total, None if busy is None else busy / 100)
