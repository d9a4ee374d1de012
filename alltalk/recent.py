"""Recent: how the last requests went, and what failed, for whoever looks after the server."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from weakref import WeakSet

from alltalk.errors import AllTalkError, Cancelled, Forbidden, NotFound, Unauthorized

TAKES = 60
"""Requests that are remembered."""
FAILURES = 20
"""Different failures that are remembered."""
LONGEST_TEXT = 500
"""Characters of a failure's text."""
_NO_FAULT = (Cancelled, Unauthorized, Forbidden, NotFound)
"""Somebody left, or knocked at a wrong door: nothing that could be mended here."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong, and what to do about it, as it was told to whoever asked."""

    text: str
    times: int
    at_s: float
    """When it happened last, seconds since 1970."""


class Recent:
    """The newest of both. Lives on one event loop."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock`: seconds since 1970."""
        self._clock = clock
        self._first_audio_s: deque[float] = deque(maxlen=TAKES)
        self._speeds: deque[float] = deque(maxlen=TAKES)
        self._failures: OrderedDict[str, Failure] = OrderedDict()
        self._told: WeakSet[AllTalkError] = WeakSet()

    @property
    def first_audio_s(self) -> Sequence[float]:
        """Seconds from a planned request to its first sound, the newest last."""
        return tuple(self._first_audio_s)

    @property
    def speeds(self) -> Sequence[float]:
        """Seconds of sound made in a second, for each request, the newest last."""
        return tuple(self._speeds)

    @property
    def failures(self) -> Sequence[Failure]:
        """The newest first; those of one text are one."""
        return tuple(reversed(self._failures.values()))

    def began_to_sound(self, seconds: float) -> None:
        """A request had its first sound after `seconds`."""
        self._first_audio_s.append(seconds)

    def spoke(self, audio_s: float, seconds: float) -> None:
        """A request's `audio_s` seconds of sound took `seconds`."""
        if seconds > 0:
            self._speeds.append(audio_s / seconds)

    def failed(self, error: BaseException) -> None:
        """A request ended in `error`, which counts once however often it is told."""
        if isinstance(error, _NO_FAULT) or (isinstance(error, AllTalkError) and self._knows(error)):
            return
        if isinstance(error, AllTalkError):
            text = str(error)[:LONGEST_TEXT]
        else:
            text = f"Something failed that should not ({type(error).__name__}). The log says more."
        before = self._failures.pop(text, None)
        self._failures[text] = Failure(text, before.times + 1 if before else 1, self._clock())
        while len(self._failures) > FAILURES:
            self._failures.popitem(last=False)

    def _knows(self, error: AllTalkError) -> bool:
        """Whether it was told before: who speaks tells it, and then who answers the request."""
        known = error in self._told
        self._told.add(error)
        return known
