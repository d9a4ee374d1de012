"""BackendPool: order, choice, look-ahead, another take, cancelling, and changes under traffic."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest
from waiting import PATIENCE_S, until

from alltalk.audio import Audio
from alltalk.engine import Capabilities, Chunk, Sampling, Utterance, Voice
from alltalk.errors import (
    BadTake,
    BadValue,
    Cancelled,
    ConfigError,
    DeadlineExceeded,
    LoadFailed,
    NotFound,
    NotReady,
    OutOfMemory,
    ShuttingDown,
    StorageError,
    SynthesisFailed,
    WorkerLost,
)
from alltalk.home import Home
from alltalk.hosting import Hosts
from alltalk.registry import Registry
from alltalk.serving.backend import State, Timing
from alltalk.serving.backend_store import BackendSpec, BackendStore
from alltalk.serving.host import Here
from alltalk.serving.loop import Job
from alltalk.serving.pool import BackendPool
from alltalk.serving.requests import Requests, new_id
from alltalk.speech import Effects, Level, Offer, Role, Segment, Ticket

RATE = 100
"""Hz: every word is a second of 100 samples, so that sound is cheap."""
TONE = BackendSpec(0, "tone", model="a")
QUICK = Timing(retry_pause_s=0.001, ready_wait_s=PATIENCE_S, drain_s=1000.0)
PATIENT = replace(QUICK, retry_pause_s=0.5)
"""A lost worker is noticed within the pause, on a busy machine too."""


class World:
    """What the hosts of a test share: the script they follow, and what they did."""

    def __init__(self) -> None:
        self.slots = 1
        self.load_errors: list[Exception] = []
        self.may_load = Gate()
        self.may_speak = Gate()
        self.trouble: dict[str, list[Exception]] = {}
        """Word → what to raise in its place, once each."""
        self.hosts: list[Booth] = []
        self.spoken: list[str] = []
        """First words of the utterances that were spoken to their end, in that order."""
        self.begun: list[Job] = []

    def __call__(self, spec: BackendSpec) -> Booth:
        self.hosts.append(Booth(self, spec))
        return self.hosts[-1]

    @property
    def alive(self) -> list[Booth]:
        return [host for host in self.hosts if host.loaded and not host.stopped]


class Gate(asyncio.Event):
    """Open until the test closes it."""

    def __init__(self) -> None:
        super().__init__()
        self.set()


class Booth:
    """A Host whose engine is a script. A word is spoken as a second of the voice's number."""

    def __init__(self, world: World, spec: BackendSpec) -> None:
        self.world = world
        self.spec = spec
        self.loaded = self.stopped = self.resting = False
        self.speaking = 0
        self.texts: list[str] = []
        self._death = asyncio.Event()

    async def start(self) -> Offer:
        await self.world.may_load.wait()
        if self.world.load_errors:
            raise self.world.load_errors.pop(0)
        self.loaded = True
        can = Capabilities(slots=self.world.slots)
        return Offer(self.spec.type, self.spec.model or "a", "r", can, (Voice("1"),))

    async def stream(self, job: Job) -> AsyncGenerator[Chunk]:
        assert self.loaded, "spoken before it was loaded"
        assert not self.resting, "spoken while it rested"
        self._check()
        self.world.begun.append(job)
        self.texts.append(job.utterance.text)
        self.speaking += 1
        try:
            for word in job.utterance.text.split():
                await self._turn()
                self._check()
                if troubles := self.world.trouble.get(word):
                    raise self._suffer(troubles.pop(0))
                yield said(job.utterance)
            self.world.spoken.append(job.utterance.text.split()[0])
        finally:
            self.speaking -= 1

    def kill(self) -> None:
        """As a killed process: it notices nothing, and whoever waits is told."""
        self._death.set()

    async def rest(self) -> None:
        assert not self.speaking, "rested while it spoke"
        self.resting = True

    async def wake(self) -> None:
        await self.world.may_load.wait()
        self.resting = False

    async def stop(self, grace_s: float) -> None:
        self.stopped = True
        await asyncio.sleep(0.005)  # as a process that has to go

    async def lost(self) -> None:
        await self._death.wait()

    async def _turn(self) -> None:
        await asyncio.sleep(0)
        while not (  # noqa: ASYNC110  # as above; and however late the clock is said to be
            self.world.may_speak.is_set() or self.stopped or self._death.is_set()
        ):
            await asyncio.sleep(0.001)

    def _check(self) -> None:
        if self._death.is_set():
            raise WorkerLost("the process ended")
        if self.stopped:
            raise ShuttingDown("stopped")

    def _suffer(self, error: Exception) -> Exception:
        if isinstance(error, WorkerLost):
            self.kill()
        return error


def said(utterance: Utterance) -> Chunk:
    """A word in the utterance's voice."""
    value = float(utterance.voice.name) / 1000
    return Chunk(Audio(np.full(RATE, value, np.float32), RATE))


def book(sentences: int, *, voice: str = "1", model: str = "a", words: int = 2) -> list[Segment]:
    """Sentences of so many words; the first word of each is `s<index>`."""
    return [
        segment(n, f"s{n} " + " ".join(["word"] * (words - 1)), voice=voice, model=model)
        for n in range(sentences)
    ]


def segment(index: int, text: str, *, voice: str = "1", model: str = "a") -> Segment:
    utterance = Utterance(text.strip(), Voice(voice), "")
    return Segment(index, Role.CHARACTER, utterance, Effects(), 0.0, (0, 0), "tone", model)


class Caller:
    """Makes requests to a pool and hears their answers out."""

    def __init__(self, pool: BackendPool) -> None:
        self.pool = pool
        self.requests = Requests()

    def open(self, ticket: Ticket | None = None):
        return self.requests.open(
            ticket or Ticket(new_id()), voice="1", characters=100, engine="tone"
        )

    async def hear(self, segments, *, whole: bool = False, ticket: Ticket | None = None):
        """[(index, seconds, value)] of each segment, once the pool has ended all of them."""
        heard: list[tuple[int, float, float]] = []
        seconds, value = 0.0, 0.0
        with self.open(ticket) as live:
            async with aclosing(self.pool.speak(segments, live, whole=whole)) as pieces:
                async for each, chunk in pieces:
                    if chunk is None:
                        heard.append((each.index, seconds, value))
                        seconds = 0.0
                    else:
                        seconds += chunk.audio.seconds
                        value = round(float(chunk.audio.samples[0]) * 1000)
        assert seconds == 0.0, "sound after the last segment's end"
        return heard


def all_of(segments: list[Segment]) -> list[tuple[int, float, float]]:
    """What hearing them whole, in order and in their voices, gives."""
    return [
        (each.index, float(len(each.utterance.text.split())), float(each.utterance.voice.name))
        for each in segments
    ]


def settled(pool: BackendPool) -> bool:
    """True when nothing is loading."""
    return not {each.status for each in pool.backends} & {State.WAITING, State.LOADING}


@pytest.fixture
async def world():
    return World()


class Hours:
    """The clock of the event loop, which can be put forward."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self._passed_s, told = 0.0, loop.time
        monkeypatch.setattr(loop, "time", lambda: told() + self._passed_s)

    async def pass_by(self) -> None:
        """An hour has passed; whatever was to happen within it has happened."""
        self._passed_s += 3600
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.fixture
async def hours(monkeypatch):
    return Hours(monkeypatch)


@pytest.fixture
async def running(world, tmp_path):
    """`async with running(spec, …) as caller`: a pool whose backends are loaded; no task is left.

    The list is kept in tmp_path.
    """

    @asynccontextmanager
    async def running(*specs: BackendSpec, timing: Timing = QUICK, wait: bool = True):
        before = asyncio.all_tasks()
        store = BackendStore(tmp_path / "backends.json", specs or [TONE])
        pool = BackendPool(world, store, timing=timing)
        await pool.start()
        try:
            if wait:
                await until(lambda: settled(pool))
            yield Caller(pool)
        finally:
            await pool.close()
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == before
            assert world.alive == []

    return running


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("slots", [1, 8])
async def test_segments_are_heard_in_order_each_with_its_end(running, world, whole, slots):
    world.slots = slots
    segments = [segment(n, "word " * (1 + n * 7 % 5), voice=str(n)) for n in range(30)]

    async with running() as caller:
        assert await caller.hear(segments, whole=whole) == all_of(segments)


async def test_segments_are_taken_as_they_arrive(running, world):
    segments = book(10)
    closed = []

    async def arriving() -> AsyncGenerator[Segment]:
        try:
            for each in segments:
                await asyncio.sleep(0)
                yield each
        finally:
            closed.append(True)

    async with running() as caller:
        assert await caller.hear(arriving()) == all_of(segments)
        assert closed == [True]


async def test_an_error_among_the_arriving_segments_is_the_requests(running, world):
    async def arriving() -> AsyncGenerator[Segment]:
        yield book(1)[0]
        raise BadValue("text", "broke off")

    async with running() as caller:
        with pytest.raises(BadValue, match="broke off"):
            await caller.hear(arriving())


async def test_nothing_to_say_is_said_at_once(running):
    async with running() as caller:
        assert await caller.hear([]) == []


async def test_each_caller_hears_its_own_voice(running):
    books = [book(5, voice=str(n)) for n in range(20)]

    async with running(TONE, replace(TONE, id=1)) as caller:
        heard = await asyncio.gather(
            *(caller.hear(each, whole=n % 2) for n, each in enumerate(books))
        )

    assert heard == [all_of(each) for each in books]


async def test_two_equal_backends_share_a_book(running, world):
    async with running(TONE, replace(TONE, id=1)) as caller:
        await caller.hear(book(20))

    shares = [len(host.texts) for host in world.hosts]
    assert sum(shares) == 20
    assert min(shares) >= 5


async def test_a_quiet_backend_that_spoke_the_voice_last_speaks_it_again(running, world):
    async with running(TONE, replace(TONE, id=1)) as caller:
        first = asyncio.create_task(caller.hear(book(1, voice="1")))
        other = asyncio.create_task(caller.hear(book(1, voice="2")))
        await asyncio.gather(first, other)
        for voice in ("2", "1", "2", "1"):
            await caller.hear([segment(0, voice, voice=voice)])

    assert [set(host.texts[1:]) for host in world.hosts] == [{"1"}, {"2"}]


async def test_only_backends_with_the_segments_model_are_chosen(running, world):
    async with running(TONE, replace(TONE, id=1, model="b")) as caller:
        await caller.hear(book(6, model="b"))

    assert [len(host.texts) for host in world.hosts] == [0, 6]


async def test_a_backend_that_takes_no_usages_is_never_chosen(running, world):
    async with running(TONE, replace(TONE, id=1, max_usages=0)) as caller:
        await caller.hear(book(6))

    assert [len(host.texts) for host in world.hosts] == [6, 0]


async def test_a_streamed_request_is_two_utterances_ahead(running, world):
    world.slots = 8
    world.may_speak.clear()

    async with running() as caller:
        task = asyncio.create_task(caller.hear(book(10)))
        await until(lambda: len(world.begun) == 2)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(world.begun) == 2
        world.may_speak.set()
        await task


async def test_a_request_wanted_whole_takes_every_free_slot(running, world):
    world.slots = 8
    world.may_speak.clear()

    async with running() as caller:
        task = asyncio.create_task(caller.hear(book(20), whole=True))
        await until(lambda: len(world.begun) == 8)
        late = asyncio.create_task(caller.hear(book(20), whole=True))
        await until(lambda: len(world.begun) == 10)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(world.begun) == 10
        world.may_speak.set()
        assert await task == await late == all_of(book(20))


async def test_a_slow_reader_holds_its_sound_and_never_an_engine(running, world):
    async with running() as caller:
        with caller.open() as live:
            async with aclosing(caller.pool.speak(book(200, words=3), live, whole=False)) as slow:
                await anext(slow)
                assert await caller.hear(book(100)) == all_of(book(100))
                submitted = len([job for job in world.begun if len(job.utterance.text) > 8])

    assert submitted <= 30 / 3 + 2 + 1


async def test_a_requests_first_characters_are_urgent_and_jobs_never(running, world):
    sentence = "word " * 20  # 99 characters
    segments = [segment(n, sentence) for n in range(6)]

    async with running() as caller:
        await caller.hear(segments)
        assert [job.level for job in world.begun] == [0, 0, 0, 0, 1, 1]
        world.begun.clear()
        await caller.hear(segments, ticket=Ticket("job", level=Level.JOB))
        assert [job.level for job in world.begun] == [2] * 6


async def test_turns_are_shared_by_key_and_without_one_by_request(running, world):
    async with running() as caller:
        await caller.hear(book(1), ticket=Ticket("a", client="ann", named=True))
        await caller.hear(book(1), ticket=Ticket("b", client="10.0.0.1"))

    assert [job.flow for job in world.begun] == ["ann", "b"]
    assert all(job.cost == len(job.utterance.text) for job in world.begun)


async def test_a_newcomer_waits_for_a_few_utterances_of_twenty_books_not_for_all(tmp_path):
    """Counted in utterances on a real engine of one slot."""
    engine = Counting()
    offer = Offer("tone", "a", "r", engine.capabilities, ())
    pool = BackendPool(
        lambda spec: Here(lambda: engine, lambda _: offer), BackendStore(None, [TONE])
    )
    await pool.start()
    await pool.ready()
    caller = Caller(pool)
    sentence = "word " * 20
    books = [
        asyncio.create_task(caller.hear([segment(n, sentence) for n in range(500)]))
        for _ in range(20)
    ]
    try:
        engine.turns.release(150)  # all are past their first sentences then
        await until(lambda: len(engine.log) == 150 and pool.backends[0].usages == 40)
        newcomer = asyncio.create_task(caller.hear([segment(0, "newcomer")]))
        await until(lambda: pool.backends[0].usages == 41)
        engine.turns.release(10_000)
        await newcomer
        behind = engine.log.index("newcomer") - 150
    finally:
        engine.turns.release(10_000)
        for task in books:
            task.cancel()
        await asyncio.gather(*books, return_exceptions=True)
        await pool.close()

    assert behind <= 6


class Counting:
    """An engine that notes what it begins to speak, each in a turn that it is given."""

    capabilities = Capabilities()

    def __init__(self) -> None:
        self.log: list[str] = []
        self.turns = threading.Semaphore(0)

    def voices(self) -> list[Voice]:
        return [Voice("1")]

    def synthesize(self, utterance: Utterance) -> Generator[Chunk | None]:
        assert self.turns.acquire(timeout=PATIENCE_S)
        self.log.append(utterance.text)
        yield said(utterance)

    def close(self) -> None:
        pass


async def test_progress_and_state_are_those_of_what_was_heard(running, world):
    async with running() as caller:
        with caller.open() as live:
            async with aclosing(caller.pool.speak(book(2), live, whole=False)) as pieces:
                assert live.state == "waiting"
                await anext(pieces)
                assert (live.state, live.characters_done) == ("speaking", 0)
                await anext(pieces)
                await anext(pieces)
                assert live.characters_done == len("s0 word")


@pytest.mark.parametrize("stop", ["id", "client"])
async def test_a_cancelled_request_ends_at_once_and_frees_the_engine(running, world, stop):
    world.may_speak.clear()
    async with running() as caller:
        ticket = Ticket("a", client="ann")
        task = asyncio.create_task(caller.hear(book(10), ticket=ticket))
        await until(lambda: world.hosts[0].speaking == 2)

        if stop == "id":
            assert caller.requests.cancel("a")
        else:
            assert caller.requests.cancel_client("ann") == 1

        with pytest.raises(Cancelled):
            await task
        assert world.hosts[0].speaking == 0
        world.may_speak.set()
        assert await caller.hear(book(2)) == all_of(book(2))


async def test_a_request_ends_at_its_deadline(running, world):
    world.may_speak.clear()
    async with running() as caller:
        with pytest.raises(DeadlineExceeded):
            await caller.hear(book(2), ticket=Ticket("a", deadline_s=0.02))


async def test_a_request_cancelled_before_it_speaks_submits_nothing(running, world):
    async with running() as caller:
        with caller.open() as live:
            live.cancel()
            with pytest.raises(Cancelled):
                async with aclosing(caller.pool.speak(book(2), live, whole=True)) as pieces:
                    await anext(pieces)

    assert world.begun == []


async def test_who_leaves_takes_all_it_submitted_along(running, world):
    world.slots = 8
    async with running() as caller:
        with caller.open() as live:
            async with aclosing(caller.pool.speak(book(50), live, whole=True)) as pieces:
                await anext(pieces)
                assert world.hosts[0].speaking > 0
            assert world.hosts[0].speaking == 0
            assert caller.pool.backends[0].usages == 0


async def test_an_utterance_that_fails_fails_its_request_alone(running, world):
    world.trouble["s1"] = [SynthesisFailed("no")]
    async with running() as caller:
        other = asyncio.create_task(caller.hear([segment(0, "other word")]))

        with pytest.raises(SynthesisFailed):
            await caller.hear(book(5), whole=True)

        assert await other == all_of([segment(0, "other word")])
        assert caller.pool.backends[0].usages == 0


async def test_what_a_lost_worker_was_speaking_is_spoken_again(running, world):
    world.trouble["s0"] = [WorkerLost("gone")]
    segments = book(6)

    async with running(timing=PATIENT) as caller:
        assert await caller.hear(segments) == all_of(segments)

    assert len(world.hosts) == 2


async def test_a_request_waits_while_a_lost_worker_is_loaded_again(running, world):
    world.trouble["s0"] = [WorkerLost("gone")]
    async with running(timing=PATIENT) as caller:
        world.may_load.clear()
        reader = asyncio.create_task(caller.hear(book(3)))
        await until(lambda: len(world.hosts) == 2)
        for _ in range(20):
            await asyncio.sleep(0.001)
        world.may_load.set()

        assert await reader == all_of(book(3))

    assert [len(host.texts) for host in world.hosts] == [2, 3]


async def test_sound_of_a_failed_take_that_nobody_heard_is_not_heard_twice(running, world):
    world.trouble["fatal"] = [BadTake("mumbled")]
    segments = [segment(0, "one two"), segment(1, "three four fatal five")]

    async with running() as caller:
        with caller.open() as live:
            async with aclosing(caller.pool.speak(segments, live, whole=False)) as pieces:
                heard = [await anext(pieces)]
                await until(lambda: len(world.begun) == 3 and not world.hosts[0].speaking)
                heard += [piece async for piece in pieces]

    assert [(each.index, chunk is None) for each, chunk in heard] == [
        *[(0, False)] * 2,
        (0, True),
        *[(1, False)] * 4,
        (1, True),
    ]


async def test_what_was_heard_in_part_is_not_spoken_again(running, world):
    async with running() as caller:
        with caller.open() as live:
            segments = [segment(0, "one two " + "more " * 20)]
            async with aclosing(caller.pool.speak(segments, live, whole=False)) as pieces:
                await anext(pieces)
                world.hosts[0].kill()
                with pytest.raises(WorkerLost):
                    async for _ in pieces:
                        pass

    assert Counter(job.utterance.text for job in world.begun).most_common(1)[0][1] == 1


async def test_an_utterance_that_kills_every_worker_is_given_up_after_three(running, world):
    world.trouble["fatal"] = [WorkerLost("gone") for _ in range(9)]
    async with running(timing=PATIENT) as caller:
        await caller.hear(book(1))
        with pytest.raises(WorkerLost):
            await caller.hear([segment(0, "fatal")])

        assert await caller.hear(book(2)) == all_of(book(2))

    assert [job.utterance.text for job in world.begun].count("fatal") == 3


async def test_a_lost_workers_utterances_go_to_another_backend(running, world):
    world.trouble["s0"] = [WorkerLost("gone")]
    segments = book(1)
    async with running(TONE, replace(TONE, id=1), timing=PATIENT) as caller:
        world.may_load.clear()  # the first does not come back
        assert await caller.hear(segments) == all_of(segments)
        world.may_load.set()

    assert [host.texts for host in world.hosts[:2]] == [["s0 word"], ["s0 word"]]


async def test_a_bad_take_is_drawn_again_with_another_seed(running, world):
    world.trouble["s0"] = [BadTake("mumbled")]
    (only,) = book(1)
    seeded = replace(only, utterance=replace(only.utterance, sampling=Sampling(seed=7)))

    async with running() as caller:
        assert await caller.hear([seeded]) == all_of([seeded])

    assert [job.utterance.sampling.seed for job in world.begun] == [7, 8]


async def test_a_whole_answer_holds_no_sound_of_a_bad_take(running, world):
    (only,) = book(1)
    long = replace(only, utterance=replace(only.utterance, text="one two fatal three"))
    world.trouble["fatal"] = [BadTake("ran on"), BadTake("ran on")]

    async with running() as caller:
        assert await caller.hear([long], whole=True) == all_of([long])
        assert sum(caller.pool.bad_takes.values()) == 2


async def test_a_take_that_is_bad_every_time_is_kept_rather_than_nothing(running, world):
    (only,) = book(1)
    long = replace(only, utterance=replace(only.utterance, text="one two fatal three"))
    world.trouble["fatal"] = [BadTake("ran on")] * 9

    async with running() as caller:
        heard = await caller.hear([long], whole=True)

    assert heard == [(0, 2.0, float(long.utterance.voice.name))]
    assert len(world.begun) == 3


async def test_a_request_waits_for_a_backend_that_is_loading(running, world):
    world.may_load.clear()
    async with running(wait=False) as caller:
        task = asyncio.create_task(caller.hear(book(2)))
        ready = asyncio.create_task(caller.pool.ready())
        await asyncio.sleep(0.01)
        assert not task.done()
        assert not ready.done()
        world.may_load.set()

        assert await task == all_of(book(2))
        assert [offer.model for offer in await ready] == ["a"]


async def test_a_request_does_not_wait_for_ever(running, world):
    world.may_load.clear()
    async with running(wait=False, timing=replace(QUICK, ready_wait_s=0.01)) as caller:
        with pytest.raises(NotReady, match="loading"):
            await caller.hear(book(2))
        with pytest.raises(NotReady, match="loading"):
            await caller.pool.ready()
        world.may_load.set()


async def test_new_timing_holds_for_backends_and_for_who_comes_after(running, world):
    async with running() as caller:
        caller.pool.retime(replace(QUICK, ready_wait_s=0.01, drain_s=0.01))
        world.may_load.clear()
        await caller.pool.restart()
        with pytest.raises(NotReady):
            await caller.pool.ready()
        world.may_load.set()


async def test_a_request_for_what_cannot_be_loaded_is_told_why_at_once(running, world):
    world.load_errors = [LoadFailed("no weights") for _ in range(3)]
    async with running(timing=QUICK) as caller:
        with pytest.raises(NotReady, match="no weights"):
            await caller.hear(book(2))
        with pytest.raises(NotReady, match="no weights"):
            await caller.pool.ready()


async def test_a_request_for_a_model_that_no_backend_runs_does_not_wait(running):
    async with running(timing=QUICK) as caller:
        with pytest.raises(NotReady, match="tone z"):
            await caller.hear(book(1, model="z"))
        assert [offer.model for offer in await caller.pool.ready("tone", "z")] == ["a"]


async def test_ready_waits_for_the_current_backend_even_when_another_runs(running, world):
    async with running(TONE, replace(TONE, id=1, model="b")) as caller:
        world.may_load.clear()
        await caller.pool.restart(0)
        waiting = asyncio.create_task(caller.pool.ready())
        assert [offer.model for offer in await caller.pool.ready("tone", "b")] == ["b"]
        assert not waiting.done()
        world.may_load.set()

        assert [offer.model for offer in await waiting] == ["a", "b"]


async def test_offers_are_listed_once_the_current_one_first(running, world):
    async with running(TONE, replace(TONE, id=1), replace(TONE, id=2, model="b")) as caller:
        assert [offer.model for offer in caller.pool.offers] == ["a", "b"]
        await caller.pool.make_current(2)
        assert [offer.model for offer in caller.pool.offers] == ["b", "a"]
        assert caller.pool.current.spec.id == 2
        assert [view.current for view in caller.pool.backends] == [False, False, True]


async def test_a_text_that_kills_a_real_worker_fails_alone_and_the_next_one_is_spoken(tmp_path):
    registry = Registry(Home(tmp_path))
    hosts = Hosts(registry, Home(tmp_path), threads=1)
    spec = BackendSpec(0, "tone", process="worker", settings={"faults": True})
    pool = BackendPool(hosts.make, BackendStore(None, [spec]), timing=PATIENT)
    caller = Caller(pool)
    await pool.start()
    try:
        (offer,) = await pool.ready()
        voice = offer.voices[0]
        fatal, fine = (
            replace(segment(0, text), utterance=Utterance(text, voice, ""), model=offer.model)
            for text in ("exit", "one two three")
        )
        with pytest.raises(WorkerLost):
            await caller.hear([fatal])
        ((index, seconds, _),) = await caller.hear([fine])
    finally:
        await pool.close()

    assert index == 0
    assert seconds > 0.1


async def test_a_resting_backend_is_woken_by_the_next_request(running, world):
    async with running() as caller:
        assert await caller.pool.free() == 1
        assert caller.pool.backends[0].status is State.RESTING
        assert len(caller.pool.offers) == 1
        books = await asyncio.gather(*(caller.hear(book(3)) for _ in range(5)))

    assert books == [all_of(book(3))] * 5


CHANGES = {
    "restart": lambda pool: pool.restart(0),
    "edit": lambda pool: pool.edit(0, settings={"a": 1}),
    "toggle": lambda pool: pool.toggle(0, False),
    "remove": lambda pool: pool.remove(0),
    "swap": lambda pool: pool.swap(model="b"),
}


def has_begun(pool: BackendPool) -> bool:
    """True once backend 0 is not what it was."""
    current = pool.current
    return current is None or current.offer is None or current.spec != TONE


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_under_traffic_cuts_nobody_off(running, world, change, others):
    specs = [TONE, *(replace(TONE, id=1 + n) for n in range(others))]
    async with running(*specs) as caller:
        texts = [book(20, voice=str(n), words=6) for n in range(8)]
        books = [asyncio.create_task(caller.hear(each)) for each in texts]
        await until(lambda: len(world.spoken) > 20)
        world.may_speak.clear()

        changing = asyncio.create_task(CHANGES[change](caller.pool))
        await until(lambda: has_begun(caller.pool))
        world.may_speak.set()

        assert await asyncio.gather(*books) == [all_of(each) for each in texts]
        await changing
        await until(lambda: world.hosts[0].stopped)


async def test_many_changes_under_steady_traffic_cut_nobody_off(running, world):
    heard = []

    async def read(caller: Caller, voice: str) -> None:
        while True:
            heard.append(await caller.hear(book(4, voice=voice)) == all_of(book(4, voice=voice)))

    async with running(TONE, replace(TONE, id=1)) as caller:
        readers = [asyncio.create_task(read(caller, str(n))) for n in range(6)]
        for n in range(5):
            await caller.pool.restart(0)
            await caller.pool.edit(1, settings={"n": n})
            await caller.pool.toggle(0, False)
            added = await caller.pool.add(TONE)
            await caller.pool.toggle(0, True)
            await caller.pool.remove(added.id)
            await until(lambda least=5 * n: len(heard) > least)
        assert not any(reader.done() for reader in readers)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)

    assert all(heard)


async def test_a_drain_ends_after_its_time_and_an_unheard_utterance_goes_elsewhere(running, world):
    world.may_speak.clear()
    async with running(timing=replace(QUICK, drain_s=0.01)) as caller:
        task = asyncio.create_task(caller.hear(book(3)))
        await until(lambda: world.hosts[0].speaking == 2)
        await caller.pool.restart()
        world.may_speak.set()

        assert await task == all_of(book(3))


async def test_a_request_cut_by_a_drain_is_told_to_try_again_not_that_the_server_leaves(
    running, world
):
    async with running(timing=replace(QUICK, drain_s=0.01)) as caller:
        with caller.open() as live:
            async with aclosing(caller.pool.speak(book(2, words=50), live, whole=False)) as pieces:
                await anext(pieces)
                world.may_speak.clear()
                await caller.pool.restart()
                with pytest.raises(NotReady):
                    async for _ in pieces:
                        pass
        world.may_speak.set()


async def test_another_title_reloads_nothing(running, world):
    async with running() as caller:
        view = await caller.pool.edit(0, title="Beeps")

    assert (view.title, view.modcount, view.status) == ("Beeps", 1, "running")
    assert len(world.hosts) == 1


async def test_settings_are_merged_and_what_is_loaded_has_them(running, world):
    async with running(replace(TONE, settings={"a": 1, "b": 1})) as caller:
        await caller.pool.edit(0, settings={"b": 2})
        await caller.pool.ready()

    assert world.hosts[-1].spec.settings == {"a": 1, "b": 2}


async def test_a_backend_moves_to_a_free_id_and_not_to_a_taken_one(running, world):
    async with running(TONE, replace(TONE, id=1)) as caller:
        with pytest.raises(BadValue, match="already in use"):
            await caller.pool.edit(0, id=1)
        view = await caller.pool.edit(0, id=7)

        assert (view.id, view.current, view.status) == (7, True, "running")
        assert [each.id for each in caller.pool.backends] == [1, 7]
        assert (await caller.pool.add(TONE)).id == 8


async def test_an_unknown_field_or_backend_is_refused_by_name(running):
    async with running() as caller:
        with pytest.raises(BadValue, match="colour"):
            await caller.pool.edit(0, colour="red")
        with pytest.raises(NotFound, match="9"):
            await caller.pool.edit(9, title="x")
        with pytest.raises(NotFound, match="9"):
            await caller.pool.toggle(9, True)
        assert await caller.pool.remove(9) is False
        assert await caller.pool.restart(9) == 0
        assert await caller.pool.free(9) == 0
        assert await caller.pool.toggle(0, True) is False


async def test_ids_are_never_used_twice(running):
    async with running() as caller:
        first = await caller.pool.add(TONE)
        await caller.pool.remove(first.id)
        second = await caller.pool.add(TONE)

    assert (first.id, second.id) == (1, 2)


async def test_the_list_is_there_again_after_a_restart(running, world):
    async with running() as caller:
        added = await caller.pool.add(replace(TONE, title="Second", model="b"))
        await caller.pool.make_current(added.id)
        await caller.pool.toggle(0, False)

    async with running() as caller:
        assert [each.status for each in caller.pool.backends] == ["disabled", "running"]
        assert caller.pool.current.spec == replace(TONE, id=1, title="Second", model="b")


async def test_a_broken_list_is_refused_and_left_alone(running, tmp_path):
    (tmp_path / "backends.json").write_text("{")

    with pytest.raises(ConfigError):
        async with running():
            pass

    assert (tmp_path / "backends.json").read_text() == "{"


async def test_a_change_that_cannot_be_saved_is_not_made(running, world, tmp_path):
    async with running() as caller:
        (tmp_path / "backends.json").mkdir()
        (tmp_path / "backends.json" / "occupied").touch()
        for change in (
            caller.pool.add(TONE),
            caller.pool.toggle(0, False),
            caller.pool.remove(0),
            caller.pool.edit(0, settings={"a": 1}),
            caller.pool.swap(model="b"),
        ):
            with pytest.raises(StorageError):
                await change
        assert [(each.id, each.status) for each in caller.pool.backends] == [(0, "running")]
        assert [offer.model for offer in caller.pool.offers] == ["a"]
        assert [host.spec.model for host in world.alive] == ["a"]


async def test_a_swap_switches_once_the_new_engine_is_loaded(running, world):
    async with running() as caller:
        world.may_load.clear()
        swap = asyncio.create_task(caller.pool.swap(model="b"))
        await until(lambda: len(world.hosts) == 2)
        assert caller.pool.changing
        assert await caller.hear(book(2)) == all_of(book(2))
        world.may_load.set()

        assert (await swap).model == "b"
        assert not caller.pool.changing
        assert await caller.hear(book(2, model="b")) == all_of(book(2, model="b"))
        await until(lambda: world.hosts[0].stopped)
        assert caller.pool.current.spec.model == "b"


async def test_a_swap_that_fails_keeps_the_old_engine(running, world):
    async with running() as caller:
        world.load_errors = [LoadFailed("no weights")]
        with pytest.raises(LoadFailed):
            await caller.pool.swap(engine="xtts")

        assert caller.pool.current.spec.type == "tone"
        assert await caller.hear(book(2)) == all_of(book(2))
        assert len(world.alive) == 1


async def test_where_both_do_not_fit_the_old_engine_goes_first(running, world):
    async with running() as caller:
        world.load_errors = [OutOfMemory("full")]

        assert (await caller.pool.swap(model="b")).model == "b"
        assert [host.spec.model for host in world.alive] == ["b"]


async def test_where_the_new_one_fits_not_even_alone_the_old_one_comes_back(running, world):
    async with running() as caller:
        world.load_errors = [OutOfMemory("full"), OutOfMemory("full")]
        with pytest.raises(OutOfMemory):
            await caller.pool.swap(model="b")

        assert [offer.model for offer in await caller.pool.ready()] == ["a"]
        assert [host.spec.model for host in world.alive] == ["a"]


async def test_a_request_whose_first_utterance_comes_as_the_model_is_exchanged_is_spoken(
    running, world
):
    async with running() as caller:
        reader = asyncio.create_task(caller.hear(book(3)))
        await asyncio.sleep(0)  # it has begun, and nothing of it is on its way to an engine yet
        assert world.begun == []
        old = caller.pool._choice.backends[0].running
        caller.pool._choice.retire(old)

        assert await reader == all_of(book(3))
        assert old.quiet


async def test_a_swap_cuts_nobody_off_however_long_the_old_engine_takes(running, world, hours):
    async with running(timing=Timing(retry_pause_s=0.001)) as caller:
        world.may_speak.clear()
        readers = [asyncio.create_task(caller.hear(book(3), whole=whole)) for whole in (0, 1)]
        await until(lambda: world.hosts[0].speaking == 4)
        await caller.pool.swap(model="b")
        for _ in range(3):
            await hours.pass_by()
        assert not world.hosts[0].stopped
        world.may_speak.set()

        assert await asyncio.gather(*readers) == [all_of(book(3))] * 2
        await until(lambda: world.hosts[0].stopped)


async def test_an_engine_that_is_to_go_is_kept_while_its_sound_is_taken_and_not_for_ever(
    running, world, hours
):
    async with running(timing=Timing(retry_pause_s=0.001)) as caller:
        with caller.open() as live:
            long = book(40, words=20)
            async with aclosing(caller.pool.speak(long, live, whole=False)) as pieces:
                await anext(pieces)
                await until(lambda: not world.hosts[0].speaking)  # enough waits to be taken
                await caller.pool.swap(model="b")
                while live.characters_done < 500:
                    while (await anext(pieces))[1] is None:
                        pass  # the end of a sentence is no sound
                    await until(lambda: not world.hosts[0].speaking)
                    await hours.pass_by()
                assert not world.hosts[0].stopped
                await hours.pass_by()
                await until(lambda: world.hosts[0].stopped)
                with pytest.raises(NotReady):
                    async for _ in pieces:
                        pass


async def test_a_change_is_carried_to_its_end_when_its_caller_leaves(running, world):
    world.may_speak.clear()
    async with running() as caller:
        reader = asyncio.create_task(caller.hear(book(2)))
        await until(lambda: world.hosts[0].speaking == 2)
        change = asyncio.create_task(caller.pool.toggle(0, False))
        await asyncio.sleep(0.01)
        change.cancel()
        await asyncio.gather(change, return_exceptions=True)
        world.may_speak.set()

        assert await reader == all_of(book(2))
        await until(lambda: caller.pool.backends[0].status is State.DISABLED)


async def test_closing_lets_requests_end_within_the_grace_and_takes_no_new_ones(running, world):
    async with running(TONE, replace(TONE, id=1)) as caller:
        reader = asyncio.create_task(caller.hear(book(50)))
        await until(lambda: len(world.spoken) > 2)
        closing = asyncio.create_task(caller.pool.close(grace_s=PATIENCE_S))
        await asyncio.sleep(0)

        with pytest.raises(ShuttingDown):
            await caller.hear(book(1))
        assert await reader == all_of(book(50))
        await closing


async def test_a_request_that_waits_for_a_wake_ends_with_shutting_down(running, world):
    async with running() as caller:
        await caller.pool.free()
        world.may_load.clear()
        reader = asyncio.create_task(caller.hear(book(2)))
        await until(lambda: caller.pool.backends[0].usages == 2)
        await asyncio.sleep(0)
        await caller.pool.close()

        with pytest.raises(ShuttingDown):
            await reader
        world.may_load.set()


async def test_after_the_grace_requests_end_with_shutting_down(running, world):
    world.may_speak.clear()
    async with running() as caller:
        reader = asyncio.create_task(caller.hear(book(5)))
        await until(lambda: world.hosts[0].speaking == 2)
        await caller.pool.close(grace_s=0.01)

        with pytest.raises(ShuttingDown):
            await reader
