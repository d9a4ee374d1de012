"""Requests: cancelling, deadlines and listings."""

from __future__ import annotations

import asyncio

import pytest

from alltalk.errors import Cancelled, DeadlineExceeded, ShuttingDown
from alltalk.serving.requests import Requests, new_id
from alltalk.speech import Ticket


def opened(requests: Requests, ticket: Ticket):
    return requests.open(ticket, voice="low", characters=100, engine="tone")


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


def test_an_id_cannot_be_guessed_from_another():
    ids = {new_id() for _ in range(1000)}

    assert len(ids) == 1000
    assert all(len(id) >= 22 for id in ids)


async def test_a_request_is_listed_while_it_is_open_and_gone_after_even_when_it_fails():
    requests = Requests()

    views = []

    def fail() -> None:
        with opened(requests, Ticket("a", client="ann", tag="mine", door="v1")) as live:
            live.heard(25)
            views.extend(requests)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    (view,) = views
    assert (view.id, view.client, view.tag, view.door) == ("a", "ann", "mine", "v1")
    assert (view.engine, view.voice, view.state) == ("tone", "low", "waiting")
    assert (view.characters, view.progress) == (100, 0.25)
    assert list(requests) == []
    assert not requests.cancel("a")


async def test_progress_stays_within_one_when_more_is_heard_than_was_announced():
    requests = Requests()

    with opened(requests, Ticket("a")) as live:
        live.heard(1000)

        assert [view.progress for view in requests] == [1.0]


async def test_what_waits_for_a_cancelled_request_raises_at_once():
    requests = Requests()

    with opened(requests, Ticket("a")) as live:
        waiting = asyncio.create_task(live.unless_cancelled(forever()))
        await asyncio.sleep(0)

        assert requests.cancel("a")

        with pytest.raises(Cancelled):
            await waiting
        with pytest.raises(Cancelled):
            await live.unless_cancelled(forever())
        with pytest.raises(Cancelled):
            live.check()


async def test_what_a_cancelled_request_waited_for_is_stopped():
    requests = Requests()
    stopped = asyncio.Event()

    async def work() -> None:
        try:
            await forever()
        finally:
            stopped.set()

    with opened(requests, Ticket("a")) as live:
        waiting = asyncio.create_task(live.unless_cancelled(work()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        live.cancel()
        with pytest.raises(Cancelled):
            await waiting

    assert stopped.is_set()


async def test_a_wait_that_ends_before_the_cancel_returns_its_result():
    requests = Requests()

    with opened(requests, Ticket("a")) as live:
        assert await live.unless_cancelled(asyncio.sleep(0, "done")) == "done"
        live.check()


async def test_a_caller_who_leaves_is_not_told_that_the_request_was_cancelled():
    requests = Requests()

    with opened(requests, Ticket("a")) as live:
        waiting = asyncio.create_task(live.unless_cancelled(forever()))
        await asyncio.sleep(0)
        waiting.cancel()

        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not live.cancelled


async def test_a_caller_who_leaves_as_the_request_is_cancelled_has_left():
    requests = Requests()

    with opened(requests, Ticket("a")) as live:
        waiting = asyncio.create_task(live.unless_cancelled(forever()))
        await asyncio.sleep(0)
        live.cancel()
        waiting.cancel()

        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_callbacks_run_inside_cancel_once_and_only_while_they_are_wanted():
    requests = Requests()
    calls = []

    with opened(requests, Ticket("a")) as live:
        live.on_cancel(lambda: calls.append("kept"))
        take_back = live.on_cancel(lambda: calls.append("taken back"))
        take_back()
        assert live.cancel()
        assert calls == ["kept"]

        assert not live.cancel()
        live.on_cancel(lambda: calls.append("late"))
        assert calls == ["kept", "late"]


async def test_the_first_reason_stands():
    requests = Requests()

    with opened(requests, Ticket("a")) as live:
        live.cancel(ShuttingDown("bye"))
        live.cancel()

        assert isinstance(live.error, ShuttingDown)


async def test_a_client_stops_its_own_requests_and_nobody_elses():
    requests = Requests()

    with (
        opened(requests, Ticket("a", client="ann")) as first,
        opened(requests, Ticket("b", client="ann")) as second,
        opened(requests, Ticket("c", client="bob")) as other,
    ):
        assert requests.cancel_client("ann", "c") == 0
        assert requests.cancel_client("ann", "a") == 1
        assert (first.cancelled, second.cancelled, other.cancelled) == (True, False, False)
        assert requests.cancel_client("ann") == 1
        assert (second.cancelled, other.cancelled) == (True, False)


async def test_all_are_stopped_with_the_given_error():
    requests = Requests()

    with opened(requests, Ticket("a")) as first, opened(requests, Ticket("b")) as second:
        assert requests.cancel_all(ShuttingDown("bye")) == 2
        assert isinstance(first.error, ShuttingDown)
        assert isinstance(second.error, ShuttingDown)


async def test_a_request_that_takes_longer_than_its_deadline_is_stopped():
    requests = Requests()

    with (
        opened(requests, Ticket("a", deadline_s=0.01)) as live,
        pytest.raises(DeadlineExceeded, match=r"0\.01 s"),
    ):
        await live.unless_cancelled(forever())


async def test_a_deadline_ends_with_its_request():
    requests = Requests()

    with opened(requests, Ticket("a", deadline_s=0.01)) as live:
        pass
    await asyncio.sleep(0.03)

    assert not live.cancelled
