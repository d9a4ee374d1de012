"""Store: loaded models by key, each loaded once, the least recently used dropped first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar
from weakref import WeakValueDictionary


class Model(Protocol):
    """What takes memory."""

    @property
    def memory_bytes(self) -> int:
        """As loaded."""
        ...


M = TypeVar("M", bound=Model)


class Store(Generic[M]):
    """Keeps up to `most_bytes` of models; the one used last is kept whatever its size.

    Who uses a model holds it: dropped from here it goes once its last user is done, and until
    then it is found again and not loaded a second time.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Hashable, M] = OrderedDict()
        self._alive: WeakValueDictionary[Hashable, M] = WeakValueDictionary()
        self._loading: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, load: Callable[[], M]) -> M:
        """The model of `key`; loads it if it is not there. Two who ask for the same wait for one
        loading; others do not wait."""
        if (found := self.found(key)) is not None:
            return found
        with self._lock:
            turn = self._loading.setdefault(key, threading.Lock())
        with turn:
            if (found := self.found(key)) is not None:
                return found
            try:
                model = load()
            finally:
                with self._lock:
                    self._loading.pop(key, None)
            with self._lock:
                self._keep(key, model)
            return model

    @property
    def memory_bytes(self) -> int:
        """Of all that is alive, in use or kept."""
        with self._lock:
            return sum(each.memory_bytes for each in self._alive.values())

    def kept(self) -> list[M]:
        """Most recently used last."""
        with self._lock:
            return list(self._kept.values())

    def drop(self, is_meant: Callable[[M], bool] = lambda _: True) -> None:
        """Let go of the models that are meant."""
        with self._lock:
            for key in [key for key, model in self._kept.items() if is_meant(model)]:
                del self._kept[key]

    def found(self, key: Hashable) -> M | None:
        """The model of `key` if it is in memory."""
        with self._lock:
            model = self._alive.get(key)
            if model is not None:
                self._keep(key, model)
            return model

    def _keep(self, key: Hashable, model: M) -> None:
        self._kept[key] = self._alive[key] = model
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and self._size() > self._most_bytes:
            self._kept.popitem(last=False)

    def _size(self) -> int:
        return sum(each.memory_bytes for each in self._kept.values())
