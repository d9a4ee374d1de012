"""Reading: a document being spoken, line by line, behind everybody who waits for their sound."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal

from alltalk.documents import Document, Folder, Heard, Line, LineState
from alltalk.errors import (
    AllTalkError,
    BadInput,
    Cancelled,
    NotFound,
    QueueFull,
    Refused,
    StorageError,
)
from alltalk.service import SpeechService
from alltalk.serving.lane import Lane
from alltalk.serving.requests import new_id
from alltalk.speech import Level, Recorded, Ticket
from alltalk.wanted import Sought, Wanted

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 8
"""Lines spoken side by side, where there are as many engines or slots."""
FAILURES_TO_STOP = 3
"""So many in a row mean that the engine is at fault, and not a line."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a document is."""

    state: Literal["idle", "speaking", "stopping"]
    lines: int = 0
    lines_done: int = 0
    """Spoken as they stand now."""
    characters: int = 0
    characters_done: int = 0
    time_left_s: float | None = None
    """None: not speaking, or nothing was spoken yet to tell by."""
    speaking: frozenset[int] = frozenset()
    """Ids of the lines that are being spoken."""
    failures: dict[int, str] = field(default_factory=dict)
    """What went wrong, by the line's id."""
    problem: str = ""
    """Why it stopped before its end."""


class Reading:
    """Speaks what is to be spoken of one document, until all is or somebody stops it.

    The document may be changed meanwhile: each line is looked for anew, in the order of that
    moment. Lives on one event loop.
    """

    def __init__(
        self,
        folder: Folder,
        service: SpeechService,
        lane: Lane,
        *,
        client: str = "",
        named: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`client`, `named`: as in a Ticket. `lane`: where files are written."""
        self.folder = folder
        self.failures: dict[int, str] = {}
        self.problem = ""
        self._service, self._lane = service, lane
        self._client, self._named = client, named
        self._clock = clock
        self._wanted = Wanted(folder, lane)
        self._in_a_row = 0
        self._active: dict[int, str] = {}
        """Ticket ids by line."""
        self._let_go: set[str] = set()
        """Ticket ids of lines that were under way when it was stopped."""
        self._stopping = asyncio.Event()
        self._began_s = clock()
        self._spoken = 0
        self._task: asyncio.Task[None] | None = None

    # What is asked of it

    @property
    def is_running(self) -> bool:
        """True from `ask` until its last line has ended."""
        return self._task is not None and not self._task.done()

    def ask(self, ids: Iterable[int] | None) -> None:
        """Speak the lines of those ids, even again; None: all that are not spoken yet."""
        for id in self._wanted.ask(ids):
            self.failures.pop(id, None)
        self.problem, self._in_a_row = "", 0
        self._stopping.clear()
        if not self.is_running:
            self._began_s, self._spoken = self._clock(), 0
            self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Let go of the lines under way, and begin no more. What is finished stays."""
        self._wanted.clear()
        self._stopping.set()
        for id in self._active.values():
            self._let_go.add(id)
            self._service.requests.cancel(id)

    async def ended(self) -> None:
        """Return once it is not running."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def progress(self) -> Progress:
        """As of now."""
        running, sought = self.is_running, self._wanted.sought(self._active)
        known = Progress(
            state=("stopping" if self._stopping.is_set() else "speaking") if running else "idle",
            speaking=sought.active,
            failures=dict(self.failures),
            problem=self.problem,
        )
        pace = self._pace() if running else None
        return await self._lane.run(_counted, self.folder, known, sought, pace)

    # The work

    async def _run(self) -> None:
        lines: set[asyncio.Task[None]] = set()
        try:
            while True:
                while len(lines) < self._at_once and (line := await self._next()) is not None:
                    lines.add(self._begin(line))
                if not lines:
                    return
                done, lines = await asyncio.wait(lines, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()  # what is no error of ours must be seen
        except BaseException as error:
            self.stop()
            for task in lines:
                task.cancel()
            await asyncio.gather(*lines, return_exceptions=True)
            if not isinstance(error, Exception):
                raise
            self.problem = "The reading failed in a way that was not expected; the log says more."
            logger.exception("Document %s… cannot be spoken on", self.folder.id[:6])

    @property
    def _at_once(self) -> int:
        """As many lines as all engines together speak side by side, and one more."""
        can = [offer.capabilities for offer in self._service.pool.offers]
        return min(MOST_AT_ONCE, 1 + max((max(c.slots, c.concurrency) for c in can), default=0))

    async def _next(self) -> Line | None:
        """The line to be begun now; None: there is none."""
        return await self._wanted.next(self._active)

    def _begin(self, line: Line) -> asyncio.Task[None]:
        ticket = Ticket(
            id=new_id(),
            client=self._client,
            named=self._named,
            level=Level.JOB,
            door="documents",
        )
        self._active[line.id] = ticket.id
        return asyncio.create_task(self._speak(line, self.folder.document, ticket))

    async def _speak(self, line: Line, document: Document, ticket: Ticket) -> None:
        fingerprint = document.fingerprint(line)
        try:
            spoken = await self._recorded(line, document, ticket)
            if spoken is not None:
                await self._keep(line, fingerprint, spoken)
        except AllTalkError as error:
            self._note(line, fingerprint, error)
        finally:
            del self._active[line.id]
            if document is not self.folder.document or ticket.id in self._let_go:
                # It may have been changed while it was spoken, or be asked for anew since a stop.
                self._wanted.look_again()
            self._let_go.discard(ticket.id)

    async def _keep(self, line: Line, fingerprint: str, spoken: Recorded) -> None:
        heard = [Heard(mark.start_s, mark.end_s, mark.source) for mark in spoken.marks]
        with suppress(NotFound):  # it, or the whole document, was removed while it was spoken
            await self._lane.run(self.folder.keep, line, fingerprint, spoken.content, heard)
        self.failures.pop(line.id, None)
        self._wanted.spoken(line.id)
        self._in_a_row = 0
        self._spoken += len(line.text)

    async def _recorded(self, line: Line, document: Document, ticket: Ticket) -> Recorded | None:
        """The line's sound; None where the reading was stopped. A busy server is waited for."""
        request = document.request(line)
        while ticket.id not in self._let_go:
            try:
                return await self._service.recorded(request, ticket)
            except QueueFull as error:
                await self._pause(error.retry_after_s)
            except Cancelled:
                if ticket.id not in self._let_go:
                    raise
        return None

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    def _note(self, line: Line, fingerprint: str, error: AllTalkError) -> None:
        """A line failed: go on with the next, or stop where that can only fail as well."""
        self.failures[line.id] = str(error)
        self._wanted.failed(line.id, fingerprint)
        self._in_a_row += not isinstance(error, BadInput)
        hopeless = isinstance(error, Refused | StorageError | Cancelled)
        if hopeless or self._in_a_row >= FAILURES_TO_STOP:
            self.problem = str(error)
            self.stop()

    def _pace(self) -> _Pace | None:
        """How fast it was until now; None: nothing was spoken yet."""
        requests, under_way = self._service.requests, 0
        for id in self._active.values():
            if (live := requests.get(id)) is not None:
                under_way += live.characters_done
        if not (spoken := self._spoken + under_way):
            return None
        return _Pace((self._clock() - self._began_s) / spoken, under_way)


@dataclass(frozen=True, slots=True)
class _Pace:
    """How fast a document is spoken."""

    character_s: float
    """Seconds for each."""
    under_way: int
    """Characters spoken of lines that have not ended."""


def progress_of(folder: Folder) -> Progress:
    """How far a document is that nobody speaks now. Looks at every line."""
    lines = folder.document.lines
    done = [line for line in lines if folder.state(line) is LineState.SPOKEN]
    return Progress(
        state="idle",
        lines=len(lines),
        lines_done=len(done),
        characters=sum(len(line.text) for line in lines),
        characters_done=sum(len(line.text) for line in done),
    )


def _counted(folder: Folder, known: Progress, sought: Sought, pace: _Pace | None) -> Progress:
    """`known`, with what looking at every line tells."""
    counts, left_s = progress_of(folder), None
    if pace is not None:
        left = sought.characters(folder, folder.document) - pace.under_way
        left_s = max(0.0, left * pace.character_s)
    return replace(
        known,
        lines=counts.lines,
        lines_done=counts.lines_done,
        characters=counts.characters,
        characters_done=counts.characters_done,
        time_left_s=left_s,
    )
