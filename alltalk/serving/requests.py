"""Requests: every live request by id. Listing, progress, deadlines, and the one way to cancel."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar

from alltalk.errors import AllTalkError, Cancelled, DeadlineExceeded
from alltalk.speech import Ticket

T = TypeVar("T")
RequestState = Literal["waiting", "speaking"]


def new_id() -> str:
    """A request's id, 22 characters that cannot be guessed: who knows it may cancel."""
    return secrets.token_urlsafe(16)


@dataclass(frozen=True, slots=True)
class RequestView:
    """A live request as a listing shows it."""

    id: str
    tag: str
    client: str
    door: str
    engine: str
    voice: str
    state: RequestState
    age_s: float
    characters: int
    """To be spoken in all."""
    progress: float
    """Share of them already heard by the reader, 0 to 1."""


class Requests:
    """Every live request. Lives on one event loop; all its methods are called there."""

    def __init__(self) -> None:
        self._live: dict[str, LiveRequest] = {}
        self.opened = 0
        """Requests since the start."""

    @contextmanager
    def open(
        self, ticket: Ticket, *, voice: str, characters: int, engine: str
    ) -> Generator[LiveRequest]:
        """The request, registered inside and gone after; its deadline runs from here."""
        assert ticket.id not in self._live, "two requests under one id"
        live = LiveRequest(ticket, voice=voice, characters=characters, engine=engine)
        deadline = _call_at_deadline(live)
        self._live[ticket.id] = live
        self.opened += 1
        try:
            yield live
        finally:
            del self._live[ticket.id]
            if deadline is not None:
                deadline.cancel()

    def cancel(self, id: str) -> bool:
        """Stop the request of that id. False when there is none."""
        live = self._live.get(id)
        return live is not None and not live.ticket.shared and live.cancel()

    def cancel_client(self, client: str, id: str | None = None) -> int:
        """Stop the client's requests, or only its request `id`. Returns how many."""
        theirs = [live for live in self._own() if live.ticket.client == client]
        return sum(live.cancel() for live in theirs if id in (None, live.ticket.id))

    def cancel_all(self, error: AllTalkError) -> int:
        """Stop all of them with `error`. Returns how many."""
        return sum(live.cancel(error) for live in list(self._live.values()))

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[RequestView]:
        """The requests as of now, oldest first."""
        return iter([live.view() for live in self._own()])

    def get(self, id: str) -> LiveRequest | None:
        """The request of that id; None when it is not live."""
        return self._live.get(id)

    def _own(self) -> list[LiveRequest]:
        """Those that a caller waits for."""
        return [live for live in self._live.values() if not live.ticket.shared]


class LiveRequest:
    """A request being served: how far it is, and whether it was cancelled."""

    def __init__(self, ticket: Ticket, *, voice: str, characters: int, engine: str) -> None:
        self.ticket = ticket
        self.voice = voice
        self.engine = engine
        self.characters = characters
        self.characters_done = 0
        self.state: RequestState = "waiting"
        self.started_at = time.monotonic()
        self._error: AllTalkError | None = None
        self._callbacks: dict[object, Callable[[], None]] = {}

    @property
    def error(self) -> AllTalkError | None:
        """What its waits raise: Cancelled, DeadlineExceeded, ShuttingDown; None while wanted."""
        return self._error

    @property
    def cancelled(self) -> bool:
        """True once somebody stopped it; it never becomes false again."""
        return self._error is not None

    def cancel(self, reason: AllTalkError | None = None) -> bool:
        """Stop it: whatever waits on its behalf raises `reason` (Cancelled when not given).

        Returns False when it was stopped before; the first reason stands.
        """
        if self._error is not None:
            return False
        self._error = reason or Cancelled()
        callbacks, self._callbacks = self._callbacks, {}
        for callback in callbacks.values():
            callback()
        return True

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called inside `cancel`, at once when it was cancelled already.

        Returns what takes it back. The callback must not raise.
        """
        if self._error is not None:
            callback()
            return lambda: None
        key = object()
        self._callbacks[key] = callback
        return lambda: self._callbacks.pop(key, None) and None

    def check(self) -> None:
        """Raise its error if it was cancelled."""
        if self._error is not None:
            raise self._error

    async def unless_cancelled(self, awaitable: Awaitable[T]) -> T:
        """What `awaitable` returns; a cancel ends the wait, and the awaitable, with the error.

        The awaitable runs in a task of its own, so no caller's task is ever cancelled.
        """
        task = asyncio.ensure_future(awaitable)
        take_back = self.on_cancel(task.cancel)  # type: ignore[arg-type]  # its bool is not read
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if caller is None or not caller.cancelling():
                self.check()
            raise
        finally:
            take_back()

    def follow(self, source: LiveRequest) -> None:
        """Be as far as `source`, which speaks for this one."""
        self.engine, self.state = source.engine, source.state
        self.characters, self.characters_done = source.characters, source.characters_done

    def heard(self, characters: int) -> None:
        """Count `characters` as delivered to the reader."""
        self.characters_done += characters

    def view(self) -> RequestView:
        """As it stands now."""
        return RequestView(
            id=self.ticket.id,
            tag=self.ticket.tag,
            client=self.ticket.client,
            door=self.ticket.door,
            engine=self.engine,
            voice=self.voice,
            state=self.state,
            age_s=time.monotonic() - self.started_at,
            characters=self.characters,
            progress=min(1.0, self.characters_done / max(1, self.characters)),
        )


def _call_at_deadline(live: LiveRequest) -> asyncio.TimerHandle | None:
    """The running timer that stops `live` when its time is up; None without a deadline."""
    seconds = live.ticket.deadline_s
    if seconds is None:
        return None
    error = DeadlineExceeded(f"The request was not spoken within {seconds:g} s.")
    return asyncio.get_running_loop().call_later(seconds, live.cancel, error)
