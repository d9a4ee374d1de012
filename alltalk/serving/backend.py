"""Backend: a configured engine, loaded and kept loaded in the background."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from alltalk.engine import Capabilities
from alltalk.errors import AllTalkError, LoadFailed, WorkerLost
from alltalk.serving.backend_store import REMOTE, BackendSpec
from alltalk.serving.host import Host
from alltalk.serving.running import Running
from alltalk.speech import Offer

logger = logging.getLogger(__name__)


class State(StrEnum):
    """What a backend is doing."""

    WAITING = "waiting"
    """To be loaded, or between two attempts."""
    LOADING = "loading"
    RUNNING = "running"
    RESTING = "resting"
    """Loaded, its weights outside the accelerator; the next utterance wakes it."""
    IDLE = "idle"
    """A remote that does not answer; it is asked again from time to time."""
    ERRORED = "errored"
    """Every attempt to load it failed; a restart or an edit tries again."""
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Timing:
    """How long backends and those who wait for them have patience. Seconds, but for attempts."""

    attempts: int = 3
    """Loads that fail, or engines that die unused, in a row until it is errored."""
    retry_pause_s: float = 1.0
    remote_pause_s: float = 30.0
    """Between two looks at a remote that did not answer."""
    ready_wait_s: float = 120.0
    """How long a request waits for an engine that is loading."""
    drain_s: float = 10.0
    """How long running requests may go on before their backend is loaded again."""
    exchange_s: float = 60.0
    """The same before another engine or model takes its place, where memory does not hold both."""
    paused_s: float = 120.0
    """How long an engine that is to go is kept for a listener who takes no sound."""
    bad_takes: int = 2
    """How often an utterance whose take was bad is spoken again."""
    idle_rest_s: float | None = None
    """Memory is freed after so long without a request; None: never."""
    low_vram_rest_s: float = 1.0
    """The same with the engine's low-VRAM setting on."""


@dataclass(frozen=True, slots=True)
class BackendView:
    """A backend as a listing shows it."""

    id: int
    type: str
    title: str
    status: State
    enabled: bool
    current: bool
    settings: Mapping[str, Any]
    modcount: int
    """How often it was edited since the server started."""
    features: tuple[str, ...]
    """What the loaded engine can do, by the names of `Capabilities`; empty when it is not."""
    max_usages: int
    usages: int
    """Utterances in it, waiting and running."""
    seconds_since_used: float | None
    """None: unused since it was loaded."""
    can_load_models: bool
    current_model: str
    """Empty when nothing is loaded."""
    error: str
    """Why it is errored, idle or waits for another attempt; else empty."""
    device: str
    process: str

    @property
    def time_since_used(self) -> str:
        """`seconds_since_used` in words, `Never` if unused."""
        seconds = self.seconds_since_used
        if seconds is None:
            return "Never"
        for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
            if seconds >= size:
                return f"{seconds / size:.1f} {unit}s ago"
        return f"{seconds:.0f} seconds ago"


class Backend:
    """A spec, and what became of it. Whoever starts, stops or respecifies it holds `changing`."""

    def __init__(
        self,
        spec: BackendSpec,
        make_host: Callable[[BackendSpec], Host],
        *,
        timing: Timing,
        changed: Callable[[], None],
    ) -> None:
        """`changed` is called at every change of state."""
        self.spec = spec
        self.timing = timing
        self.modcount = 0
        self.error: AllTalkError | None = None
        self.running: Running | None = None
        self.changing = asyncio.Lock()
        self._last_offer: Offer | None = None
        """What it offered when it last ran as it is configured now."""
        self._state = State.WAITING if spec.enabled else State.DISABLED
        self._make_host = make_host
        self._changed = changed
        self._keeper: asyncio.Task[None] | None = None

    @property
    def state(self) -> State:
        """What it is doing now."""
        if self.running is not None and self.running.resting:
            return State.RESTING
        return self._state

    @property
    def open_running(self) -> Running | None:
        """What runs, if it takes requests now."""
        running = self.running
        return running if running and not running.closing and self.spec.max_usages != 0 else None

    @property
    def offer(self) -> Offer | None:
        """What it speaks now; None while it takes no requests."""
        running = self.open_running
        return running.offer if running else None

    @property
    def coming(self) -> bool:
        """True while it is about to run: loading, between attempts, or to be loaded again."""
        if self.running is not None:
            return self.running.closing and self.spec.enabled
        return self._state in (State.WAITING, State.LOADING)

    def means(self, engine: str, model: str = "") -> bool:
        """True where `model` (empty: any) of `engine` is what it runs when it runs."""
        if (offer := self.offer or self._last_offer) is not None:
            return offer.engine == engine and model in ("", offer.model)
        return self.spec.type in (engine, REMOTE) and (not model or self.spec.model in (model, ""))

    def respecify(self, spec: BackendSpec) -> None:
        """Go by `spec` from the next `start` on."""
        if spec != replace(self.spec, id=spec.id, title=spec.title, enabled=spec.enabled):
            self._last_offer = None
        self.spec = spec

    def start(self, running: Running | None = None) -> None:
        """Load in the background, if it is enabled, and stay loaded. Returns at once.

        `running` is loaded already.
        """
        assert self._keeper is None, "started twice"
        if running is not None:
            self._runs(running)
        elif not self.spec.enabled:
            return
        self._keeper = asyncio.create_task(self._keep(running), name=f"backend {self.spec.id}")

    async def stop(self, grace_s: float = 0.0) -> None:
        """Unload; what is still spoken after `grace_s` seconds ends. Loading ends at once."""
        running = await self.give_up()
        if running is not None:
            await running.stop(grace_s)

    async def give_up(self) -> Running | None:
        """Stop keeping it loaded, and hand over what runs: the caller stops that."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        running, self.running = self.running, None
        self._become(State.WAITING if self.spec.enabled else State.DISABLED)
        return running

    async def load(self, spec: BackendSpec) -> Running:
        """An engine as `spec` says, loaded beside what runs. Raises what `Host.start` raises."""
        host = self._make_host(spec)
        try:
            offer = await host.start()
        except asyncio.CancelledError:
            await host.stop(0.0)
            raise
        return Running(host, offer, slots=spec.max_usages, changed=self._changed)

    async def free(self) -> bool:
        """Free the accelerator; False when it is in use, or there is nothing to free."""
        return self.running is not None and await self.running.rest()

    def view(self, *, current: bool) -> BackendView:
        """As it stands now."""
        spec, running = self.spec, self.running
        used = running.last_used if running else None
        return BackendView(
            id=spec.id,
            type=spec.type,
            title=spec.title,
            status=self.state,
            enabled=spec.enabled,
            current=current,
            settings=spec.settings,
            modcount=self.modcount,
            features=_features(running.offer.capabilities) if running else (),
            max_usages=_max_usages(spec, running),
            usages=running.jobs if running else 0,
            seconds_since_used=None if used is None else time.monotonic() - used,
            can_load_models=spec.type != REMOTE,
            current_model=running.offer.model if running else "",
            error=str(self.error or ""),
            device=spec.device,
            process=spec.process,
        )

    async def _keep(self, running: Running | None) -> None:
        """Load, watch, load again; give up after `attempts` failures in a row."""
        failures = 0
        while True:
            try:
                running = running or await self._load()
                await self._watch(running)
                # A text that kills its engine is that text's fault, and has its own limit.
                failures = failures if running.last_used is None else 0
                error: AllTalkError = WorkerLost("The engine's process ended.")
            except AllTalkError as failed:
                error = failed
            except Exception as bug:
                error = LoadFailed(f"{self.spec.type} could not be loaded: {bug!r}.")
                error.__cause__ = bug
            failures += 1
            if running is not None:
                await running.stop()
                running = self.running = None
            if not await self._pause(failures, error):
                return

    async def _load(self) -> Running:
        self._become(State.LOADING, self.error)
        running = await self.load(self.spec)
        self._runs(running)
        return running

    def _runs(self, running: Running) -> None:
        self.running, self._last_offer = running, running.offer
        self._become(State.RUNNING)

    async def _watch(self, running: Running) -> None:
        """Until the engine is lost, let it rest when it was not needed for long enough."""
        lost = asyncio.create_task(running.lost())
        try:
            while not lost.done():
                after_s = self._rest_after_s(running.offer)
                if not running.resting and running.quiet_s >= after_s:
                    await running.rest()
                left_s = after_s if running.resting else after_s - running.quiet_s
                await asyncio.wait({lost}, timeout=min(60.0, max(0.05, left_s)))
        finally:
            lost.cancel()
            await asyncio.gather(lost, return_exceptions=True)

    def _rest_after_s(self, offer: Offer) -> float:
        if offer.capabilities.low_vram and offer.settings.get("lowvram_enabled"):
            return self.timing.low_vram_rest_s
        return float("inf") if self.timing.idle_rest_s is None else self.timing.idle_rest_s

    async def _pause(self, failures: int, error: AllTalkError) -> bool:
        """Wait before the next attempt; False when there is none."""
        logger.warning("backend %s (%s): %s", self.spec.id, self.spec.type, error)
        if failures < self.timing.attempts:
            self._become(State.WAITING, error)
            await asyncio.sleep(self.timing.retry_pause_s)
            return True
        if self.spec.type == REMOTE:
            self._become(State.IDLE, error)
            await asyncio.sleep(self.timing.remote_pause_s)
            return True
        self._become(State.ERRORED, error)
        return False

    def _become(self, state: State, error: AllTalkError | None = None) -> None:
        self._state, self.error = state, error
        self._changed()


def _max_usages(spec: BackendSpec, running: Running | None) -> int:
    if spec.max_usages is not None:
        return spec.max_usages
    return running.slots if running else 1


def _features(can: Capabilities) -> tuple[str, ...]:
    """Names of what is there at all: true, not empty, not None."""
    values = ((each.name, getattr(can, each.name)) for each in fields(can))
    countable = (bool, tuple, frozenset)
    return tuple(name for name, value in values if isinstance(value, countable) and value)
