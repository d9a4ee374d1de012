"""Values in order of their use: what goes first when there is no room for all."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """Values by name in order of use, the latest last, and the sum of their sizes."""

    def __init__(self) -> None:
        self.size = 0
        self._values: OrderedDict[str, tuple[T, int]] = OrderedDict()

    def peek(self, name: str) -> T | None:
        return self._values[name][0] if name in self._values else None

    def use(self, name: str) -> T | None:
        if name in self._values:
            self._values.move_to_end(name)
        return self.peek(name)

    def add(self, name: str, value: T, size: int) -> None:
        self.pop(name)
        self._values[name] = value, size
        self.size += size

    def pop(self, name: str) -> None:
        _, size = self._values.pop(name, (None, 0))
        self.size -= size

    def shrink(self, most: int) -> list[str]:
        """Remove the least recently used until their sizes sum up to `most`; returns the names."""
        gone = []
        while self._values and self.size > most:
            gone.append(next(iter(self._values)))
            self.pop(gone[-1])
        return gone

    def items(self) -> dict[str, T]:
        """All of them, as of now."""
        return {name: value for name, (value, _) in self._values.items()}

    def __len__(self) -> int:
        return len(self._values)
