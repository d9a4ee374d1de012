"""An engine in a child process speaks as it would here, and harms nobody when it dies."""

import asyncio
import gc
import json
import logging
import os
import signal
import sys
import venv
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from waiting import PATIENCE_S, until

from alltalk.engine import Place, Utterance, Voice
from alltalk.errors import LoadFailed, NotReady, ShuttingDown, SynthesisFailed, WorkerLost
from alltalk.serving.loop import Job
from alltalk.serving.workers import Worker
from alltalk.speech import Offer

STALL_S = 5.0
"""Without progress it is killed. Not less: a loaded machine may not let a child tell of any."""
PARROT = '''
"""Says each word as ten samples of the word's length, and does what some words tell it to."""

import os
import subprocess
import sys
import time

import numpy as np

from alltalk.audio import Audio
from alltalk.engine import Capabilities, Chunk, Event, Voice


def load(folder, model, place, settings):
    fate = settings.get("fate")
    if fate == "raise":
        raise RuntimeError("no weights here")
    if fate == "hang":
        time.sleep(600)
    if fate == "pydantic":
        import pydantic
    if fate == "exit":
        print("cannot find the sea", file=sys.stderr)
        os._exit(3)
    print("loading", model)
    return {"restable": Restable, "batch": Flock}.get(fate, Parrot)()


class Parrot:
    capabilities = Capabilities(streaming=True, languages=("en",))

    def __init__(self):
        self.awake = True

    def voices(self):
        return [Voice("polly", "en"), Voice("jack")]

    def synthesize(self, utterance):
        for word in utterance.text.split():
            if word == "boom":
                raise ValueError("boom")
            if word == "crash":
                print("the mast is broken", file=sys.stderr)
                os._exit(7)
            if word == "print":
                print("{" + "x" * 100_000)
                subprocess.run(["echo", "from below"], check=True)
                assert sys.stdin.read() == ""
            if word == "hang":
                time.sleep(600)
            if word == "endless":
                while True:
                    time.sleep(0.01)
                    yield None
            if word == "child":
                subprocess.Popen(["sleep", "600"])
            value = float(os.getpid()) if word == "pid" else len(word) * self.awake
            yield Chunk(Audio(np.full(10, value, np.float32), 16000))

    def close(self):
        print("closed", flush=True)


class Flock:
    """Says each word as how many are speaking."""

    capabilities = Capabilities(streaming=True, slots=4)
    slots = 4

    def __init__(self):
        self.open_streams = {}

    def voices(self):
        return [Voice("polly")]

    def prepare(self, utterance):
        return utterance.text.split()

    def open(self, words):
        self.open_streams[stream := object()] = list(words)
        return stream

    def step(self):
        time.sleep(0.002)
        count = len(self.open_streams)
        sound = Chunk(Audio(np.full(10, count, np.float32), 16000))
        events = []
        for stream, words in self.open_streams.items():
            words.pop()
            events.append(Event(stream, sound, done=not words))
        return events

    def close_stream(self, stream):
        del self.open_streams[stream]

    def close(self):
        pass


class Restable(Parrot):
    def rest(self):
        self.awake = False

    def wake(self):
        self.awake = True
'''


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the engine `parrot` in it."""
    folder = tmp_path / "engines" / "parrot"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "engine.py").write_text(PARROT)
    manifest = {"alltalk": {"display_name": "Parrot", "models": {"fixed": ["green"]}}}
    (folder / "model_settings.json").write_text(json.dumps(manifest))
    return tmp_path


Workers = Callable[..., Worker]


@pytest.fixture
async def worker(home: Path) -> AsyncIterator[Workers]:
    """`worker(fate="…")` makes a Worker of the parrot, which is stopped after the test."""
    made = []

    def make(engine: str = "parrot", fate: str = "", **options) -> Worker:
        def offer(capabilities, voices) -> Offer:
            return Offer(engine, "green", "r1", capabilities, tuple(voices))

        made.append(Worker(engine, "green", Place(), {"fate": fate}, home, offer, **options))
        return made[-1]

    yield make
    await asyncio.gather(*(each.stop(0.0) for each in made))


ids = iter(range(1_000_000))


def job(text: str, flow: str = "") -> Job:
    number = str(next(ids))
    return Job(number, Utterance(text, Voice("polly"), "en"), flow or number, 0, float(len(text)))


async def hear(worker: Worker, text: str, flow: str = "") -> list[float]:
    """What was said: the value of each chunk's samples."""
    async with aclosing(worker.stream(job(text, flow))) as chunks:
        return [float(chunk.audio.samples[0]) async for chunk in chunks]


async def pid_of(worker: Worker) -> int:
    [pid] = await hear(worker, "pid")
    return int(pid)


Children = Callable[[], list[int]]


def children_of(pid: int) -> list[int]:
    """Processes that `pid` has started and that are still there."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            found += map(int, (thread / "children").read_text().split())
    return found


@pytest.fixture
def children() -> Children:
    """Processes that the test has started and that are still there."""
    before = set(children_of(os.getpid()))  # the servers of other tests
    return lambda: [pid for pid in children_of(os.getpid()) if pid not in before]


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@asynccontextmanager
async def speaking(worker: Worker, text: str) -> AsyncIterator[asyncio.Task[list[float]]]:
    """Inside, `text` is being spoken: its first chunk, of the word `a`, has been heard."""
    began = asyncio.Event()

    async def listen() -> list[float]:
        heard = []
        async with aclosing(worker.stream(job("a " + text))) as chunks:
            async for chunk in chunks:
                heard.append(float(chunk.audio.samples[0]))
                began.set()
        return heard

    task = asyncio.create_task(listen())
    await asyncio.wait_for(began.wait(), PATIENCE_S)
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_it_offers_what_the_loaded_engine_says_of_itself(worker: Workers):
    offer = await worker().start()
    assert (offer.engine, offer.capabilities.languages) == ("parrot", ("en",))
    assert offer.voices == (Voice("polly", "en"), Voice("jack"))


async def test_an_utterance_is_heard_chunk_by_chunk_in_order(worker: Workers):
    here = worker()
    await here.start()
    assert await hear(here, "a bb ccc") == [1, 2, 3]


async def test_the_engine_runs_in_another_process_and_session(worker: Workers):
    here = worker()
    await here.start()
    pid = await pid_of(here)
    assert pid != os.getpid()
    assert os.getsid(pid) == pid


@pytest.fixture
def own_python(tmp_path: Path) -> Path:
    """The interpreter of an environment that has numpy and nothing else of ours."""
    venv.create(tmp_path / "own", symlinks=True)
    [packages] = (tmp_path / "own" / "lib").glob("python*/site-packages")
    numpy = Path(np.__file__).parent
    for folder in (numpy, numpy.with_name("numpy.libs")):
        (packages / folder.name).symlink_to(folder)
    return tmp_path / "own" / "bin" / "python"


async def test_an_engine_may_have_an_environment_of_its_own(worker: Workers, own_python: Path):
    here = worker(python=own_python)
    await here.start()
    assert await hear(here, "a bb") == [1, 2]


async def test_nothing_of_the_servers_environment_is_lent(worker: Workers, own_python: Path):
    await worker(fate="pydantic").start()
    with pytest.raises(LoadFailed, match="pydantic"):
        await worker(fate="pydantic", python=own_python).start()


async def test_two_hundred_utterances_of_many_callers_are_each_their_own(worker: Workers):
    here = worker()
    await here.start()
    texts = [" ".join("x" * (1 + (i + k) % 9) for k in range(1 + i % 7)) for i in range(200)]
    heard = await asyncio.gather(
        *(hear(here, text, f"flow{i % 20}") for i, text in enumerate(texts))
    )
    assert heard == [[len(word) for word in text.split()] for text in texts]


async def test_utterances_share_the_steps_of_an_engine_that_batches(worker: Workers):
    here = worker(fate="batch")
    offer = await here.start()
    heard = await asyncio.gather(*(hear(here, "a " * 200) for _ in range(6)))
    assert [len(each) for each in heard] == [200] * 6
    assert max(max(each) for each in heard) == offer.capabilities.slots == 4


async def test_what_a_model_prints_is_logged_and_is_not_taken_for_sound(worker: Workers, caplog):
    caplog.set_level(logging.INFO, "alltalk.serving.child")
    here = worker()
    await here.start()
    assert await hear(here, "print a") == [5, 1]
    await here.stop(0.0)
    assert "parrot: loading green" in caplog.messages
    assert "parrot: from below" in caplog.messages


async def test_an_utterance_that_fails_fails_alone_and_says_why(worker: Workers):
    here = worker()
    await here.start()
    with pytest.raises(SynthesisFailed, match="ValueError: boom"):
        await hear(here, "a boom")
    assert await hear(here, "bb") == [2]


async def test_a_caller_who_leaves_makes_room_for_the_next(worker: Workers):
    here = worker()
    await here.start()
    async with speaking(here, "endless"):
        pass
    assert await asyncio.wait_for(hear(here, "bb"), PATIENCE_S) == [2]


async def test_who_left_the_line_is_not_spoken_for(worker: Workers):
    here = worker()
    await here.start()
    async with speaking(here, "endless"):
        waits = asyncio.create_task(hear(here, "crash"))
        await asyncio.sleep(0.05)
        waits.cancel()
        await asyncio.wait({waits})
    assert await asyncio.wait_for(hear(here, "bb"), PATIENCE_S) == [2]


async def test_when_it_is_killed_all_that_speak_are_told_and_the_host_knows(worker: Workers):
    here, other = worker(), worker()
    await asyncio.gather(here.start(), other.start())
    pid = await pid_of(here)
    async with speaking(here, "endless") as first, speaking(other, "endless") as spared:
        waits = asyncio.create_task(hear(here, "a"))
        await asyncio.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
        for task in (first, waits):
            with pytest.raises(WorkerLost, match=r"The process of parrot ended \(SIGKILL\)"):
                await asyncio.wait_for(task, PATIENCE_S)
        await asyncio.wait_for(here.lost(), PATIENCE_S)
        assert not spared.done()
    assert not alive(pid)
    assert await hear(other, "bb") == [2]


async def test_after_a_crash_it_says_the_last_words_and_can_be_started_again(worker: Workers):
    here = worker()
    await here.start()
    with pytest.raises(WorkerLost, match=r"ended \(exit 7\): the mast is broken"):
        await hear(here, "a crash")
    with pytest.raises(WorkerLost, match="exit 7"):
        await hear(here, "a")
    await here.start()
    assert await hear(here, "bb") == [2]


async def test_lost_stays_silent_while_it_lives_and_when_it_is_stopped(worker: Workers):
    here = worker()
    await here.start()
    lost = asyncio.create_task(here.lost())
    await hear(here, "a")
    await here.stop(0.0)
    await asyncio.sleep(0.05)
    assert not lost.done()
    lost.cancel()


async def test_a_load_that_raises_says_why_and_leaves_no_process(
    worker: Workers, children: Children
):
    with pytest.raises(LoadFailed, match="no weights here"):
        await worker(fate="raise").start()
    assert children() == []


async def test_a_load_that_ends_the_process_says_its_last_words(
    worker: Workers, children: Children
):
    with pytest.raises(LoadFailed, match=r"ended \(exit 3\): cannot find the sea"):
        await worker(fate="exit").start()
    assert children() == []


async def test_a_load_that_hangs_is_given_up(worker: Workers, children: Children):
    with pytest.raises(LoadFailed, match=r"did not load within 1.5 s"):
        await worker(fate="hang", load_timeout_s=1.5).start()
    assert children() == []


async def test_a_start_that_is_cancelled_leaves_no_process(worker: Workers, children: Children):
    start = asyncio.create_task(worker(fate="hang").start())
    await until(children)
    start.cancel()
    await asyncio.wait({start})
    assert start.cancelled()
    assert children() == []


async def test_an_interpreter_that_is_not_there_is_a_failed_load(worker: Workers):
    with pytest.raises(LoadFailed, match="no-python"):
        await worker(python=Path("/no/such/no-python")).start()


async def test_what_speaks_another_language_is_no_engine(
    worker: Workers, tmp_path: Path, children: Children
):
    parrot = tmp_path / "python"
    parrot.write_text("#!/bin/sh\necho Welcome to the jungle\nsleep 600\n")
    parrot.chmod(0o755)
    with pytest.raises(LoadFailed, match="sent what is no message"):
        await worker(python=parrot).start()
    assert children() == []


async def test_a_step_that_hangs_is_killed(worker: Workers):
    here = worker(stall_s=STALL_S)
    await here.start()
    pid = await pid_of(here)
    with pytest.raises(WorkerLost, match=f"no progress for {STALL_S:g} s"):
        await asyncio.wait_for(hear(here, "a hang"), PATIENCE_S)
    assert not alive(pid)


async def test_long_work_without_sound_is_no_hang(worker: Workers):
    here = worker(stall_s=STALL_S)
    await here.start()
    pid = await pid_of(here)
    async with speaking(here, "endless") as task:
        await asyncio.wait({task}, timeout=1.5 * STALL_S)
        assert not task.done()
    assert await pid_of(here) == pid


async def test_stop_lets_finish_what_is_spoken_and_then_the_process_is_gone(worker: Workers):
    here = worker()
    await here.start()
    pid = await pid_of(here)
    async with speaking(here, "bb " * 2000) as task:
        stopping = asyncio.create_task(here.stop(PATIENCE_S))
        assert len(await task) == 2001
        await stopping
    assert not alive(pid)


async def test_stop_ends_what_does_not_finish_and_refuses_what_comes(
    worker: Workers, children: Children
):
    here = worker()
    await here.start()
    async with speaking(here, "endless") as task:
        await here.stop(0.05)
        with pytest.raises(ShuttingDown):
            await task
    with pytest.raises(ShuttingDown):
        await hear(here, "a")
    assert children() == []


async def test_stop_closes_the_engine_before_it_leaves(worker: Workers, caplog):
    caplog.set_level(logging.INFO, "alltalk.serving.child")
    here = worker()
    await here.start()
    await here.stop(0.0)
    assert "parrot: closed" in caplog.messages


async def test_what_the_engine_started_goes_with_it(worker: Workers):
    here = worker()
    await here.start()
    pid = await pid_of(here)
    await hear(here, "child")
    [below] = children_of(pid)
    os.kill(pid, signal.SIGKILL)
    await asyncio.wait_for(here.lost(), PATIENCE_S)
    await until(lambda: not alive(below))


async def test_an_engine_that_cannot_rest_gives_its_process_back(worker: Workers):
    here = worker()
    await here.start()
    pid = await pid_of(here)
    await here.rest()
    assert not alive(pid)
    with pytest.raises(NotReady):
        await hear(here, "a")
    await here.wake()
    assert await hear(here, "bb") == [2]


async def test_an_engine_that_can_rest_stays(worker: Workers):
    here = worker(fate="restable")
    await here.start()
    pid = await pid_of(here)
    await here.rest()
    assert await hear(here, "bb") == [0]
    await here.wake()
    assert await hear(here, "bb") == [2]
    assert await pid_of(here) == pid


async def test_lives_that_end_leave_nothing_open(worker: Workers):
    await worker().start()
    gc.collect()  # what other tests left open is not closed meanwhile
    before = open_files(), len(asyncio.all_tasks())
    for _ in range(3):
        here = worker()
        await here.start()
        await hear(here, "a")
        os.kill(await pid_of(here), signal.SIGKILL)
        await here.lost()
        await here.stop(0.0)
    await until(lambda: (open_files(), len(asyncio.all_tasks())) == before)


SERVER = """
import asyncio, sys
from pathlib import Path
from alltalk.engine import Place, Utterance, Voice
from alltalk.serving.loop import Job
from alltalk.serving.workers import Worker
from alltalk.speech import Offer

async def main():
    offer = lambda can, voices: Offer("parrot", "green", "r", can, tuple(voices))
    worker = Worker("parrot", "green", Place(), {}, Path(sys.argv[1]), offer)
    await worker.start()
    job = Job("j", Utterance("pid endless", Voice("polly"), "en"), "f", 0, 1.0)
    async for chunk in worker.stream(job):
        print(int(chunk.audio.samples[0]), flush=True)

asyncio.run(main())
"""


async def test_when_the_server_dies_the_child_leaves(home: Path):
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, str(home), stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    pid = int(await server.stdout.readline())
    server.kill()
    await server.communicate()
    await until(lambda: not alive(pid))
