"""Single flight: equal requests share one synthesis, and nobody's coming or going harms another."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from pathlib import Path

import pytest

from alltalk.cache import Cache, Limits
from alltalk.errors import QueueFull, ShuttingDown, SynthesisFailed, TextTooLong
from alltalk.flight import Flights, Reader
from alltalk.serving.lane import Lane

PATIENCE_S = 60.0
PIECES = [bytes([number]) * 100 for number in range(1, 21)]
ALL = b"".join(PIECES)


class Source:
    """A synthesis of `pieces`: each at a turn it is given, or all at once; counts what it did."""

    def __init__(
        self,
        pieces: Iterable[bytes] = PIECES,
        *,
        turns: int = 1_000_000,
        error: Exception | None = None,
        ends: asyncio.Event | None = None,
    ) -> None:
        """`error` comes after the last piece; when left early, it takes until `ends` to stop."""
        self.begun = self.left = self.closed = 0
        self.turns = asyncio.Semaphore(turns)
        self._pieces, self._error, self._ends = pieces, error, ends

    async def __call__(self) -> AsyncGenerator[bytes]:
        self.begun += 1
        try:
            for piece in self._pieces:
                await self.turns.acquire()
                yield piece
            await self.turns.acquire()
            if self._error is not None:
                raise self._error
        finally:
            self.left += 1
            if self._ends is not None:
                await self._ends.wait()
            self.closed += 1

    def give(self, turns: int = 1_000_000) -> None:
        for _ in range(turns):
            self.turns.release()


@pytest.fixture
async def lane() -> AsyncIterator[Lane]:
    lane = Lane("spool")
    yield lane
    assert lane.close(PATIENCE_S)


@pytest.fixture
async def flights(lane, tmp_path) -> AsyncIterator[Flights]:
    """Flights that keep 500 bytes in memory; after the test, nothing of them may be left."""
    flights = Flights(lane, tmp_path / "spool", memory_bytes=500)
    yield flights
    await until(lambda: len(flights) == 0)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "flight"]
    assert open_files(tmp_path / "spool") == []


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - nothing tells a test from outside
            await asyncio.sleep(0.001)


def open_files(folder: Path) -> list[str]:
    """Files below `folder` that this process has open, where the system tells."""
    if not sys.platform.startswith("linux"):
        return []
    paths = []
    for handle in os.listdir("/proc/self/fd"):
        try:
            paths.append(os.readlink(f"/proc/self/fd/{handle}"))
        except FileNotFoundError:  # the listing's own
            continue
    return [path for path in paths if path.startswith(str(folder))]


async def hear(reader: Reader, pieces: int | None = None) -> bytes:
    """What `reader` hears; it leaves after so many `pieces`, or at the end."""
    heard = []
    async with aclosing(reader):
        while pieces is None or len(heard) < pieces:
            try:
                heard.append(await anext(reader))
            except StopAsyncIteration:
                break
    return b"".join(heard)


# Sharing


async def test_64_equal_requests_are_one_synthesis_and_each_hears_all_of_it(flights):
    source = Source()
    readers = [flights.join("a", source) for _ in range(64)]
    assert [reader.joined for reader in readers] == [False] + [True] * 63
    assert await asyncio.gather(*map(hear, readers)) == [ALL] * 64
    assert (source.begun, source.closed) == (1, 1)


async def test_requests_that_differ_do_not_share(flights):
    one, two = Source([b"one"]), Source([b"two"])
    heard = await asyncio.gather(hear(flights.join("1", one)), hear(flights.join("2", two)))
    assert heard == [b"one", b"two"]


async def test_sound_is_heard_as_it_is_made(flights):
    source = Source(turns=0)
    async with aclosing(flights.join("a", source)) as reader:
        for piece in PIECES:
            source.give(1)
            assert await anext(reader) == piece
        assert source.closed == 0
        source.give(1)
        assert await anext(reader, None) is None


async def test_who_comes_late_hears_it_from_the_start(flights):
    source = Source(turns=10)
    async with aclosing(flights.join("a", source)) as first:
        assert [await anext(first) for _ in range(10)] == PIECES[:10]
        late = flights.join("a", source)
        source.give()
        assert await hear(late) == ALL
    assert source.begun == 1


async def test_a_slow_reader_keeps_neither_the_source_nor_the_others_waiting(flights):
    source = Source()
    async with aclosing(flights.join("a", source)) as slow:
        first = await anext(slow)
        assert await hear(flights.join("a", source)) == ALL
        await until(lambda: source.closed)
        assert first + b"".join([piece async for piece in slow]) == ALL


async def test_empty_pieces_are_not_passed_on(flights):
    reader = flights.join("a", Source([b"", b"a", b"", b"b", b""]))
    async with aclosing(reader):
        assert [piece async for piece in reader] == [b"a", b"b"]


@pytest.mark.parametrize("seed", range(25))
async def test_whoever_joins_and_leaves_at_random_who_stays_hears_all_in_order(flights, seed):
    chance = random.Random(seed)
    pieces = [chance.randbytes(chance.randint(1, 120)) for _ in range(25)]
    sources: list[Source] = []

    async def pause() -> None:
        for _ in range(chance.randrange(12)):
            await asyncio.sleep(0)

    async def make() -> AsyncGenerator[bytes]:
        sources.append(Source(pieces))
        async with aclosing(sources[-1]()) as source:
            async for piece in source:
                await pause()
                yield piece

    async def listen() -> None:
        for _ in range(chance.randrange(20)):
            await pause()
        stays = chance.choice([None, chance.randrange(len(pieces))])
        heard = []
        async with aclosing(flights.join("a", make)) as reader:
            await pause()
            while stays is None or len(heard) < stays:
                try:
                    heard.append(await anext(reader))
                except StopAsyncIteration:
                    break
                await pause()
        assert heard == pieces[:stays]

    await asyncio.gather(*(listen() for _ in range(chance.randint(1, 12))))
    assert all(source.begun == source.closed for source in sources)


# Leaving


async def test_the_first_to_come_may_leave_without_harm_to_the_others(flights):
    source = Source(turns=3)
    first, second = flights.join("a", source), flights.join("a", source)
    assert await hear(first, 3) == ALL[:300]
    assert source.closed == 0
    source.give()
    assert await hear(second) == ALL


async def test_a_cancelled_caller_does_not_cancel_the_others(flights):
    source = Source(turns=0)
    first = asyncio.create_task(hear(flights.join("a", source)))
    second = asyncio.create_task(hear(flights.join("a", source)))
    await until(lambda: source.begun)
    first.cancel()
    await asyncio.wait({first})
    source.give()
    assert await second == ALL
    assert first.cancelled()


async def test_when_the_last_has_left_the_source_is_closed(flights):
    source = Source(turns=3)
    first, second = flights.join("a", source), flights.join("a", source)
    await hear(first, 1)
    await hear(second, 3)
    assert (source.closed, len(flights)) == (1, 0)


async def test_who_has_joined_counts_before_it_has_read_anything(flights):
    source = Source(turns=1)
    waiting = flights.join("a", source)
    await hear(flights.join("a", source), 1)
    source.give()
    assert await hear(waiting) == ALL
    assert source.begun == 1


async def test_who_leaves_at_once_begins_nothing(flights):
    source = Source()
    await flights.join("a", source).aclose()
    assert (source.begun, len(flights)) == (0, 0)


async def test_a_reader_that_is_dropped_unclosed_has_left(flights):
    source = Source(turns=0)

    async def answer(reader: Reader) -> AsyncGenerator[bytes]:
        async with aclosing(reader):
            async for piece in reader:
                yield piece

    never_begun = answer(flights.join("a", source))
    await until(lambda: source.begun)
    await never_begun.aclose()
    del never_begun
    await until(lambda: source.closed)


async def test_leaving_twice_is_leaving_once(flights):
    source = Source(turns=1)
    first, second = flights.join("a", source), flights.join("a", source)
    await first.aclose()
    await first.aclose()
    assert await anext(first, None) is None
    source.give()
    assert await hear(second) == ALL


async def test_a_request_that_comes_while_the_abandoned_one_still_stops_begins_anew(flights):
    ends = asyncio.Event()
    source, again = Source(turns=1, ends=ends), Source()
    leaving = asyncio.create_task(hear(flights.join("a", source), 1))
    await until(lambda: source.left)
    reader = flights.join("a", again)
    assert not reader.joined
    assert await hear(reader) == ALL
    assert source.closed == 0
    ends.set()
    assert await leaving == PIECES[0]
    assert source.closed == 1


async def test_an_error_of_a_source_that_stops_is_reported_though_all_have_left(flights):
    reported = report_lost_errors()

    async def source() -> AsyncGenerator[bytes]:
        try:
            yield b"a"
            await asyncio.sleep(PATIENCE_S)
        finally:
            raise ValueError("the engine will not stop")

    await hear(flights.join("a", source), 1)
    await until(lambda: reported)
    assert [str(each) for each in reported] == ["the engine will not stop"]


def report_lost_errors() -> list[BaseException]:
    reported: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda loop, context: reported.append(context["exception"])
    )
    return reported


# Failing


async def test_a_failure_reaches_every_reader_as_an_exception_of_its_own(flights):
    error = SynthesisFailed("The engine coughed.")
    source = Source(error=error)
    readers = [flights.join("a", source) for _ in range(5)]
    raised = await asyncio.gather(*map(hear, readers), return_exceptions=True)
    assert [str(each) for each in raised] == ["The engine coughed."] * 5
    assert {type(each) for each in raised} == {SynthesisFailed}
    assert len({id(each) for each in [*raised, error]}) == 6
    assert all(each.__cause__ is error for each in raised)


@pytest.mark.parametrize(
    "error",
    [
        QueueFull("Too many.", retry_after_s=7.0),
        TextTooLong(5000, 4096),
        KeyError("missing"),
        OSError(5, "input/output error"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_failure_arrives_with_its_type_and_all_it_carries(flights, error):
    with pytest.raises(type(error)) as raised:
        await hear(flights.join("a", Source([], error=error)))
    assert raised.value is not error
    assert raised.value.args == error.args
    assert vars(raised.value) == vars(error)


async def test_a_request_after_a_failure_begins_anew(flights):
    bad, good = Source(error=SynthesisFailed("no")), Source()
    async with aclosing(flights.join("a", bad)) as late:
        with pytest.raises(SynthesisFailed):
            await hear(flights.join("a", bad))
        assert await hear(flights.join("a", good)) == ALL
        with pytest.raises(SynthesisFailed):  # before a byte of what is not whole
            await anext(late)


async def test_a_source_that_ends_as_cancelled_leaves_nobody_waiting(flights):
    async def source() -> AsyncGenerator[bytes]:
        yield b"a"
        raise asyncio.CancelledError

    reader = flights.join("a", source)
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(Exception, match="cancelled"):
            await hear(reader)


# Keeping what was made


async def test_a_finished_answer_is_kept_and_there_is_no_gap_between_flight_and_cache(
    flights, lane, tmp_path
):
    cache = Cache(tmp_path / "cache", Limits(ttl_s=None, max_bytes=1_000_000, memory_bytes=0))
    key, source = "ab" * 32, Source()

    async def ask() -> tuple[bytes, bool]:
        if key not in flights and (hit := await lane.run(cache.get, key, ".wav")):
            with hit:
                return hit.read(), True
        return await hear(
            flights.join(key, source, lambda pieces: lane.run(cache.put, key, ".wav", pieces))
        ), False

    asked = [asyncio.create_task(ask())]
    while not (heard := asked[-1]).done() or not heard.result()[1]:
        asked.append(asyncio.create_task(ask()))
        await asyncio.sleep(0.001)
    assert {content for content, _ in await asyncio.gather(*asked)} == {ALL}
    assert source.begun == 1


async def test_an_answer_can_be_joined_until_it_is_kept(flights):
    source, kept, done = Source(), [], asyncio.Event()

    async def keep(pieces: Iterable[bytes]) -> None:
        await done.wait()
        kept.append(b"".join(pieces))

    assert await hear(flights.join("a", source, keep)) == ALL
    late = flights.join("a", source, keep)
    assert late.joined
    assert await hear(late, 7) == ALL[:700]
    last = flights.join("a", source, keep)
    done.set()
    await until(lambda: kept)
    assert await hear(last) == ALL  # the spool stays as long as somebody reads it
    assert (kept, source.begun) == ([ALL], 1)
    async with aclosing(flights.join("a", source)) as next_one:
        assert not next_one.joined


async def test_only_a_whole_answer_is_kept(flights):
    kept: list[object] = []

    async def keep(pieces: Iterable[bytes]) -> None:
        kept.append(pieces)

    with pytest.raises(SynthesisFailed):
        await hear(flights.join("a", Source(error=SynthesisFailed("no")), keep))
    await hear(flights.join("b", Source(turns=3), keep), 3)
    assert kept == []


async def test_an_answer_that_cannot_be_kept_is_heard_and_the_error_reported(flights):
    reported = report_lost_errors()

    async def keep(pieces: Iterable[bytes]) -> None:
        raise ValueError("no room")

    readers = [flights.join("a", Source(), keep) for _ in range(2)]
    assert await asyncio.gather(*map(hear, readers)) == [ALL] * 2
    await until(lambda: reported)
    assert [str(each) for each in reported] == ["no room"]


# Memory, disk, the end


async def test_what_memory_has_no_room_for_lies_in_a_nameless_file(flights, tmp_path):
    source = Source(turns=5)
    async with aclosing(flights.join("a", source)) as reader:
        heard = [await anext(reader) for _ in range(5)]
        assert not (tmp_path / "spool").exists()
        source.give()
        await until(lambda: source.closed)
        if sys.platform.startswith("linux"):
            assert len(open_files(tmp_path / "spool")) == 1
            assert os.listdir(tmp_path / "spool") == []
        assert b"".join(heard) + b"".join([piece async for piece in reader]) == ALL


async def test_a_disk_that_refuses_ends_no_answer(lane, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    flights = Flights(lane, tmp_path / "file" / "spool", memory_bytes=500)
    source = Source()
    readers = [flights.join("a", source) for _ in range(3)]
    assert await asyncio.gather(*map(hear, readers)) == [ALL] * 3
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    await until(lambda: len(flights) == 0)


async def test_closing_stops_every_flight_and_tells_its_readers(flights):
    running, made = Source(turns=8), Source()
    async with (
        aclosing(flights.join("a", running)) as hears_half,
        aclosing(flights.join("b", made)) as slow,
    ):
        await anext(hears_half)
        await anext(slow)
        await until(lambda: made.closed)
        await flights.close()
        assert (running.closed, len(flights)) == (1, 0)
        for reader in (hears_half, slow):
            with pytest.raises(ShuttingDown):
                await anext(reader)
    with pytest.raises(ShuttingDown):
        flights.join("a", running)


async def test_closing_waits_for_an_answer_that_is_being_kept(flights):
    kept, done = [], asyncio.Event()

    async def keep(pieces: Iterable[bytes]) -> None:
        await done.wait()
        kept.append(b"".join(pieces))

    await hear(flights.join("a", Source(), keep))
    closing = asyncio.create_task(flights.close())
    await asyncio.sleep(0.01)
    assert not closing.done()
    done.set()
    await closing
    assert kept == [ALL]
