"""Worker: a Host whose engine lives in a child process.

The step stays off the server's interpreter, a crash takes no other engine with it, and the memory
comes back as only a dead process gives it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from alltalk.engine import Capabilities, Chunk, Place, Voice
from alltalk.errors import LoadFailed, NotReady, ShuttingDown, WorkerLost
from alltalk.serving import wire
from alltalk.serving.child import Child
from alltalk.serving.loop import Job
from alltalk.speech import Offer


class Worker:
    """An engine in a process of its own."""

    def __init__(
        self,
        engine: str,
        model: str,
        place: Place,
        settings: Mapping[str, Any],
        home_root: Path,
        offer: Callable[[Capabilities, Sequence[Voice]], Offer],
        *,
        python: Path | None = None,
        stall_s: float = 60.0,
        load_timeout_s: float = 600.0,
    ) -> None:
        """Describes the child; `start` makes it.

        `offer` completes what the loaded engine says of itself. `python`: the interpreter of the
        engine's own environment; None: the server's. A child that has something to speak and ends
        no step for `stall_s` seconds is killed.
        """
        self._load = wire.Load(engine, model, home_root, place, settings)
        self._offer, self._python = offer, python
        self._stall_s, self._load_timeout_s = stall_s, load_timeout_s
        self._process: Child | None = None
        self._restable = self._stopped = False
        self._lost = asyncio.Event()

    async def start(self) -> Offer:
        """As in Host; also after `lost` has returned, or `stop`."""
        self._stopped = False
        ready = await self._launch()
        return self._offer(ready.capabilities, ready.voices)

    def stream(self, job: Job) -> AsyncGenerator[Chunk]:
        """As in Host."""
        if self._stopped:
            raise ShuttingDown(f"{self._load.engine} is being closed.")
        if self._process is None:
            raise NotReady(f"{self._load.engine} is not loaded.")
        return self._process.stream(job)

    async def rest(self) -> None:
        """As in Host. An engine that cannot rest gives its process back instead."""
        if self._restable and self._process is not None:
            await self._ask(self._process, wire.Rest())
        else:
            await self._end(0.0)

    async def wake(self) -> None:
        """As in Host."""
        if self._process is None:
            await self._launch()
        elif self._restable:
            await self._ask(self._process, wire.Wake())

    async def stop(self, grace_s: float) -> None:
        """As in Host. Returns when the process is gone."""
        self._stopped = True
        await self._end(grace_s)

    async def lost(self) -> None:
        """As in Host."""
        await self._lost.wait()

    async def _launch(self) -> wire.Ready:
        """A child with its engine loaded; the one before it is gone."""
        await self._end(0.0)
        process = await Child.spawn(self._load, self._python, self._stall_s)
        try:
            ready = await self._ask(process, self._load)
        except WorkerLost as error:
            raise LoadFailed(f"{self._load.engine} could not be loaded. {error}") from error
        except BaseException:
            process.kill("was not needed any more")  # it may be deep in a load
            await process.end(0.0)
            raise
        assert isinstance(ready, wire.Ready)
        self._process, self._restable = process, ready.restable
        self._lost.clear()
        process.life.add_done_callback(lambda _: self._note_end(process))
        return ready

    async def _ask(self, process: Child, message: wire.Asking) -> wire.Answer:
        """What `process` answers. One that does not answer in time is of no use, and killed."""
        try:
            async with asyncio.timeout(self._load_timeout_s):
                return await process.ask(message)
        except TimeoutError:
            process.kill(f"did not answer for {self._load_timeout_s:g} s and was killed")
            asked = type(message).__name__.lower()
            raise LoadFailed(
                f"{self._load.engine} did not {asked} within {self._load_timeout_s:g} s."
            ) from None

    async def _end(self, grace_s: float) -> None:
        if (process := self._process) is not None:
            await process.end(grace_s)
            if self._process is process:
                self._process = None

    def _note_end(self, process: Child) -> None:
        if process is self._process and not process.leaving:
            self._lost.set()
