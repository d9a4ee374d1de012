"""BackendPool: the backends, which of them is current, and speaking on whichever is free."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping, Sequence
from typing import Any

from alltalk.engine import Chunk
from alltalk.errors import NotFound, NotReady
from alltalk.serving.backend import Backend, BackendView, Timing
from alltalk.serving.backend_store import BackendSpec, BackendStore
from alltalk.serving.changes import Changes
from alltalk.serving.choice import Choice
from alltalk.serving.host import Host
from alltalk.serving.requests import LiveRequest
from alltalk.serving.speaking import Speaking
from alltalk.speech import Offer, Segment


class BackendPool:
    """The backends of one server. All of it lives on one event loop.

    A change is saved before it is made, and is carried to its end even when its caller leaves. An
    engine that makes way for another, or for none, is kept until it has spoken for all who began on
    it; one that is loaded again in its own place, `Timing.drain_s` at most. Changes of one backend
    follow one another.
    """

    def __init__(
        self,
        make_host: Callable[[BackendSpec], Host],
        store: BackendStore,
        *,
        timing: Timing | None = None,
    ) -> None:
        """`make_host` does not block; what is wrong with a spec it raises as AllTalkError."""
        self._choice = Choice(timing or Timing())
        self._changes = Changes(make_host, store, self._choice)
        self._jobs = itertools.count()

    async def start(self) -> None:
        """Read the list; its backends load in the background. Raises ConfigError."""
        await self._changes.start()

    async def close(self, grace_s: float = 0.0) -> None:
        """Take no new request, let those that are spoken go on for `grace_s`, unload everything.

        What is still spoken then ends with ShuttingDown.
        """
        await self._choice.close(grace_s)
        await self._changes.close()

    @property
    def timing(self) -> Timing:
        """What it goes by now."""
        return self._choice.timing

    def retime(self, timing: Timing) -> None:
        """Go by `timing` from now on."""
        self._choice.timing = timing
        for backend in self._choice.backends.values():
            backend.timing = timing

    @property
    def bad_takes(self) -> Mapping[str, int]:
        """Engine → takes that could not be their text, since the start."""
        return self._choice.bad_takes

    def speak(
        self,
        segments: Sequence[Segment] | AsyncIterable[Segment],
        live: LiveRequest,
        *,
        whole: bool,
    ) -> AsyncGenerator[tuple[Segment, Chunk | None]]:
        """(segment, chunk) in the order of `segments`; None ends a segment.

        `whole`: nothing is heard before all is spoken, so every free slot is used. Utterances go
        to equal backends, each to the least busy; one that fails without fault of its text is
        spoken again. Leaving (aclose) ends all of it. Raises what the engine raised, NotReady, and
        the request's own error once it is cancelled.
        """
        return Speaking(self._choice, live, self._jobs, whole=whole).pieces(segments)

    def renew(self, change: Callable[[BackendSpec, Offer], Offer]) -> None:
        """Have running backends offer what `change` makes of it: where nothing is loaded again."""
        for backend in self._by_id:
            if (running := backend.running) is not None:
                running.offer = change(backend.spec, running.offer)

    @property
    def offers(self) -> tuple[Offer, ...]:
        """What can be spoken now, each engine and model once; the current backend's first."""
        offers: dict[tuple[str, str], Offer] = {}
        for backend in sorted(self._by_id, key=lambda each: each is not self.current):
            if (offer := backend.offer) is not None:
                offers.setdefault((offer.engine, offer.model), offer)
        return tuple(offers.values())

    async def ready(self, engine: str = "", model: str = "") -> tuple[Offer, ...]:
        """`offers`, once they hold what a request for `engine` and `model` means.

        Empty names mean the current backend. Waits, up to `Timing.ready_wait_s`, only while a
        backend that is meant is loading. Names that nobody will speak are the planner's to refuse.
        Raises NotReady when nothing can speak.
        """
        await self._choice.until(
            lambda: not self._awaited(engine, model), self._choice.timing.ready_wait_s
        )
        if not (offers := self.offers) or self._awaited(engine, model):
            raise self._choice.not_ready(engine, model, self.current)
        return offers

    def is_ready(self, engine: str = "", model: str = "") -> bool:
        """True where `ready` would not wait."""
        return not self._awaited(engine, model)

    @property
    def current(self) -> Backend | None:
        """The backend that V2's routes read and change; None when there is none at all."""
        id = self._changes.list.current
        return None if id is None else self._choice.backends[id]

    @property
    def changing(self) -> bool:
        """True while the current backend is being changed."""
        return self.current is not None and self.current.changing.locked()

    @property
    def backends(self) -> tuple[BackendView, ...]:
        """All of them, by id."""
        return tuple(self.view(each.spec.id) for each in self._by_id)

    def view(self, id: int) -> BackendView:
        """The backend of that id. Raises NotFound."""
        return self._backend(id).view(current=id == self._changes.list.current)

    def spec(self, id: int) -> BackendSpec:
        """As what the backend of that id is configured. Raises NotFound."""
        return self._backend(id).spec

    async def make_current(self, id: int) -> None:
        """Have V2's routes, and requests that name no engine, mean this backend."""
        await self._changes.carry(self._changes.make_current(self._backend(id)))

    async def swap(
        self, engine: str = "", model: str = "", settings: Mapping[str, Any] | None = None
    ) -> Offer:
        """Have the current backend run another engine or model, or the same with `settings`.

        The new one is loaded, then switched to; requests in flight end on the old one. What fails
        (LoadFailed, UnknownModel, StorageError, …) leaves the old one in place. Where memory does
        not hold both, the old one goes first, and comes back after a failure.
        """
        if (backend := self.current) is None:
            raise NotReady("There is no backend. Add one first.")
        return await self._changes.carry(self._changes.swap(backend, engine, model, settings or {}))

    async def add(self, spec: BackendSpec) -> BackendView:
        """Add a backend under a new id, whatever id `spec` has; it loads in the background."""
        return self.view(await self._changes.carry(self._changes.add(spec)))

    async def edit(self, id: int, /, **changes: Any) -> BackendView:
        """Change fields of its `BackendSpec`; `settings` are merged into what is there.

        A new `id` must be free. It is loaded again when more than title or id changed. Raises
        NotFound, BadValue.
        """
        await self._changes.carry(self._changes.edit(self._backend(id), changes))
        return self.view(changes.get("id", id))

    async def remove(self, id: int) -> bool:
        """Remove a backend, at once from choice; who began on it may end there.

        False when there is none.
        """
        backend = self._choice.backends.get(id)
        if backend is None:
            return False
        await self._changes.carry(self._changes.remove(backend))
        return True

    async def toggle(self, id: int, enabled: bool) -> bool:
        """Enable or disable a backend. False when it is so already. Raises NotFound."""
        return await self._changes.carry(self._changes.toggle(self._backend(id), enabled))

    async def restart(self, id: int | None = None) -> int:
        """Load the backend (None: each enabled one) again. Returns how many."""
        chosen = [each for each in self._chosen(id) if each.spec.enabled]
        restarts = (self._changes.carry(self._changes.restart(each)) for each in chosen)
        done = await asyncio.gather(*restarts, return_exceptions=True)
        for result in done:
            if isinstance(result, BaseException) and not isinstance(result, NotFound):
                raise result  # NotFound: it was removed meanwhile
        return sum(not isinstance(result, BaseException) for result in done)

    async def free(self, id: int | None = None) -> int:
        """Free the memory of the backend (None: of each) if it is quiet. Returns how many did."""
        chosen = self._chosen(id)
        return sum(await asyncio.gather(*(self._changes.carry(each.free()) for each in chosen)))

    def _awaited(self, engine: str, model: str) -> bool:
        """True while what is meant cannot be spoken, but will be."""
        if engine:
            spoken = any(self._choice.equal(engine, model))
            return not spoken and self._choice.expected(engine, model)
        current = self.current
        if current is None or not current.coming:
            return False
        return not any(current.means(offer.engine, offer.model) for offer in self.offers)

    @property
    def _by_id(self) -> list[Backend]:
        return [backend for _, backend in sorted(self._choice.backends.items())]

    def _backend(self, id: int) -> Backend:
        try:
            return self._choice.backends[id]
        except KeyError:
            raise NotFound(f"Invalid backend ID {id}") from None

    def _chosen(self, id: int | None) -> list[Backend]:
        return [each for each in self._by_id if id in (None, each.spec.id)]
