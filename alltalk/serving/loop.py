"""EngineLoop: the owning threads of one engine over one waiting line; the only scheduler."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from alltalk.engine import BatchEngine, Engine, Stream
from alltalk.errors import AllTalkError, LoadFailed, NoRoom, ShuttingDown, SynthesisFailed
from alltalk.serving.desk import Call, Desk, Task
from alltalk.serving.guarded import Guarded, failure
from alltalk.serving.job import Delivery, Job

__all__ = ["SETTLE_S", "Delivery", "EngineLoop", "Job", "Loaded"]

_log = logging.getLogger(__name__)

SETTLE_S = 2.0
"""Seconds that `EngineLoop.close` gives to a step under way, and to the engine to close."""

Loaded = Engine | BatchEngine
R = TypeVar("R")


class EngineLoop:
    """One engine, loaded once, and everything that is spoken with it.

    Each round of a thread: close what has ended or was left, open from the line, step, deliver.
    A plain engine has one slot on each of `capabilities.concurrency` threads. A batch engine has
    its slots on one thread, and another one prepares for it.

    Every job ends with exactly one `done` delivery, unless it was cancelled. All methods may be
    called from any thread, and none but `close` waits.
    """

    def __init__(
        self,
        load: Callable[[], Loaded],
        deliver: Callable[[Sequence[Delivery]], None],
        *,
        name: str = "engine",
    ) -> None:
        """`load` and every call of the engine run on the owning thread; `name` is told in errors.

        `deliver` gets all that one step made in one call. It is called from several threads, one
        at a time, and must not block; a chunk may still come of a job that was just cancelled.
        """
        self.loaded: Future[Loaded] = Future()
        """The engine once `load` has returned, else why there is none: LoadFailed, or its own
        AllTalkError, or ShuttingDown when it was closed before. Cannot be cancelled."""
        self.loaded.set_running_or_notify_cancel()
        self._load = load
        self._name = name
        self._desk = Desk(deliver)
        self._deciding = threading.RLock()  # whether `loaded` holds an engine or an error
        self._owner = threading.Thread(target=self._own, name=name, daemon=True)

    def start(self) -> None:
        """Begin to load. Jobs submitted meanwhile wait, and all fail if loading does."""
        self._owner.start()

    def submit(self, job: Job) -> None:
        """Put `job` in line. What becomes of it is delivered, a refusal too."""
        self._desk.submit(job)

    def cancel(self, job_id: str) -> None:
        """Drop a job: from the line at once, from the engine at its next step.

        Nothing happens when it has ended, or never was.
        """
        self._desk.cancel(job_id)

    def between(self, call: Callable[[Any], R]) -> Future[R]:
        """What `call(engine)` returns on the owning thread, once nothing is open.

        Until it has returned, nothing is opened. What it raises becomes an AllTalkError.
        """
        future: Future[R] = Future()
        self._desk.between(Call(call, future))
        return future

    def close(self, timeout_s: float, *, settle_s: float = SETTLE_S) -> bool:
        """Refuse what waits and what comes; let what is open finish for `timeout_s`, then drop it.

        All of these end with ShuttingDown. Returns True when the engine is closed; False when
        `settle_s` after the last job ended the thread is still inside a step, or the load: it
        closes the engine as soon as that returns.
        """
        shutdown = ShuttingDown(f"{self._name} is being closed.")
        self._end(shutdown)
        self._desk.await_silence(timeout_s)
        self._desk.drop(shutdown)
        if self._owner.ident is not None:
            self._owner.join(settle_s)
        return not self._owner.is_alive()

    @property
    def waiting(self) -> int:
        """Jobs in line, one being prepared among them."""
        return self._desk.waiting

    @property
    def running(self) -> int:
        """Utterances open in the engine."""
        return self._desk.running

    @property
    def last_step_at(self) -> float | None:
        """When a busy thread last began a round, on the monotonic clock; None: none is busy.

        Of several threads the one that has been silent longest counts: it is the one that hangs.
        """
        return self._desk.last_beat_at

    def _own(self) -> None:
        """What the owning thread does: load, speak until closed, close."""
        engine = self._loaded_engine()
        if engine is None:
            return
        others = self._start_others(engine)
        try:
            self._mind(lambda: self._speak(engine, answers=True))
        finally:
            for thread in others:
                thread.join()
            self._close_engine(engine)

    def _loaded_engine(self) -> Loaded | None:
        """The engine; None when it could not be loaded, or is not wanted any more."""
        if self._desk.has_ended:
            return None
        try:
            engine = self._load()
        except BaseException as error:
            self._end(failure(error, self._name, LoadFailed))
            return None
        if isinstance(engine, BatchEngine):
            self._desk.prepare_first()
        with self._deciding:
            if not self.loaded.done():
                self.loaded.set_result(engine)
                return engine
        self._close_engine(engine)
        return None

    def _start_others(self, engine: Loaded) -> list[threading.Thread]:
        """Start the threads beside the owner: one that prepares, or more that speak."""
        works: list[Callable[[], None]]
        if isinstance(engine, BatchEngine):
            works = [lambda: self._prepare(engine)]
        else:
            works = [lambda: self._speak(engine)] * (engine.capabilities.concurrency - 1)
        threads = [
            threading.Thread(target=self._mind, args=(work,), name=f"{self._name}-{n}", daemon=True)
            for n, work in enumerate(works, 1)
        ]
        for thread in threads:
            thread.start()
        return threads

    def _mind(self, work: Callable[[], None]) -> None:
        """Do `work`; when it fails, by a fault of ours or of `deliver`, nobody waits in vain."""
        try:
            work()
        except BaseException:
            fault = SynthesisFailed(f"The loop of {self._name} has failed; the log says how.")
            self._end(fault)
            self._desk.drop(fault)
            raise

    def _speak(self, engine: Loaded, *, answers: bool = False) -> None:
        """Speak what is in line until the loop is closed; with `answers`, make the calls too."""
        guarded = Guarded(engine, self._name)
        answer = (lambda call: self._answer(call, engine)) if answers else None
        streams: dict[Stream, Task] = {}
        while self._desk.await_work(busy=bool(streams), answer=answer):
            self._close_left(guarded, streams)
            self._open(guarded, streams)
            if streams:
                self._step(guarded, streams)

    def _close_left(self, guarded: Guarded, streams: dict[Stream, Task]) -> None:
        """Close the streams that have ended, or whose caller left."""
        left = [stream for stream, task in streams.items() if not self._desk.is_live(task)]
        for stream in left:
            guarded.close_stream(stream)
            del streams[stream]
        if left:
            self._desk.closed(len(left))

    def _open(self, guarded: Guarded, streams: dict[Stream, Task]) -> None:
        """Open as many from the line as there is room for."""
        while len(streams) < guarded.slots and (task := self._desk.take()) is not None:
            try:
                streams[guarded.open(task.prepared)] = task
            except NoRoom:
                self._desk.put_back(task)
                return
            except AllTalkError as error:
                self._desk.send([Delivery(task.job, done=True, error=error)])
                self._desk.closed(1)

    def _step(self, guarded: Guarded, streams: dict[Stream, Task]) -> None:
        self._desk.send(
            [
                Delivery(streams[each.stream].job, each.chunk, each.done, each.error)
                for each in guarded.step()
            ]
        )

    def _prepare(self, engine: BatchEngine) -> None:
        """Prepare what comes in, until the loop is closed."""
        guarded = Guarded(engine, self._name)
        while (task := self._desk.take_unprepared()) is not None:
            try:
                task.prepared = guarded.prepare(task.job.utterance)
            except AllTalkError as error:
                self._desk.send([Delivery(task.job, done=True, error=error)])
            self._desk.line_up(task)

    def _answer(self, call: Call, engine: Loaded) -> None:
        if not call.future.set_running_or_notify_cancel():
            return
        try:
            result = call.call(engine)
        except BaseException as error:
            call.future.set_exception(failure(error, self._name))
        else:
            call.future.set_result(result)

    def _end(self, error: AllTalkError) -> None:
        """Take no job any more, and fail those that wait, for the engine or for their turn."""
        self._desk.refuse(error)
        with self._deciding:
            if not self.loaded.done():
                self.loaded.set_exception(error)

    def _close_engine(self, engine: Loaded) -> None:
        try:
            engine.close()
        except BaseException:  # its utterances have ended, and its owner is leaving
            _log.warning("%s failed to close", self._name, exc_info=True)
