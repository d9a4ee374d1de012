"""Lane: an owning thread for short blocking calls: an RVC block, a second of sound to encode."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from alltalk.errors import ShuttingDown

P = ParamSpec("P")
R = TypeVar("R")


class Lane:
    """One daemon thread that makes calls in the order in which they were asked for.

    Not a ThreadPoolExecutor: that one waits for the call under way when the program ends.
    """

    def __init__(self, name: str = "lane") -> None:
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._pending = 0
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Calls that wait or are under way."""
        return self._pending

    async def run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What `call(*args, **kwargs)` returns or raises, on this lane's thread.

        Who is cancelled while waiting leaves the lane as it was: a call that has not begun is
        skipped, one under way ends unheard. Raises ShuttingDown after `close`. From the thread of
        a running event loop.
        """
        if self._closed:
            raise ShuttingDown(f"{self._thread.name} is closed.")
        events = asyncio.get_running_loop()
        future: asyncio.Future[R] = events.create_future()
        self._pending += 1
        self._calls.put(_Call(lambda: call(*args, **kwargs), future, self._done))
        try:
            return await future
        finally:
            del future  # an error's frames lead here: it would hold itself, and the sound

    def close(self, wait_s: float = 0.0) -> bool:
        """Take no more calls; those in line are still made. True when the thread has ended.

        Waits for that up to `wait_s`.
        """
        if not self._closed:
            self._closed = True
            self._calls.put(None)
        self._thread.join(wait_s)
        return not self._thread.is_alive()

    def _done(self) -> None:
        self._pending -= 1

    def _work(self) -> None:
        # The call must not stay in a variable here: it holds sound, and the next may be hours off.
        while _make(self._calls.get()):
            pass


class Lanes:
    """Several lanes, so that as many calls run side by side."""

    def __init__(self, count: int, name: str = "lane") -> None:
        self._lanes = [Lane(f"{name}-{number}") for number in range(count)]

    def pick(self) -> Lane:
        """The least busy lane, of equal ones that picked longest ago. Calls on it keep order."""
        lane = min(self._lanes, key=lambda each: each.pending)
        self._lanes.remove(lane)
        self._lanes.append(lane)
        return lane

    def close(self, wait_s: float = 0.0) -> bool:
        """As `Lane.close`, of each in turn. True when all threads have ended."""
        return all([lane.close(wait_s) for lane in self._lanes])


@dataclass(frozen=True, slots=True)
class _Call:
    """A call, and who waits for it."""

    make: Callable[[], Any]
    future: asyncio.Future[Any]
    done: Callable[[], None]

    def settle(self, result: Any, error: BaseException | None) -> None:
        """On the event loop: hand over what came of it."""
        self.done()
        if self.future.done():  # cancelled
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


def _make(call: _Call | None) -> bool:
    """Make `call` and tell its event loop; False: there is none, the lane is closed."""
    if call is None:
        return False
    result, error = (None, None) if call.future.cancelled() else _attempt(call.make)
    events = call.future.get_loop()
    try:
        events.call_soon_threadsafe(call.settle, result, error)
    except RuntimeError:
        if not events.is_closed():
            raise
    finally:
        del call, result, error  # an error's frames lead here: it would hold itself
    return True


def _attempt(make: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """What `make` returned, and what it raised."""
    try:
        return make(), None
    except StopIteration as stop:  # a future cannot hold it
        error = RuntimeError("the call raised StopIteration")
        error.__cause__ = stop
        return None, error
    except BaseException as raised:  # whatever it is, the caller gets it
        return None, raised
