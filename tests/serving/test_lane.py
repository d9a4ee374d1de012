"""A lane makes short blocking calls in order on one thread, whoever leaves."""

import asyncio
import contextlib
import gc
import threading

import pytest
from waiting import PATIENCE_S

from alltalk.errors import ShuttingDown
from alltalk.serving.lane import Lane, Lanes


@pytest.fixture
def lane():
    lane = Lane("side")
    yield lane
    assert lane.close(wait_s=PATIENCE_S)


async def test_a_call_runs_on_the_lanes_thread_and_its_result_comes_back(lane):
    def describe(*args, **kwargs):
        return threading.current_thread().name, args, kwargs

    assert await lane.run(describe, 1, b=2) == ("side", (1,), {"b": 2})
    assert lane.pending == 0


@pytest.mark.parametrize("error", [ValueError("no"), ShuttingDown("bye"), SystemExit(3)])
async def test_what_a_call_raises_is_raised_to_its_caller_and_the_lane_goes_on(lane, error):
    def fail():
        raise error

    with pytest.raises(type(error)) as caught:
        await lane.run(fail)
    assert caught.value is error
    assert await lane.run(str, 5) == "5"


async def test_an_iterator_that_ends_in_a_lane_is_an_error_and_not_a_hang(lane):
    with pytest.raises(RuntimeError, match="StopIteration"):
        await lane.run(next, iter(()))


async def test_calls_are_made_one_at_a_time_in_the_order_they_were_asked_for(lane):
    made, inside = [], threading.Lock()

    def note(number):
        assert inside.acquire(blocking=False)
        made.append(number)
        inside.release()
        return number

    assert await asyncio.gather(*(lane.run(note, n) for n in range(500))) == list(range(500))
    assert made == list(range(500))


async def test_who_leaves_while_a_call_is_made_harms_nobody(lane):
    events = asyncio.get_running_loop()
    begun, gate = asyncio.Event(), threading.Event()

    def block():
        events.call_soon_threadsafe(begun.set)
        assert gate.wait(PATIENCE_S)
        return "unheard"

    leaving = asyncio.create_task(lane.run(block))
    await begun.wait()
    following = asyncio.create_task(lane.run(str, 5))
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    gate.set()
    assert await following == "5"
    assert lane.pending == 0


async def test_a_call_whose_caller_left_before_it_began_is_not_made(lane):
    gate, made = threading.Event(), []
    first = asyncio.create_task(lane.run(gate.wait, PATIENCE_S))
    left = asyncio.create_task(lane.run(made.append, "left"))
    stayed = asyncio.create_task(lane.run(made.append, "stayed"))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.sleep(0)
    gate.set()
    await first
    await stayed
    assert made == ["stayed"]


async def test_the_event_loop_runs_while_a_call_blocks(lane):
    gate = threading.Event()
    blocked = asyncio.create_task(lane.run(gate.wait, PATIENCE_S))
    for _ in range(10):
        await asyncio.sleep(0)
    gate.set()
    assert await blocked


async def test_a_closed_lane_ends_what_is_in_line_and_takes_no_more():
    lane = Lane("side")
    waiting = asyncio.create_task(lane.run(str, 5))
    await asyncio.sleep(0)
    lane.close()
    assert await waiting == "5"
    with pytest.raises(ShuttingDown, match="side is closed"):
        await lane.run(str, 5)
    assert lane.close(wait_s=PATIENCE_S)


def test_a_lane_survives_an_event_loop_that_ended_before_its_call():
    lane, gate = Lane("side"), threading.Event()

    async def leave():
        asyncio.get_running_loop().call_later(0.01, asyncio.current_task().cancel)
        await lane.run(gate.wait, PATIENCE_S)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(leave())
    gate.set()
    assert asyncio.run(lane.run(str, 5)) == "5"
    assert lane.close(wait_s=PATIENCE_S)


async def test_a_lane_keeps_nothing_of_a_call_that_has_ended(lane):
    class Sound:
        alive = 0

        def __init__(self):
            Sound.alive += 1

        def __del__(self):
            Sound.alive -= 1

    gc.disable()  # what only a collection would free is kept
    try:
        await lane.run(lambda _: None, Sound())
        with contextlib.suppress(ZeroDivisionError):
            await lane.run(lambda _: 1 // 0, Sound())
        await lane.run(int)
        assert Sound.alive == 0
    finally:
        gc.enable()


async def test_the_least_busy_lane_is_picked_and_equal_ones_in_turn():
    lanes, gate = Lanes(3), threading.Event()
    busy = lanes.pick()
    blocked = asyncio.create_task(busy.run(gate.wait, PATIENCE_S))
    await asyncio.sleep(0)
    picked = [lanes.pick() for _ in range(4)]
    assert busy not in picked
    assert picked[0] is picked[2]
    assert picked[1] is picked[3]
    assert picked[0] is not picked[1]
    gate.set()
    await blocked
    assert busy in {lanes.pick() for _ in range(3)}
    assert lanes.close(wait_s=PATIENCE_S)


async def test_lanes_run_side_by_side():
    lanes, both = Lanes(2), threading.Barrier(2, timeout=PATIENCE_S)
    await asyncio.gather(*(lanes.pick().run(both.wait) for _ in range(2)))
    assert lanes.close(wait_s=PATIENCE_S)
