"""An engine in this process, as the async side of the server sees it."""

import asyncio
import threading
from contextlib import aclosing, asynccontextmanager

import pytest
from waiting import PATIENCE_S, until

from alltalk.errors import LoadFailed, NotReady, ShuttingDown, SynthesisFailed
from alltalk.serving.host import Here
from alltalk.speech import Offer


def offer(engine):
    return Offer("tiny", "small", "1", engine.capabilities, tuple(engine.voices()))


@asynccontextmanager
async def started(load, offer=offer):
    """A started host; afterwards none of its threads is left."""
    before = set(threading.enumerate())
    host = Here(load, offer, name="tiny")
    await host.start()
    try:
        yield host
    finally:
        await host.stop(grace_s=0.0)
        await until(lambda: set(threading.enumerate()) <= before)


async def hear(host, job):
    async with aclosing(host.stream(job)) as chunks:
        return [float(chunk.audio.samples[0]) async for chunk in chunks]


@pytest.mark.parametrize("kind", ["Talker", "Choir"])
async def test_sixty_mixed_utterances_are_each_heard_by_their_caller(tiny, job, kind):
    async with started(getattr(tiny, kind)) as host:
        heard = await asyncio.gather(
            *(hear(host, job("w " * (1 + i % 7), voice=i, level=i % 3)) for i in range(60))
        )
    assert heard == [[i] * (1 + i % 7) for i in range(60)]


async def test_starting_tells_what_is_offered(tiny):
    host = Here(lambda: tiny.Talker(concurrency=2), offer)
    offered = await host.start()
    assert [voice.name for voice in offered.voices] == ["1", "2"]
    assert offered.capabilities.concurrency == 2
    await host.stop(grace_s=0.0)


async def test_the_engine_is_described_on_its_own_thread(tiny):
    def load():
        threads.append(threading.current_thread())
        return tiny.Talker()

    def describe(engine):
        threads.append(threading.current_thread())
        return offer(engine)

    threads = []
    async with started(load, describe):
        loaded, described = threads
        assert loaded is described is not threading.current_thread()


async def test_sound_is_heard_before_the_utterance_ends(tiny, job):
    gate = threading.Semaphore(1)
    async with (
        started(lambda: tiny.Talker(gate=gate)) as host,
        aclosing(host.stream(job("w w"))) as chunks,
    ):
        await anext(chunks)
        gate.release()
        await anext(chunks)
        with pytest.raises(StopAsyncIteration):
            await anext(chunks)


async def test_a_failing_utterance_raises_to_its_caller_after_what_was_heard(tiny, job):
    async with started(tiny.Talker) as host:
        async with aclosing(host.stream(job("w boom"))) as chunks:
            await anext(chunks)
            with pytest.raises(SynthesisFailed, match="ValueError: boom"):
                await anext(chunks)
        assert await hear(host, job("w")) == [1]


@pytest.mark.parametrize("how", ["close", "cancel"])
async def test_who_leaves_while_spoken_to_frees_the_engine(tiny, job, how):
    gate, made = threading.Semaphore(1), []
    async with started(lambda: made.append(tiny.Talker(gate=gate)) or made[0]) as host:
        leaving = job("w " * 100_000)
        if how == "close":
            async with aclosing(host.stream(leaving)) as chunks:
                await anext(chunks)
        else:
            task = asyncio.create_task(hear(host, leaving))
            await until(lambda: made[0].begun)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        gate.release(10)
        assert await hear(host, job("w")) == [1]
        assert made[0].left == [leaving.utterance.text, "w"]


async def test_who_leaves_while_waiting_is_never_spoken(tiny, job):
    gate, made = threading.Semaphore(0), []
    async with started(lambda: made.append(tiny.Talker(gate=gate)) or made[0]) as host:
        first = asyncio.create_task(hear(host, job("first")))
        await until(lambda: made[0].begun)
        waiting = asyncio.create_task(hear(host, job("waiting")))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        gate.release(5)
        assert await first == [1]
        assert await hear(host, job("last")) == [1]
        assert made[0].begun == ["first", "last"]


async def test_an_engine_that_cannot_be_loaded_leaves_nothing_behind(tiny, job):
    before, attempts = set(threading.enumerate()), []

    def load():
        attempts.append(1)
        if len(attempts) == 1:
            raise RuntimeError("no weights")
        return tiny.Talker()

    host = Here(load, offer, name="tiny")
    with pytest.raises(LoadFailed, match="RuntimeError: no weights"):
        await host.start()
    await until(lambda: set(threading.enumerate()) <= before)
    with pytest.raises(NotReady):
        await hear(host, job("w"))
    await host.start()
    assert await hear(host, job("w")) == [1]
    await host.stop(grace_s=0.0)


async def test_an_engine_that_cannot_be_described_is_closed(tiny):
    made = []
    host = Here(lambda: made.append(tiny.Talker()) or made[0], lambda engine: 1 // 0)
    with pytest.raises(LoadFailed, match="ZeroDivisionError"):
        await host.start()
    assert made[0].closed == 1


@pytest.mark.parametrize("how", ["cancel", "stop"])
async def test_a_load_that_is_given_up_is_left_at_once_and_closed_when_it_ends(tiny, how):
    loading, gate, made = threading.Event(), threading.Event(), []

    def load():
        loading.set()
        gate.wait(PATIENCE_S)
        made.append(tiny.Talker())
        return made[0]

    host = Here(load, offer)
    starting = asyncio.create_task(host.start())
    await until(loading.is_set)
    if how == "cancel":
        starting.cancel()
    else:
        stopping = asyncio.create_task(host.stop(grace_s=0.0))
    with pytest.raises(asyncio.CancelledError if how == "cancel" else ShuttingDown):
        await starting
    gate.set()
    await until(lambda: made and made[0].closed)
    if how == "stop":
        await stopping


async def test_after_stop_who_waits_and_who_comes_is_told_so(tiny, job):
    gate, made = threading.Semaphore(0), []
    host = Here(lambda: made.append(tiny.Talker(gate=gate)) or made[0], offer)
    await host.start()
    spoken = asyncio.create_task(hear(host, job("w w")))
    waiting = asyncio.create_task(hear(host, job("w")))
    await until(lambda: made[0].begun)
    stopping = asyncio.create_task(host.stop(grace_s=PATIENCE_S))
    with pytest.raises(ShuttingDown):
        await waiting
    with pytest.raises(ShuttingDown):
        await hear(host, job("w"))
    gate.release(2)
    assert await spoken == [1, 1]
    await stopping


async def test_who_is_still_spoken_when_the_grace_is_over_is_told_so(tiny, job):
    made = []
    host = Here(lambda: made.append(tiny.Talker()) or made[0], offer)
    await host.start()
    spoken = asyncio.create_task(hear(host, job("w " * 1_000_000)))
    await until(lambda: made[0].begun)
    await host.stop(grace_s=0.0)
    with pytest.raises(ShuttingDown):
        await spoken


async def test_stopping_twice_or_before_the_start_does_nothing(tiny):
    host = Here(tiny.Talker, offer)
    await host.stop(grace_s=0.0)
    await host.start()
    await host.stop(grace_s=0.0)
    await host.stop(grace_s=0.0)


async def test_an_engine_that_can_rest_rests_and_wakes_on_its_own(tiny, job):
    made = []
    async with started(lambda: made.append(tiny.Dozer()) or made[-1]) as host:
        await host.rest()
        assert not made[0].awake
        with pytest.raises(NotReady):
            await hear(host, job("w"))
        await host.wake()
        assert made[0].awake
        assert await hear(host, job("w")) == [1]
    assert len(made) == 1


async def test_an_engine_that_cannot_rest_is_closed_and_loaded_again(tiny, job):
    made = []
    async with started(lambda: made.append(tiny.Talker()) or made[-1]) as host:
        await host.rest()
        await host.rest()
        assert made[0].closed == 1
        with pytest.raises(NotReady):
            await hear(host, job("w"))
        await host.wake()
        await host.wake()
        assert await hear(host, job("w")) == [1]
    assert [engine.closed for engine in made] == [1, 1]


async def test_an_engine_that_fails_to_rest_stays_awake_and_says_why(tiny, job):
    class Sleepless(tiny.Dozer):
        def rest(self):
            raise OSError("no room on the processor's side")

    async with started(Sleepless) as host:
        with pytest.raises(SynthesisFailed, match="OSError: no room"):
            await host.rest()
        assert await hear(host, job("w")) == [1]


async def test_an_engine_that_fails_to_wake_can_be_woken_later(tiny, job):
    class Heavy(tiny.Dozer):
        attempts = 0

        def wake(self):
            self.attempts += 1
            if self.attempts == 1:
                raise MemoryError

    async with started(Heavy) as host:
        await host.rest()
        with pytest.raises(Exception, match="out of memory"):
            await host.wake()
        await host.wake()
        assert await hear(host, job("w")) == [1]


async def test_a_host_of_this_process_is_never_lost(tiny):
    async with started(tiny.Talker) as host:
        lost = asyncio.create_task(host.lost())
        await asyncio.sleep(0.01)
        assert not lost.done()
        lost.cancel()


def test_an_engine_survives_the_event_loop_that_it_spoke_to(tiny, job):
    engine, host = tiny.Talker(), None

    async def leave_midway():
        nonlocal host
        host = Here(lambda: engine, offer)
        await host.start()
        chunks = host.stream(job("w " * 100_000))
        await anext(chunks)

    asyncio.run(leave_midway())
    asyncio.run(host.stop(grace_s=0.0))
    asyncio.run(until(lambda: engine.closed))
    assert engine.closed == 1
