"""Makes the Python environments of engines whose packages do not get along with the server's.

An environment is built aside, under a hidden name, and gets its place once all its packages are
there. A try that broke off goes on with what pip has installed already.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from alltalk.claims import claim
from alltalk.draft import storage_error
from alltalk.errors import InstallFailed
from alltalk.home import Home, interpreter_of
from alltalk.models.threads import to_its_end
from alltalk.registry import Registry

REQUIREMENTS = "requirements.txt"
Say = Callable[[str], None]
"""Is told a line about what goes on, on the event loop."""

_FIND = """
import importlib.util, sys
sys.exit(", ".join(n for n in sys.argv[1:] if importlib.util.find_spec(n) is None) or 0)
"""


class Environments:
    """The environments of one home."""

    def __init__(self, home: Home, registry: Registry) -> None:
        self._home, self._registry = home, registry

    def needs(self, engine: str) -> bool:
        """True for an engine with an environment of its own that is not there, or out of date."""
        if self._registry.manifest(engine).environment != "own":
            return False
        made_of = self._home.environment(engine) / REQUIREMENTS
        try:
            is_current = made_of.read_bytes() == self._requirements(engine).read_bytes()
        except OSError:
            is_current = False
        return not (is_current and self._home.interpreter(engine).exists())

    async def make(self, engine: str, say: Say) -> None:
        """The environment of `engine`, with all its requirements.

        An older one stays in use until the new one is complete. Raises InstallFailed with what
        pip says, Refused when it is being made already, StorageError.
        """
        place = self._home.environment(engine)
        aside = place.with_name(f".{engine}.partial")
        name = self._registry.manifest(engine).display_name
        with claim(place.with_name(f".{engine}.lock"), f"{name} is being installed already."):
            if not self.needs(engine):
                return
            say(f"Making a Python environment for {name}")
            if not interpreter_of(aside).exists():
                await self._run(name, [sys.executable, "-I", "-m", "venv", str(aside)], say)
            await self._fill(engine, aside, say)
            await to_its_end(_swap, aside, place)

    async def remove(self, engine: str) -> None:
        """Delete the environment of `engine`, if there is one. Raises Refused."""
        place = self._home.environment(engine)
        with claim(place.with_name(f".{engine}.lock"), f"{engine} is being installed."):
            for folder in (place, place.with_name(f".{engine}.partial")):
                await to_its_end(shutil.rmtree, folder, ignore_errors=True)

    async def _fill(self, engine: str, aside: Path, say: Say) -> None:
        """Install and check. Raises InstallFailed."""
        manifest, requirements = self._registry.manifest(engine), self._requirements(engine)
        python = [str(interpreter_of(aside)), "-I"]
        pip = ["-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
        await self._run(manifest.display_name, [*python, *pip, "-r", str(requirements)], say)
        await self._run(manifest.display_name, [*python, "-c", _FIND, *manifest.requires], say)
        await to_its_end(shutil.copyfile, requirements, aside / REQUIREMENTS)

    def _requirements(self, engine: str) -> Path:
        return self._registry.code_folder(engine) / REQUIREMENTS

    async def _run(self, name: str, command: Sequence[str], say: Say) -> None:
        """Run to the end, telling its lines. Raises InstallFailed with the last of them."""
        last: deque[str] = deque(maxlen=5)
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=1 << 20,
        )
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                if text := line.decode(errors="replace").strip():
                    last.append(text)
                    say(text)
            status = await process.wait()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if status:
            raise InstallFailed(
                f"The Python environment of {name} could not be made. {' | '.join(last)}"
            )


def _swap(aside: Path, place: Path) -> None:
    """Give what was built aside its place. Raises StorageError."""
    old = place.with_name(f".{place.name}.old")
    try:
        shutil.rmtree(old, ignore_errors=True)
        if place.exists():
            os.rename(place, old)
        os.rename(aside, place)
    except OSError as error:
        raise storage_error("write", place, error) from error
    shutil.rmtree(old, ignore_errors=True)
