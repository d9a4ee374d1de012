"""Desk: which jobs of a loop wait, which are open, and who still listens, under one lock."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from alltalk.engine import Prepared
from alltalk.errors import AllTalkError, rebuild
from alltalk.serving.fair import WaitingLine
from alltalk.serving.job import Delivery, Job


@dataclass(slots=True, eq=False)
class Task:
    """A job on its way through the loop."""

    job: Job
    prepared: Prepared
    """The utterance itself, unless the engine made something else of it."""
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be done with the engine while nothing is open, and who waits for it."""

    call: Callable[[Any], Any]
    future: Future[Any]


class Desk:
    """Where the threads of one loop, and those who use it, meet. All methods may be called by any.

    A job is *live* from `submit` until it is done, cancelled or refused: only what is live is
    delivered, and what is open but no longer live is to be closed.
    """

    def __init__(self, deliver: Callable[[Sequence[Delivery]], None]) -> None:
        """`deliver` is called by whichever thread has something, one call at a time."""
        self._deliver = deliver
        # Taken before the other one. It keeps a chunk from overtaking, or following, the job's end.
        self._delivering = threading.RLock()
        # One lock, and a condition for each who waits: to wake a thread for nothing costs as much
        # as a sentence's way through the loop.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._arrived = self._changed
        """Whoever takes from `_incoming`."""
        self._fell_silent = threading.Condition(self._lock)
        self._live: dict[str, Task] = {}
        self._incoming: WaitingLine[Task] = WaitingLine()
        self._line = self._incoming
        """Who can be opened. `prepare_first` puts a thread between `_incoming` and this."""
        self._preparing = 0
        self._open = 0
        self._calls: deque[Call] = deque()
        self._calling = False
        self._ended: AllTalkError | None = None
        self._beats: dict[threading.Thread, float] = {}

    # For those who want something spoken.

    def submit(self, job: Job) -> None:
        """Put `job` in line; after `refuse` its error is delivered instead."""
        with self._lock:
            if self._ended is None:
                if job.id in self._live:
                    raise ValueError(f"there is a job {job.id!r} already")
                task = self._live[job.id] = Task(job, job.utterance)
                self._incoming.push(task, job.level, job.flow, job.cost)
                self._arrived.notify()  # one is enough: a busy thread looks again by itself
                return
            refusal = self._ended
        self._fail([job], refusal)

    def cancel(self, job_id: str) -> None:
        """Take the job out of line, or mark it to be closed. Nothing, when it is not live."""
        with self._lock:
            if (task := self._live.pop(job_id, None)) is not None:
                if not self._line.remove(task):
                    self._incoming.remove(task)
                self._note_silence()

    def between(self, call: Call) -> None:
        """Have `call` made once nothing is open; until then nothing is opened."""
        with self._lock:
            if self._ended is None:
                self._calls.append(call)
                self._changed.notify_all()
                return
            refusal = self._ended
        _refuse(call, refusal)

    @property
    def waiting(self) -> int:
        """Jobs in line, one being prepared among them."""
        with self._lock:
            prepared = 0 if self._line is self._incoming else len(self._line)
            return len(self._incoming) + self._preparing + prepared

    @property
    def running(self) -> int:
        """Utterances open in the engine."""
        return self._open

    @property
    def last_beat_at(self) -> float | None:
        """When the busy thread that has been silent longest last beat; None: none is busy."""
        with self._lock:
            return min(self._beats.values(), default=None)

    # The end.

    @property
    def has_ended(self) -> bool:
        """No job is taken any more."""
        return self._ended is not None

    def refuse(self, error: AllTalkError) -> None:
        """Take no job from now on, and fail all that is not open. The first error stays."""
        with self._delivering:
            with self._lock:
                if self._ended is None:
                    self._ended = error
                waiting = [task.job for task in self._live.values() if not task.is_open]
                for job in waiting:
                    del self._live[job.id]
                self._line = self._incoming = WaitingLine()
                calls, self._calls = self._calls, deque()
                self._changed.notify_all()
                self._arrived.notify_all()
                self._note_silence()
            self._fail(waiting, error)
        for call in calls:
            _refuse(call, error)

    def drop(self, error: AllTalkError) -> None:
        """Fail all that is live."""
        with self._delivering:
            with self._lock:
                left = [task.job for task in self._live.values()]
                self._live.clear()
                self._note_silence()
            self._fail(left, error)

    def await_silence(self, timeout_s: float) -> None:
        """Return when no job is live, or after `timeout_s`."""
        with self._lock:
            self._fell_silent.wait_for(lambda: not self._live, timeout_s)

    # For the threads that speak.

    def await_work(self, *, busy: bool, answer: Callable[[Call], None] | None = None) -> bool:
        """True once there is someone to open, at once when `busy`; False: no more will come.

        The thread with `answer` makes the calls meanwhile. True is also a sign of life.
        """
        me = threading.current_thread()
        while True:
            with self._lock:
                self._beats.pop(me, None)
                self._changed.wait_for(
                    lambda: busy or self._admits or self._ended or (answer and self._is_call_due)
                )
                if busy or self._admits:
                    self._beats[me] = time.monotonic()
                    return True
                if self._ended is not None or answer is None:
                    return False
                call, self._calling = self._calls.popleft(), True
            answer(call)
            with self._lock:
                self._calling = False
                self._changed.notify_all()

    def take(self) -> Task | None:
        """The next in line, counted as open; None: nobody may be opened now."""
        with self._lock:
            if not self._admits:
                return None
            task = self._line.pop()
            task.is_open = True
            self._open += 1
            return task

    def put_back(self, task: Task) -> None:
        """There was no room for `task`: it is the next to be taken."""
        with self._lock:
            self._open -= 1
            task.is_open = False
            if self.is_live(task):
                self._line.put_back(task)
            self._changed.notify_all()
            ended = self._ended
        if ended is not None:  # it was, while `task` counted as open
            self.refuse(ended)

    def closed(self, count: int) -> None:
        """Count so many as open no longer."""
        with self._lock:
            self._open -= count
            if self._is_call_due:
                self._changed.notify_all()

    def is_live(self, task: Task) -> bool:
        """Somebody listens to `task`."""
        return self._live.get(task.job.id) is task

    def send(self, deliveries: Sequence[Delivery]) -> None:
        """Deliver what is live, in one call. Nothing follows a `done`."""
        with self._delivering:
            with self._lock:
                heard = [each for each in deliveries if self._passes(each)]
            if heard:
                self._deliver(heard)

    # For the thread that prepares.

    def prepare_first(self) -> None:
        """From now on a job is opened only after `take_unprepared` and `line_up`."""
        with self._lock:
            self._line = WaitingLine()
            self._arrived = threading.Condition(self._lock)

    def take_unprepared(self) -> Task | None:
        """The next to be prepared, once there is one; None: no more will come."""
        with self._lock:
            self._arrived.wait_for(lambda: len(self._incoming) or self._ended)
            if self._ended is not None:
                return None
            self._preparing = 1
            self._beats[threading.current_thread()] = time.monotonic()
            return self._incoming.pop()

    def line_up(self, task: Task) -> None:
        """`task` is prepared: put it in line, unless it failed or was cancelled meanwhile."""
        with self._lock:
            self._preparing = 0
            del self._beats[threading.current_thread()]
            if self.is_live(task):
                job = task.job
                self._line.push(task, job.level, job.flow, job.cost)
                self._changed.notify()

    def _passes(self, delivery: Delivery) -> bool:
        """Somebody listens, and there is something to hear. Its last ends the job."""
        task = self._live.get(delivery.job.id)
        if task is None or task.job is not delivery.job:
            return False
        if delivery.done:
            del self._live[delivery.job.id]
            self._note_silence()
        return delivery.done or delivery.chunk is not None

    def _note_silence(self) -> None:
        if not self._live:
            self._fell_silent.notify_all()

    @property
    def _admits(self) -> bool:
        return len(self._line) > 0 and not self._calls and not self._calling

    @property
    def _is_call_due(self) -> bool:
        return len(self._calls) > 0 and not self._open and not self._calling

    def _fail(self, jobs: Sequence[Job], error: AllTalkError) -> None:
        if not jobs:
            return
        with self._delivering:
            self._deliver([Delivery(job, done=True, error=_once_more(error)) for job in jobs])


def _refuse(call: Call, error: AllTalkError) -> None:
    if call.future.set_running_or_notify_cancel():
        call.future.set_exception(_once_more(error))


def _once_more(error: AllTalkError) -> AllTalkError:
    """`error` for another caller: one exception raised to two mixes their tracebacks."""
    again = rebuild(type(error).__name__, str(error))
    again.__cause__ = error.__cause__
    return again
