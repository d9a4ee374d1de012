"""WaitingLine: who is next. Urgent levels first, callers in fair turns inside a level."""

from __future__ import annotations

import heapq
import itertools
from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

LEVELS = 3
"""0 the most urgent; see `Job.level`."""
EVERY = 8
"""Of so many turns one goes a level down, and of so many of those one goes two levels down."""

T = TypeVar("T", bound=Hashable)


class WaitingLine(Generic[T]):
    """Items in line, each waiting once. Not locked: its owner does that.

    All operations are O(log flows) or better, averaged over many.
    """

    def __init__(self) -> None:
        self._levels: tuple[_Level[T], ...] = tuple(_Level() for _ in range(LEVELS))
        self._places: dict[T, tuple[_Level[T], str]] = {}
        self._put_back: deque[T] = deque()
        self._turn = 0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._places) + len(self._put_back)

    def push(self, item: T, level: int, flow: str, cost: float) -> None:
        """Join at `level` (0 to 2), behind what else waits of `flow`. Its turn costs `cost` ≥ 0."""
        place = self._levels[level]
        place.push(item, flow, cost)
        self._places[item] = (place, flow)

    def pop(self) -> T:
        """Take who is next. Raises IndexError when nobody waits."""
        if self._put_back:
            return self._put_back.popleft()
        item = self._next_level().pop()
        del self._places[item]
        return item

    def put_back(self, item: T) -> None:
        """Return what `pop` gave, as it has no room yet: it is next, whoever comes meanwhile.

        Were others let past, they would take the room it waits for again and again.
        """
        self._put_back.appendleft(item)

    def remove(self, item: T) -> bool:
        """Take `item` out of line at once, unpaid. False when it does not wait."""
        if place := self._places.pop(item, None):
            level, flow = place
            level.remove(item, flow)
            return True
        if item in self._put_back:
            self._put_back.remove(item)
            return True
        return False

    def _next_level(self) -> _Level[T]:
        """The most urgent level where someone waits; now and then one below it."""
        waiting = [level for level in self._levels if len(level)]
        if len(waiting) < 2:
            return waiting[0]
        self._turn += 1
        down, turn = 0, self._turn
        while turn % EVERY == 0 and down < len(waiting) - 1:
            down, turn = down + 1, turn // EVERY
        return waiting[down]


class _Flow(Generic[T]):
    """What waits of one caller, in order, with what each costs."""

    __slots__ = ("items", "start")

    def __init__(self, start: float) -> None:
        self.items: OrderedDict[T, float] = OrderedDict()
        self.start = start
        """Virtual time at which its next turn begins: the end of the last one, at the earliest."""


class _Level(Generic[T]):
    """Start-time fair queueing (Goyal, Vin and Cheng 1996), paid when an item is taken.

    The flow whose turn starts first is next. Virtual time advances by what is served, divided
    among the flows that wait (Demers, Keshav and Shenker 1989), so that an endless row of
    newcomers, each with its first turn free, cannot keep out those who have had one.

    Each flow has exactly one entry in the heap. One without items stays until its next turn would
    have come, so that leaving and coming back gains nothing.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._flows: dict[str, _Flow[T]] = {}
        self._heap: list[tuple[float, int, str]] = []
        self._order = itertools.count()
        self._waiting = 0
        self._active = 0

    def __len__(self) -> int:
        return self._waiting

    def push(self, item: T, name: str, cost: float) -> None:
        flow = self._flows.get(name)
        if flow is None:
            flow = self._flows[name] = _Flow(self._now)
            heapq.heappush(self._heap, (flow.start, next(self._order), name))
        self._active += not flow.items
        flow.items[item] = cost
        self._waiting += 1

    def pop(self) -> T:
        name = self._surface()
        flow = self._flows[name]
        item, cost = flow.items.popitem(last=False)
        self._now = max(self._now, flow.start) + cost / self._active
        flow.start += cost
        heapq.heapreplace(self._heap, (flow.start, next(self._order), name))
        self._left(flow)
        return item

    def remove(self, item: T, name: str) -> None:
        flow = self._flows[name]
        del flow.items[item]
        self._left(flow)

    def _surface(self) -> str:
        """The flow that is next, now on top of the heap; idle ones above it are forgotten."""
        while not self._flows[name := self._heap[0][2]].items:
            heapq.heappop(self._heap)
            del self._flows[name]
        return name

    def _left(self, flow: _Flow[T]) -> None:
        """Count one item of `flow` less. When nobody waits, nobody owes."""
        self._waiting -= 1
        self._active -= not flow.items
        if not self._waiting:
            self._flows.clear()
            self._heap.clear()
            self._now = 0.0
