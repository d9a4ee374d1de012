"""What the server does by itself: following settings, deleting old files, freeing memory."""

from __future__ import annotations

import asyncio
import os
import platform
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from alltalk.cache import Cache, Limits
from alltalk.config import Config
from alltalk.memory import used_bytes
from alltalk.outputs import Outputs
from alltalk.scratch import OWNER, PREFIX
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
    tmp_path: Path,
    days: str,
    outputs: Outputs,
    follow: Callable[[], Awaitable[None]],
    offers: tuple[object, ...] = (),
) -> Upkeep:
    cache = Cache(tmp_path / ".cache", Limits(ttl_s=None, max_bytes=1000))
    config = Config(delete_output_wavs=days)
    return Upkeep(lambda: config, outputs, cache, Requests(), follow, lambda: offers)


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


async def test_what_killed_servers_left_among_temporary_files_goes_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / f"{PREFIX}left"
    left.mkdir()
    old_file(left, OWNER)
    looked = asyncio.Event()

    async def follow() -> None:
        looked.set()

    await run_once(tending(tmp_path, "Disabled", Outputs(tmp_path / "outputs"), follow), looked)
    assert not left.exists()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries keep nothing")
@pytest.mark.parametrize("loaded", [True, False])
async def test_memory_that_a_load_left_free_goes_back_to_the_system(
    tmp_path: Path, loaded: bool
) -> None:
    looked = asyncio.Event()

    async def follow() -> None:
        looked.set()

    scattered = [bytearray(4000) for _ in range(50_000)]
    kept = scattered[::100]  # so that it does not go by itself, from the end of the heap
    del scattered
    before = used_bytes()
    offers = (object(),) if loaded else ()
    await run_once(tending(tmp_path, "Disabled", Outputs(tmp_path), follow, offers), looked)
    after = used_bytes()
    assert before is not None
    assert after is not None
    assert (before - after > 100_000_000) == loaded
    assert len(kept) == 500
