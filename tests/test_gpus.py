"""Graphics cards, as a program called `nvidia-smi` on the path tells them."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from alltalk import gpus as module
from alltalk.gpus import Gpu, Gpus

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the tool here is a shell script")


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """Puts a tool that does `script` in front of the path."""

    monkeypatch.setattr(module, "PATIENCE_S", 60.0)

    def put(script: str) -> None:
        path = Path(tmp_path, "nvidia-smi")
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return put


async def test_each_card_is_told_with_what_it_says_of_itself(tool):
    tool("echo 'NVIDIA H100, 80GB, 1024, 81559, 37'; echo 'Old, 10, 2048, [N/A]'")
    assert await Gpus().look() == (
        Gpu("NVIDIA H100, 80GB", 1024, 81559, 0.37),
        Gpu("Old", 10, 2048, None),
    )


@pytest.mark.parametrize("script", ["echo 'No devices were found'", "echo failed; exit 9", "true"])
async def test_a_tool_that_knows_of_none_tells_of_none(tool, script):
    tool(script)
    assert await Gpus().look() == ()


async def test_a_driver_that_hangs_is_not_waited_for(tool, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)
    tool("exec sleep 3600")
    gpus = Gpus()
    assert await gpus.look() == ()
    async with asyncio.timeout(60):
        assert await gpus._asking == ()  # it was killed, and is gone


async def test_a_query_that_not_even_a_kill_ends_is_left_alone_and_no_other_begun(
    tool, tmp_path, monkeypatch
):
    begun, killed = [], asyncio.Event()
    start = asyncio.create_subprocess_exec

    async def started(*command, **named):
        begun.append(await start(*command, **named))
        return begun[-1]

    tool("exec sleep 3600")
    gpus = Gpus()
    with monkeypatch.context() as patched:
        patched.setattr(module, "PATIENCE_S", 0.05)
        patched.setattr(module, "_kill", lambda child: killed.set())
        patched.setattr(asyncio, "create_subprocess_exec", started)
        assert await asyncio.gather(*(gpus.look() for _ in range(3))) == [()] * 3
        async with asyncio.timeout(60):
            await killed.wait()
        assert await gpus.look() == ()
    (child,) = begun
    child.kill()
    await gpus._asking
    tool("echo 'NVIDIA H100, 1024, 81559, 37'")
    assert len(await gpus.look()) == 1


async def test_without_the_tool_there_are_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert await Gpus().look() == ()
