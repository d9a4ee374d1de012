"""What the server does by itself: following settings, deleting old files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from alltalk.cache import Cache, Limits
from alltalk.config import Config
from alltalk.outputs import Outputs
from alltalk.serving.requests import Requests
from alltalk.upkeep import Upkeep


def old_file(folder: Path, name: str) -> Path:
    file = folder / name
    file.write_bytes(b"sound")
    os.utime(file, (0, 0))
    return file


async def run_once(upkeep: Upkeep, looked: asyncio.Event) -> None:
    """Until it has cleaned, and looked for changed settings a second time."""
    task = asyncio.create_task(upkeep.run())
    async with asyncio.timeout(60):
        for _ in range(2):
            await looked.wait()
            looked.clear()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def tending(
    tmp_path: Path, days: str, outputs: Outputs, follow: Callable[[], Awaitable[None]]
) -> Upkeep:
    cache = Cache(tmp_path / ".cache", Limits(ttl_s=None, max_bytes=1000))
    return Upkeep(lambda: Config(delete_output_wavs=days), outputs, cache, Requests(), follow)


@pytest.mark.parametrize(
    ("days", "left"), [("1 Day", {"read.wav"}), ("Disabled", {"read.wav", "old.wav"})]
)
async def test_old_files_go_but_not_while_somebody_reads_them(
    tmp_path: Path, days: str, left: set[str]
) -> None:
    old_file(tmp_path, "old.wav")
    old_file(tmp_path, "read.wav")
    outputs, looked = Outputs(tmp_path), asyncio.Event()

    async def follow() -> None:
        looked.set()

    file, done = outputs.open("read.wav")
    with file:
        upkeep = tending(tmp_path, days, outputs, follow)
        await run_once(upkeep, looked)
    done()
    assert set(os.listdir(tmp_path)) == left


async def test_a_folder_that_cannot_be_made_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file is in the way")
    looked = asyncio.Event()

    async def follow() -> None:
        looked.set()

    upkeep = tending(tmp_path, "1 Day", Outputs(tmp_path / "taken"), follow)
    await run_once(upkeep, looked)
