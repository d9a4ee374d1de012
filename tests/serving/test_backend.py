"""Backend: loading, trying again, dying, resting; and the list as it is saved."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from waiting import PATIENCE_S

from alltalk.engine import Capabilities, Voice
from alltalk.errors import BadValue, ConfigError, LoadFailed, StorageError
from alltalk.serving.backend import Backend, State, Timing
from alltalk.serving.backend_store import BackendList, BackendSpec, BackendStore
from alltalk.serving.bell import Bell
from alltalk.speech import Offer

SPEC = BackendSpec(0, "tone")
QUICK = Timing(retry_pause_s=0.001, remote_pause_s=0.001)


class Hosts:
    """Makes hosts that fail to load, load or die as the test says."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.capabilities = Capabilities()
        self.settings: dict[str, object] = {}
        self.hosts: list[Puppet] = []
        self.may_load = asyncio.Event()
        self.may_load.set()

    def __call__(self, spec: BackendSpec) -> Puppet:
        self.hosts.append(Puppet(self, spec))
        return self.hosts[-1]


class Puppet:
    """A Host without an engine."""

    def __init__(self, hosts: Hosts, spec: BackendSpec) -> None:
        self._hosts = hosts
        self._spec = spec
        self.calls: list[str] = []
        self.death = asyncio.Event()

    async def start(self) -> Offer:
        self.calls.append("start")
        await self._hosts.may_load.wait()
        if self._hosts.failures:
            raise self._hosts.failures.pop(0)
        voices = (Voice("low"),)
        can, settings = self._hosts.capabilities, self._hosts.settings
        return Offer(self._spec.type, "one", "r", can, voices, settings)

    async def rest(self) -> None:
        self.calls.append("rest")

    async def wake(self) -> None:
        self.calls.append("wake")

    async def stop(self, grace_s: float) -> None:
        self.calls.append("stop")

    async def lost(self) -> None:
        await self.death.wait()


class Watched:
    """A backend, what it became, and a way to wait for a state."""

    def __init__(self, hosts: Hosts, spec: BackendSpec = SPEC, timing: Timing = QUICK) -> None:
        self.states: list[State] = []
        self._bell = Bell()
        self.backend = Backend(spec, hosts, timing=timing, changed=self._note)

    def _note(self) -> None:
        self.states.append(self.backend.state)
        self._bell.ring()

    async def until(self, state: State) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self._bell.until(lambda: self.backend.state is state)


@pytest.fixture
async def hosts():
    return Hosts()


@pytest.fixture
async def watch(hosts):
    watched = []

    def watch(spec: BackendSpec = SPEC, timing: Timing = QUICK) -> Watched:
        watched.append(Watched(hosts, spec, timing))
        return watched[-1]

    yield watch
    for each in watched:
        await each.backend.stop()


async def test_a_backend_loads_in_the_background(hosts, watch):
    hosts.may_load.clear()
    watched = watch()

    watched.backend.start()
    assert watched.backend.state is State.WAITING
    await watched.until(State.LOADING)
    assert watched.backend.coming
    assert watched.backend.offer is None
    hosts.may_load.set()
    await watched.until(State.RUNNING)

    assert watched.backend.offer.engine == "tone"
    assert not watched.backend.coming


async def test_a_disabled_backend_is_not_loaded(hosts, watch):
    watched = watch(replace(SPEC, enabled=False))

    watched.backend.start()
    await asyncio.sleep(0)

    assert watched.backend.state is State.DISABLED
    assert hosts.hosts == []


async def test_a_load_that_fails_is_tried_again(hosts, watch):
    hosts.failures = [LoadFailed("no"), LoadFailed("no")]
    watched = watch()

    watched.backend.start()
    await watched.until(State.RUNNING)

    assert len(hosts.hosts) == 3
    assert watched.backend.error is None


async def test_after_three_failures_it_is_errored_and_says_why(hosts, watch):
    hosts.failures = [LoadFailed(f"no {n}") for n in range(9)]
    watched = watch()

    watched.backend.start()
    await watched.until(State.ERRORED)

    assert len(hosts.hosts) == 3
    view = watched.backend.view(current=False)
    assert (view.status, view.error) == ("errored", "no 2")


async def test_a_restart_has_all_its_attempts(hosts, watch):
    hosts.failures = [LoadFailed("no") for _ in range(5)]
    watched = watch()
    watched.backend.start()
    await watched.until(State.ERRORED)

    await watched.backend.stop()
    watched.backend.start()
    await watched.until(State.RUNNING)

    assert len(hosts.hosts) == 6


async def test_a_bug_in_a_host_is_an_error_of_the_backend_and_not_silence(hosts, watch):
    hosts.failures = [TypeError("oops") for _ in range(3)]
    watched = watch()

    watched.backend.start()
    await watched.until(State.ERRORED)

    assert "oops" in str(watched.backend.error)


async def test_an_engine_that_died_is_loaded_again(hosts, watch):
    watched = watch()
    watched.backend.start()
    await watched.until(State.RUNNING)

    hosts.hosts[0].death.set()
    await watched.until(State.WAITING)
    assert hosts.hosts[0].calls == ["start", "stop"]
    await watched.until(State.RUNNING)

    assert len(hosts.hosts) == 2


async def test_an_engine_that_dies_unused_again_and_again_is_given_up(hosts, watch):
    watched = watch()
    watched.backend.start()
    for death in range(3):
        await watched.until(State.RUNNING)
        hosts.hosts[death].death.set()
        await watched.until(State.WAITING if death < 2 else State.ERRORED)

    assert len(hosts.hosts) == 3


async def test_texts_that_kill_their_engine_do_not_take_it_from_the_others(hosts, watch):
    watched = watch()
    watched.backend.start()
    for death in range(6):
        await watched.until(State.RUNNING)
        watched.backend.running.enter("request", Voice("low"))
        watched.backend.running.leave()
        watched.backend.running.release("request")
        hosts.hosts[death].death.set()
        await watched.until(State.WAITING)

    await watched.until(State.RUNNING)


async def test_a_remote_that_does_not_answer_is_idle_and_asked_again(hosts, watch):
    hosts.failures = [LoadFailed("no answer") for _ in range(5)]
    watched = watch(BackendSpec(0, "remote"))

    watched.backend.start()
    await watched.until(State.RUNNING)

    assert State.IDLE in watched.states
    assert State.ERRORED not in watched.states


async def test_stopping_while_it_loads_leaves_nothing_behind(hosts, watch):
    hosts.may_load.clear()
    watched = watch()
    watched.backend.start()
    await watched.until(State.LOADING)
    await asyncio.sleep(0)

    await watched.backend.stop()

    assert hosts.hosts[0].calls == ["start", "stop"]
    assert len(asyncio.all_tasks()) == 1


async def test_memory_is_freed_on_demand_but_not_under_a_request(hosts, watch):
    watched = watch()
    assert not await watched.backend.free()
    watched.backend.start()
    await watched.until(State.RUNNING)

    watched.backend.running.enter("request", Voice("low"))
    assert not await watched.backend.free()
    watched.backend.running.leave()
    assert await watched.backend.free()

    assert watched.backend.state is State.RESTING
    assert not await watched.backend.free()


async def test_memory_is_freed_after_the_idle_time(hosts, watch):
    watched = watch(timing=replace(QUICK, idle_rest_s=0.01))

    watched.backend.start()
    await watched.until(State.RESTING)

    assert hosts.hosts[0].calls == ["start", "rest"]


async def test_a_low_vram_engine_rests_once_its_requests_are_done(hosts, watch):
    hosts.capabilities = Capabilities(low_vram=True)
    hosts.settings = {"lowvram_enabled": True}
    watched = watch(timing=replace(QUICK, low_vram_rest_s=0.01))

    watched.backend.start()
    await watched.until(State.RESTING)


async def test_a_view_tells_what_the_listing_needs(hosts, watch):
    hosts.capabilities = Capabilities(streaming=True, slots=4, concurrency=2, languages=("en",))
    watched = watch(replace(SPEC, title="Beeps", settings={"a": 1}))
    before = watched.backend.view(current=True)
    assert (before.features, before.current_model, before.status) == ((), "", "waiting")
    assert (before.seconds_since_used, before.time_since_used) == (None, "Never")
    watched.backend.start()
    await watched.until(State.RUNNING)

    watched.backend.running.enter("request", Voice("low"))
    view = watched.backend.view(current=True)

    assert (view.id, view.type, view.title, view.settings) == (0, "tone", "Beeps", {"a": 1})
    assert (view.features, view.current_model) == (("streaming", "languages"), "one")
    assert (view.max_usages, view.usages, view.modcount) == (8, 1, 0)
    assert view.seconds_since_used >= 0
    assert replace(view, seconds_since_used=0.4).time_since_used == "0 seconds ago"
    assert view.can_load_models
    watched.backend.running.leave()


def test_the_list_is_saved_and_read_as_it_was(tmp_path):
    store = BackendStore(tmp_path / "backends.json", [SPEC])
    specs = (SPEC, BackendSpec(3, "remote", "é", False, settings={"url": "http://a"}, max_usages=0))

    store.save(BackendList(specs, 3))

    assert store.load() == BackendList(specs, 3)


def test_without_a_file_there_is_the_first_list_and_still_no_file(tmp_path):
    store = BackendStore(tmp_path / "backends.json", [SPEC])

    assert store.load() == BackendList((SPEC,), 0)
    assert list(tmp_path.iterdir()) == []


def test_without_a_path_nothing_is_read_or_kept():
    store = BackendStore(None, [SPEC])

    store.save(BackendList())

    assert store.load() == BackendList((SPEC,), 0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "backends.json"),
        ("[]", "it must be"),
        ('{"backends": [3]}', "is an object"),
        ('{"backends": [{"id": 0, "type": "tone", "colour": 1}]}', "colour"),
        ('{"backends": [{"id": 0}]}', "type"),
        ('{"backends": [{"id": -1, "type": "tone"}]}', "id"),
        ('{"backends": [{"id": true, "type": "tone"}]}', "id"),
        ('{"backends": [{"id": 0, "type": "tone", "enabled": "yes"}]}', "enabled"),
        ('{"backends": [{"id": 0, "type": "tone", "process": "there"}]}', "process"),
        ('{"backends": [{"id": 0, "type": "a"}, {"id": 0, "type": "b"}]}', "same id"),
        ('{"current": 7, "backends": []}', "current"),
    ],
)
def test_a_broken_file_is_an_error_with_its_reason_and_stays_as_it_is(tmp_path, text, reason):
    file = tmp_path / "backends.json"
    file.write_text(text)

    with pytest.raises(ConfigError, match=reason):
        BackendStore(file, [SPEC]).load()

    assert file.read_text() == text


def test_a_list_that_cannot_be_written_leaves_the_old_one(tmp_path):
    file = tmp_path / "backends.json"
    file.mkdir()
    (file / "occupied").touch()

    with pytest.raises(StorageError):
        BackendStore(file, []).save(BackendList((SPEC,), 0))

    assert [path.name for path in tmp_path.iterdir()] == ["backends.json"]


def test_a_saved_list_is_for_its_owner_alone_as_it_holds_keys(tmp_path):
    file = tmp_path / "backends.json"

    BackendStore(file, []).save(BackendList((SPEC,), 0))

    assert file.stat().st_mode & 0o077 == 0
    assert json.loads(file.read_text())["current"] == 0


def test_when_the_current_backend_is_removed_the_first_enabled_one_is_current():
    one, two, three = (BackendSpec(n, "tone", enabled=n != 1) for n in range(3))
    backends = BackendList((one, two, three), 0)

    assert backends.removing(0).current == 2
    assert backends.removing(0).removing(2).current == 1
    assert backends.removing(0).removing(2).removing(1) == BackendList((), None)
    assert backends.removing(2).current == 0


def test_a_backend_keeps_being_current_under_another_id():
    backends = BackendList((SPEC,), 0).replacing(0, replace(SPEC, id=5))

    assert backends == BackendList((replace(SPEC, id=5),), 5)
    with pytest.raises(BadValue, match="already in use"):
        backends.adding(replace(SPEC, id=5))


def test_another_engine_brings_its_own_model_and_settings():
    spec = BackendSpec(0, "tone", model="b", settings={"a": 1}, device="cuda", enabled=False)

    same = spec.swapped("", "c", {"b": 2})
    other = spec.swapped("espeak", "", {})

    assert (same.model, same.settings, same.enabled) == ("c", {"a": 1, "b": 2}, True)
    assert (other.type, other.model, other.settings, other.device) == ("espeak", "", {}, "cuda")
