"""Admission: the bound on requests taken in. Full means a refusal, never an endless queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from alltalk.errors import QueueFull

_HALF_LIFE_S = 60.0
"""Busy seconds after which what was measured counts half."""
_UNMEASURED = 100.0
"""Characters per second taken for granted at first: about 6 s of speech a second."""


class Admission:
    """Counts what was admitted and is not finished. A request is asked about once, before work.

    A request counts until it ends, its characters until they are spoken: a line of requests that
    each spoke one sentence is still a line. One event loop; nothing here waits.
    """

    def __init__(
        self, max_requests: int, max_chars: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """At most `max_requests` requests and `max_chars` unspoken characters of them all."""
        self._requests = 0
        self._chars = 0
        self._speed = _Speed(clock)
        self.limit(max_requests, max_chars)

    def limit(self, max_requests: int, max_chars: int) -> None:
        """Change the limits. What is admitted stays admitted."""
        assert max_requests > 0, "nothing could ever be admitted"
        assert max_chars > 0, "nothing could ever be admitted"
        self._max_requests, self._max_chars = max_requests, max_chars

    @contextmanager
    def admit(self, characters: int) -> Generator[Admitted]:
        """Count a request of so many characters while inside. Raises QueueFull, or never.

        A text longer than `max_chars` is admitted when nothing else is there: refused, it could
        only be refused again.
        """
        crowded = self._requests > 0 and self._chars + characters > self._max_chars
        if crowded or self._requests >= self._max_requests:
            raise self._full()
        self._requests += 1
        self._chars += characters
        if self._requests == 1:
            self._speed.resume()
        admitted = Admitted(self, characters)
        try:
            yield admitted
        finally:
            self._requests -= 1
            self._chars -= admitted.unspoken

    @property
    def requests(self) -> int:
        """Requests admitted and not finished."""
        return self._requests

    @property
    def characters(self) -> int:
        """Characters admitted and not spoken."""
        return self._chars

    @property
    def load_score(self) -> float:
        """How full it is: 0 idle, 1 the next request is refused."""
        return min(1.0, max(self._requests / self._max_requests, self._chars / self._max_chars))

    def _full(self) -> QueueFull:
        wait_s = min(60.0, max(1.0, self._chars / self._speed.chars_per_s))
        return QueueFull(
            f"The server is busy: {self._requests} requests with {self._chars} characters wait. "
            f"Try again in {wait_s:.0f} s.",
            retry_after_s=wait_s,
        )

    def _spoken(self, characters: int) -> None:
        self._chars -= characters
        self._speed.count(characters)


class Admitted:
    """A request's part of what waits."""

    def __init__(self, admission: Admission, characters: int) -> None:
        self._admission = admission
        self.unspoken = characters

    def spoken(self, characters: int) -> None:
        """Count `characters` as spoken; those beyond what was announced are not waited for."""
        characters = min(characters, self.unspoken)
        self.unspoken -= characters
        self._admission._spoken(characters)


class _Speed:
    """Characters spoken per second of all that is served together, over recent busy time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._chars = 0.0
        self._seconds = 0.0
        self._since = clock()

    @property
    def chars_per_s(self) -> float:
        """Above 0."""
        if self._chars == 0.0:
            return _UNMEASURED
        return self._chars / max(self._seconds, 1e-3)

    def resume(self) -> None:
        """Leave out the time since the last count: nothing was there to be spoken."""
        self._since = self._clock()

    def count(self, characters: int) -> None:
        """Take in that `characters` were spoken since the last count."""
        now = self._clock()
        passed = now - self._since
        kept = 0.5 ** (passed / _HALF_LIFE_S)
        self._chars = self._chars * kept + characters
        self._seconds = self._seconds * kept + passed
        self._since = now
