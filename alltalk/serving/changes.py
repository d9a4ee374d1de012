"""Changes: how the list of backends changes: saved first, then drained, then loaded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

from alltalk.errors import AllTalkError, NotFound, OutOfMemory
from alltalk.serving.backend import Backend
from alltalk.serving.backend_store import BackendList, BackendSpec, BackendStore
from alltalk.serving.choice import Choice
from alltalk.serving.host import Host
from alltalk.serving.lane import Lane
from alltalk.serving.running import Running
from alltalk.speech import Offer

P = ParamSpec("P")
T = TypeVar("T")


class Changes:
    """Makes the pool's changes. Those of one backend follow one another."""

    def __init__(
        self, make_host: Callable[[BackendSpec], Host], store: BackendStore, choice: Choice
    ) -> None:
        """The backends are those of `choice`, the list is that of `store`."""
        self.list = BackendList()
        """As saved last."""
        self._make_host = make_host
        self._store = store
        self._choice = choice
        self._next_id = 0
        self._saving = asyncio.Lock()
        self._running: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Read the list; its backends load in the background. Raises ConfigError."""
        self.list = await _on_a_thread(self._store.load)
        for spec in self.list.backends:
            self._install(spec)

    async def close(self) -> None:
        """Abandon changes that are under way, and unload everything."""
        for change in self._running:
            change.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await asyncio.gather(
            *(backend.stop() for backend in self._choice.backends.values()),
            *(running.stop() for running in self._choice.leaving),
        )

    async def carry(self, change: Coroutine[Any, Any, T]) -> T:
        """What `change` returns; it is carried to its end even if the caller leaves."""
        return await asyncio.shield(self._spawn(change))

    async def add(self, spec: BackendSpec) -> int:
        """Add it under a new id, which is returned."""
        spec = replace(spec, id=self._next_id)
        self._next_id += 1
        await self._save(lambda saved: saved.adding(spec))
        self._install(spec)
        return spec.id

    async def make_current(self, backend: Backend) -> None:
        """Have it be the current one."""
        async with self._change(backend):
            await self._save(lambda saved: replace(saved, current=backend.spec.id))

    async def edit(self, backend: Backend, changes: Mapping[str, Any]) -> None:
        """Change its spec, and load it again if that says more than another title or id."""
        async with self._change(backend):
            old = backend.spec
            spec = old.edited(changes)
            await self._save(lambda saved: saved.replacing(old.id, spec))
            self._respecify(backend, spec)
            backend.modcount += 1
            if spec != replace(old, id=spec.id, title=spec.title):
                await self._load_again(backend)

    async def toggle(self, backend: Backend, enabled: bool) -> bool:
        """Enable or disable it; False when it is so already."""
        async with self._change(backend):
            if backend.spec.enabled == enabled:
                return False
            spec = replace(backend.spec, enabled=enabled)
            await self._save(lambda saved: saved.replacing(spec.id, spec))
            self._respecify(backend, spec)
            await self._load_again(backend)
        return True

    async def restart(self, backend: Backend) -> None:
        """Load it again."""
        async with self._change(backend):
            await self._load_again(backend)

    async def remove(self, backend: Backend) -> None:
        """Take it out of the list and of choice; it stops once those who began on it are done."""
        async with self._change(backend):
            await self._save(lambda saved: saved.removing(backend.spec.id))
            del self._choice.backends[backend.spec.id]
            running = backend.running
            if running is not None:
                self._choice.retire(running)
            await backend.give_up()
            if running is not None:
                self._spawn(self._end(running))

    async def swap(
        self, backend: Backend, engine: str, model: str, settings: Mapping[str, Any]
    ) -> Offer:
        """As `BackendPool.swap`."""
        async with self._change(backend):
            spec = backend.spec.swapped(engine, model, settings)
            fresh = await self._load_beside(backend, spec)
            try:
                await self._save(lambda saved: saved.replacing(spec.id, spec))
            except BaseException:
                await fresh.stop()
                raise
            self._respecify(backend, spec)
            old = await backend.give_up()
            backend.start(fresh)
            if old is not None:
                self._choice.retire(old)
                self._spawn(self._end(old))
        return fresh.offer

    async def _load_beside(self, backend: Backend, spec: BackendSpec) -> Running:
        """An engine by `spec`, beside the one that runs, or in its place if memory asks for it."""
        try:
            return await backend.load(spec)
        except OutOfMemory:
            if backend.running is None:
                raise
        await self._unload(backend, self._choice.timing.exchange_s)
        try:
            return await backend.load(spec)
        except AllTalkError:
            backend.start()
            raise

    async def _load_again(self, backend: Backend) -> None:
        """Stop it once those who speak on it are done; if it is enabled, load it."""
        await self._unload(backend, self._choice.timing.drain_s)
        backend.start()

    async def _unload(self, backend: Backend, most_s: float) -> None:
        if backend.running is not None:
            await self._choice.drain(backend.running, most_s)
        await backend.stop()

    async def _end(self, running: Running) -> None:
        """Stop what is no backend's any more once those who began on it are done."""
        await self._choice.outlast(running)
        await running.stop()
        self._choice.leaving.discard(running)

    @asynccontextmanager
    async def _change(self, backend: Backend) -> AsyncGenerator[None]:
        """One change of `backend` at a time. Raises NotFound when it went meanwhile."""
        async with backend.changing:
            if backend not in self._choice.backends.values():
                raise NotFound(f"Invalid backend ID {backend.spec.id}")
            yield

    async def _save(self, change: Callable[[BackendList], BackendList]) -> None:
        """Save the list as `change` makes it. Raises StorageError, BadValue; the old one stands.

        The caller takes the change over without waiting for anything in between.
        """
        async with self._saving:
            changed = change(self.list)
            await _on_a_thread(self._store.save, changed)
            self.list = changed

    def _respecify(self, backend: Backend, spec: BackendSpec) -> None:
        """Have a backend go by what was saved, under its id."""
        del self._choice.backends[backend.spec.id]
        self._choice.backends[spec.id] = backend
        self._next_id = max(self._next_id, spec.id + 1)
        backend.respecify(spec)

    def _install(self, spec: BackendSpec) -> None:
        timing, changed = self._choice.timing, self._choice.bell.ring
        backend = Backend(spec, self._make_host, timing=timing, changed=changed)
        self._choice.backends[spec.id] = backend
        self._next_id = max(self._next_id, spec.id + 1)
        backend.start()

    def _spawn(self, change: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(change)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        # A caller who left does not ask for the error; what it did is seen at the backend.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task


async def _on_a_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `call` returns: reading and writing the list is rare, and blocks."""
    lane = Lane("backends")
    try:
        return await lane.run(call, *args, **kwargs)
    finally:
        lane.close()
