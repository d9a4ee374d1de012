"""Engines that say words as constant samples, and somebody who listens to an engine's loop."""

from __future__ import annotations

import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from types import SimpleNamespace

import numpy as np
import pytest
from waiting import PATIENCE_S

from alltalk.audio import Audio
from alltalk.engine import Capabilities, Chunk, Event, Utterance, Voice
from alltalk.errors import NoRoom, UnknownVoice
from alltalk.serving.loop import Delivery, EngineLoop, Job

NUDGE_S = 0.01
"""Between two nudges: 10 000 of them outlast the patience."""


class OutOfMemoryError(RuntimeError):
    """As torch has one."""


def say(word: str, voice: Voice) -> Chunk | None:
    """`word` as ten samples of the voice's number, or what some words do instead."""
    samples, rate = np.full(10, float(voice.name), np.float32), 24000
    match word:
        case "boom":
            raise ValueError("boom\nand more")
        case "quit":
            raise SystemExit("the engine wants to leave")
        case "oom":
            raise OutOfMemoryError("tried to allocate 20 GiB")
        case "stranger":
            raise UnknownVoice("stranger", "tiny", ["1", "2"])
        case "pause":
            return None
        case "empty":
            samples = samples[:0]
        case "nan":
            samples[3] = np.nan
        case "inf":
            samples[3] = np.inf
        case "faster":
            rate = 48000
        case "bytes":
            return b"RIFF"  # type: ignore[return-value]
    return Chunk(Audio(samples, rate))


class Talker:
    """A plain engine: a chunk a word. With a `gate` every word waits for a turn of it."""

    def __init__(self, concurrency: int = 1, gate: threading.Semaphore | None = None) -> None:
        self.capabilities = Capabilities(concurrency=concurrency)
        self.gate = gate
        self.begun: list[str] = []
        self.left: list[str] = []
        self.closed = 0
        self.threads = {"load": {threading.current_thread().name}, "speak": set(), "close": set()}

    def voices(self) -> Sequence[Voice]:
        return [Voice("1"), Voice("2")]

    def synthesize(self, utterance: Utterance) -> Generator[Chunk | None]:
        self.begun.append(utterance.text)
        try:
            for word in utterance.text.split():
                self.threads["speak"].add(threading.current_thread().name)
                if self.gate is not None:
                    assert self.gate.acquire(timeout=PATIENCE_S)
                yield say(word, utterance.voice)
        finally:
            self.left.append(utterance.text)
            if "stubborn" in utterance.text:
                raise RuntimeError("it will not go")

    def close(self) -> None:
        self.threads["close"].add(threading.current_thread().name)
        self.closed += 1


class Dozer(Talker):
    """A talker that can rest."""

    awake = True

    def rest(self) -> None:
        self.awake = False

    def wake(self) -> None:
        self.awake = True


class Choir(Talker):
    """A batch engine: one word of every open stream a step. `room`: most words open at once."""

    def __init__(
        self, slots: int = 4, room: int = 10**9, gate: threading.Semaphore | None = None
    ) -> None:
        super().__init__(gate=gate)
        self.slots = slots
        self.room = room
        self.open_streams: dict[object, tuple[Utterance, list[str]]] = {}
        self.most_open = 0
        self.threads["prepare"] = set()

    def prepare(self, utterance: Utterance) -> list[str]:
        self.threads["prepare"].add(threading.current_thread().name)
        if "unpreparable" in utterance.text:
            raise KeyError("no such token")
        return [utterance, *utterance.text.split()]

    def open(self, prepared: list) -> object:
        utterance, *words = prepared
        taken = sum(len(texts.text.split()) for texts, _ in self.open_streams.values())
        if len(self.open_streams) >= self.slots or taken + len(words) > self.room:
            raise NoRoom
        stream = object()
        self.begun.append(utterance.text)
        self.open_streams[stream] = (utterance, words)
        self.most_open = max(self.most_open, len(self.open_streams))
        return stream

    def step(self) -> Sequence[Event]:
        self.threads["speak"].add(threading.current_thread().name)
        if self.gate is not None:
            assert self.gate.acquire(timeout=PATIENCE_S)
        return [self._word(stream) for stream in self.open_streams]

    def close_stream(self, stream: object) -> None:
        utterance, _ = self.open_streams.pop(stream)
        self.left.append(utterance.text)
        if "stubborn" in utterance.text:
            raise RuntimeError("it will not go")

    def _word(self, stream: object) -> Event:
        utterance, words = self.open_streams[stream]
        if not words:
            return Event(stream, done=True)
        try:
            chunk = say(words.pop(0), utterance.voice)
        except Exception as error:
            return Event(stream, error=error)
        return Event(stream, chunk, done=not words)


class Ear:
    """What is delivered, by job."""

    def __init__(self) -> None:
        self.calls: list[list[Delivery]] = []
        self._heard: dict[str, list[Delivery]] = defaultdict(list)
        self._changed = threading.Condition()

    def __call__(self, deliveries: Sequence[Delivery]) -> None:
        with self._changed:
            self.calls.append(list(deliveries))
            for each in deliveries:
                self._heard[each.job.id].append(each)
            self._changed.notify_all()

    def until(self, holds: Callable[[], object], nudge: Callable[[], object] | None = None) -> None:
        """Return when `holds()` is true, asked at each delivery and now and then.

        `nudge` is called every `NUDGE_S` meanwhile, however fast the deliveries come.
        """
        deadline = time.monotonic() + PATIENCE_S
        nudged = time.monotonic()
        with self._changed:
            while not holds():
                assert time.monotonic() < deadline, "it did not come"
                if nudge is not None and time.monotonic() - nudged >= NUDGE_S:
                    nudge()
                    nudged = time.monotonic()
                self._changed.wait(NUDGE_S / 2)

    def ended(self, *jobs: Job) -> bool:
        return all(self._heard[job.id] and self._heard[job.id][-1].done for job in jobs)

    def words(self, job: Job) -> list[float]:
        """The voice of each word heard so far."""
        return [float(each.chunk.audio.samples[0]) for each in self._heard[job.id] if each.chunk]

    def outcome(self, job: Job) -> Exception | None:
        """The job's error, once it is done; it is done exactly once, at the end."""
        self.until(lambda: self.ended(job))
        heard = self._heard[job.id]
        assert [each.done for each in heard] == [False] * (len(heard) - 1) + [True]
        return heard[-1].error


@pytest.fixture
def tiny() -> SimpleNamespace:
    """The engines: tiny.Talker, tiny.Dozer, tiny.Choir."""
    return SimpleNamespace(Talker=Talker, Dozer=Dozer, Choir=Choir)


@pytest.fixture
def job() -> Callable[..., Job]:
    """`job(text, voice=1, level=0, flow=…)`; each is of a caller of its own unless it says."""
    numbers = itertools.count()

    def make(text: str, voice: int = 1, level: int = 0, flow: str = "") -> Job:
        name = f"job {next(numbers)}"
        utterance = Utterance(text, Voice(str(voice)), "")
        return Job(name, utterance, flow or name, level, len(text))

    return make


@pytest.fixture
def ear() -> Ear:
    """Listens to the loops of `loop_of`."""
    return Ear()


@pytest.fixture
def loop_of(ear: Ear) -> Iterator[Callable[..., EngineLoop]]:
    """`loop_of(load)` is a started loop, heard by `ear`. Afterwards none of its threads is left."""
    before = set(threading.enumerate())
    loops: list[EngineLoop] = []

    def start(load: Callable[[], object]) -> EngineLoop:
        loop = EngineLoop(load, ear, name="tiny")
        loops.append(loop)
        loop.start()
        return loop

    yield start
    for loop in loops:
        assert loop.close(0.0, settle_s=PATIENCE_S)
        assert (loop.waiting, loop.running, loop.last_step_at) == (0, 0, None)
    assert set(threading.enumerate()) <= before
