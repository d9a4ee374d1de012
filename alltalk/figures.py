"""What an engine measured of itself: tables, for `alltalk bench` and for programs.

An engine that has more to tell than every engine is measured by brings a `bench.py` beside its
`engine.py`, with

    def bench(
        folder: Path, model: str, place: Place, settings: Mapping[str, Any]
    ) -> Generator[Figures]

which takes what `load` takes, and yields each table as soon as it is measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Cell = str | float | None
"""A name, a number, or nothing: it could not be measured."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One table."""

    title: str
    columns: tuple[str, ...]
    """With the unit of what stands below."""
    rows: tuple[tuple[Cell, ...], ...]

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Figures:
        """What JSON tells."""
        return cls(told["title"], tuple(told["columns"]), tuple(map(tuple, told["rows"])))

    def texts(self) -> list[list[str]]:
        """The rows, as people read them."""
        return [[_text(cell) for cell in row] for row in self.rows]

    def markdown(self) -> str:
        """The table, below its title."""
        lines = [self.columns, ["---"] * len(self.columns), *self.texts()]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"{self.title}\n\n{table}\n"


def _text(cell: Cell) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, str | int):
        return str(cell)
    digits = 0 if abs(cell) >= 100 else 1 if abs(cell) >= 10 else 2
    return f"{cell:.{digits}f}"
