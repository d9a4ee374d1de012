"""Wanted: which lines of a document are to be spoken, and which is the next."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from alltalk.documents import Document, Folder, Line, LineState
from alltalk.serving.lane import Lane


@dataclass(frozen=True, slots=True)
class Sought:
    """What is looked for among the lines, as of one moment: any thread may look."""

    all: bool
    """All that are not spoken as they stand."""
    asked: frozenset[int]
    """Ids of those that are to be spoken even again."""
    active: frozenset[int]
    """Ids of those that are being spoken."""
    failed: Mapping[int, str]
    """Fingerprints of lines that failed, by id."""

    def has(self, folder: Folder, line: Line) -> bool:
        """True for a line that is not spoken as it stands, nor being spoken, nor bound to fail."""
        if line.id in self.active or folder.state(line) is LineState.SPOKEN:
            return False
        return self.failed.get(line.id) != folder.fingerprint(line)

    def place(self, folder: Folder, document: Document, first: int) -> int:
        """Where the first of them stands from `first` on; beyond the last: there is none."""
        for place in range(first, len(document.lines)):
            if self.has(folder, document.lines[place]):
                return place
        return len(document.lines)

    def characters(self, folder: Folder, document: Document) -> int:
        """Of all lines that are to be spoken, those under way included."""
        return sum(
            len(line.text)
            for line in document.lines
            if line.id in self.active
            or line.id in self.asked
            or (self.all and self.has(folder, line))
        )


class Wanted:
    """What somebody asked to have spoken of a document, which may be changed meanwhile.

    A book has tens of thousands of lines: they are looked through on a lane, and none is looked at
    twice. Lives on one event loop.
    """

    def __init__(self, folder: Folder, lane: Lane) -> None:
        self._folder, self._lane = folder, lane
        self._all = False
        self._asked: OrderedDict[int, None] = OrderedDict()
        self._failed: dict[int, str] = {}
        """They are not tried again until they are changed."""
        self._changes = 0
        """How often it was asked anew: what was found before does not hold then."""
        self._looked_at: Document | None = None
        self._first = 0
        """Nothing is to be spoken before that line of the document that was looked at."""
        self._known: tuple[Document, Mapping[int, Line]] | None = None

    def ask(self, ids: Iterable[int] | None) -> Collection[int]:
        """Have those lines spoken, even again; None: all that are not.

        Returns ids of lines that had failed and are tried again.
        """
        if ids is None:
            self._all = True
            again = list(self._failed)
        else:
            again = list(ids)
            self._asked.update(dict.fromkeys(again))
        for id in again:
            self._failed.pop(id, None)
        self.look_again()
        return again

    def clear(self) -> None:
        """Have no more spoken."""
        self._all = False
        self._asked.clear()
        self.look_again()

    def look_again(self) -> None:
        """Any line may be wanted, those that were looked at included."""
        self._first = 0
        self._changes += 1

    def failed(self, line: int, fingerprint: str) -> None:
        """Leave that line until it is another."""
        self._failed[line] = fingerprint

    def spoken(self, line: int) -> None:
        """That line did not fail."""
        self._failed.pop(line, None)

    def sought(self, active: Collection[int]) -> Sought:
        """As of now. `active`: ids of the lines that are being spoken."""
        return Sought(self._all, frozenset(self._asked), frozenset(active), dict(self._failed))

    async def next(self, active: Collection[int]) -> Line | None:
        """The line to be begun now; None: there is none. `active` may change meanwhile."""
        while not self._folder.is_gone:
            document = self._folder.document
            if (line := self._next_asked(document, active)) is not None:
                return line
            if not self._all:
                return None
            if document is not self._looked_at:
                self._looked_at, self._first = document, 0
            changes = self._changes
            place = await self._lane.run(
                self.sought(active).place, self._folder, document, self._first
            )
            if changes == self._changes and document is self._folder.document:
                self._first = place
                return document.lines[place] if place < len(document.lines) else None
        return None

    def _next_asked(self, document: Document, active: Collection[int]) -> Line | None:
        while self._asked:
            id = next(iter(self._asked))
            if id in active:  # once more, when it has ended
                return None
            del self._asked[id]
            if (line := self._lines(document).get(id)) is not None:
                return line
        return None

    def _lines(self, document: Document) -> Mapping[int, Line]:
        if self._known is None or self._known[0] is not document:
            self._known = document, document.by_id
        return self._known[1]
