"""The loop over one engine: everyone hears what is theirs, once, and leaving frees a place."""

import itertools
import logging
import random
import threading
import time
from concurrent.futures import CancelledError
from functools import partial

import pytest
from waiting import PATIENCE_S

from alltalk.engine import Event
from alltalk.errors import (
    LoadFailed,
    OutOfMemory,
    ShuttingDown,
    SynthesisFailed,
    UnknownModel,
    UnknownVoice,
)
from alltalk.serving.loop import EngineLoop

KINDS = ("plain", "three threads", "batch", "batch of one")


@pytest.fixture(params=KINDS)
def engine(request, tiny):
    """How to load an engine of each kind."""
    return {
        "plain": tiny.Talker,
        "three threads": partial(tiny.Talker, concurrency=3),
        "batch": tiny.Choir,
        "batch of one": partial(tiny.Choir, slots=1),
    }[request.param]


# Everyone hears what is theirs.


def test_sixty_mixed_utterances_are_each_heard_by_their_caller(loop_of, ear, job, engine):
    loop = loop_of(engine)
    jobs = [job("w " * (1 + i % 7), voice=i, level=i % 3, flow=str(i % 5)) for i in range(60)]
    for each in jobs:
        loop.submit(each)
    for number, each in enumerate(jobs):
        assert ear.outcome(each) is None
        assert ear.words(each) == [number] * (1 + number % 7)


def test_five_thousand_jobs_from_many_threads_all_end(loop_of, ear, job, engine):
    loop = loop_of(engine)
    jobs = [job("w", voice=i, flow=str(i % 50)) for i in range(5000)]

    def submit(some):
        for each in some:
            loop.submit(each)

    threads = [threading.Thread(target=submit, args=(jobs[i::5],)) for i in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [ear.outcome(each) for each in jobs] == [None] * 5000
    assert all(ear.words(each) == [number] for number, each in enumerate(jobs))


def test_an_utterance_without_words_ends_without_sound(loop_of, ear, job, engine):
    loop = loop_of(engine)
    loop.submit(silent := job(""))
    assert ear.outcome(silent) is None
    assert ear.words(silent) == []


def test_steps_without_sound_are_not_delivered(loop_of, ear, job, engine):
    loop = loop_of(engine)
    loop.submit(thoughtful := job("pause empty w pause"))
    assert ear.outcome(thoughtful) is None
    assert ear.words(thoughtful) == [1]
    assert all(each.chunk or each.done for call in ear.calls for each in call)


def test_all_that_one_step_made_is_delivered_in_one_call(loop_of, ear, job, tiny):
    gate = threading.Semaphore(0)
    loop = loop_of(lambda: tiny.Choir(gate=gate))
    jobs = [job("w " * 10_000) for _ in range(4)]
    for each in jobs:
        loop.submit(each)
    ear.until(lambda: loop.running == 4, nudge=gate.release)
    before = len(ear.calls)
    gate.release(5)
    ear.until(lambda: len(ear.calls) >= before + 5)
    assert {each.job for each in ear.calls[-1]} == set(jobs)
    gate.release(10_000)


def test_every_call_of_an_engine_is_made_on_its_own_threads(loop_of, ear, job, tiny):
    loaded = []
    for make in (tiny.Talker, lambda: tiny.Talker(concurrency=3), tiny.Choir):
        loop = loop_of(make)
        loaded.append(loop.loaded.result(timeout=PATIENCE_S))
        jobs = [job("w w") for _ in range(30)]
        for each in jobs:
            loop.submit(each)
        ear.until(lambda jobs=jobs: ear.ended(*jobs))
        assert loop.close(0.0, settle_s=PATIENCE_S)
    plain, threaded, batch = (engine.threads for engine in loaded)
    assert plain == {"load": {"tiny"}, "speak": {"tiny"}, "close": {"tiny"}}
    assert threaded["load"] == threaded["close"] == {"tiny"}
    assert threaded["speak"] <= {"tiny", "tiny-1", "tiny-2"}
    assert batch["load"] == batch["speak"] == batch["close"] == {"tiny"}
    assert batch["prepare"] == {"tiny-1"}


def test_an_engine_with_concurrency_speaks_as_many_side_by_side(loop_of, ear, job, tiny):
    gate = threading.Semaphore(0)
    loop = loop_of(lambda: tiny.Talker(concurrency=3, gate=gate))
    jobs = [job("w") for _ in range(5)]
    for each in jobs:
        loop.submit(each)
    ear.until(lambda: (loop.running, loop.waiting) == (3, 2))
    gate.release(5)
    ear.until(lambda: ear.ended(*jobs))


def test_an_utterance_joins_a_batch_that_is_being_spoken(loop_of, ear, job, tiny):
    gate = threading.Semaphore(0)
    loop = loop_of(lambda: tiny.Choir(slots=2, gate=gate))
    loop.submit(long := job("w " * 10_000))
    ear.until(lambda: ear.words(long), nudge=gate.release)
    loop.submit(short := job("w w"))
    ear.until(lambda: ear.ended(short), nudge=gate.release)
    assert not ear.ended(long)
    gate.release(10_000)
    assert ear.outcome(long) is None
    assert len(ear.words(long)) == 10_000


# Who is next.


def test_the_urgent_and_the_callers_turns_decide_who_is_next(loop_of, ear, job, tiny):
    gate = threading.Semaphore(0)
    loop = loop_of(lambda: tiny.Talker(gate=gate))
    talker = loop.loaded.result(timeout=PATIENCE_S)
    loop.submit(job("first"))
    ear.until(lambda: loop.running)
    jobs = [
        job("book1", level=1, flow="book"),
        job("book2", level=1, flow="book"),
        job("other", level=1, flow="other"),
        job("background", level=2),
        job("live", level=0),
    ]
    for each in jobs:
        loop.submit(each)
    gate.release(10)
    ear.until(lambda: ear.ended(*jobs))
    assert talker.begun == ["first", "live", "book1", "other", "book2", "background"]


# Cancelling.


def test_a_cancelled_job_that_waits_leaves_the_line_at_once(loop_of, ear, job, engine):
    gate = threading.Event()
    loop = loop_of(lambda: (gate.wait(PATIENCE_S), engine())[1])
    jobs = [job("w") for _ in range(3)]
    for each in jobs:
        loop.submit(each)
    loop.cancel(jobs[1].id)
    assert loop.waiting == 2
    gate.set()
    assert ear.outcome(jobs[0]) is ear.outcome(jobs[2]) is None
    assert jobs[1] not in {each.job for call in ear.calls for each in call}


@pytest.mark.parametrize("kind", ["Talker", "Choir"])
def test_a_cancelled_job_that_is_spoken_frees_its_place_at_the_next_step(
    loop_of, ear, job, tiny, kind
):
    gate = threading.Semaphore(0)
    size = {"slots": 1} if kind == "Choir" else {}
    loop = loop_of(lambda: getattr(tiny, kind)(gate=gate, **size))
    loop.submit(endless := job("w " * 10_000))
    ear.until(lambda: loop.running)
    loop.submit(following := job("after"))
    loop.cancel(endless.id)
    gate.release(2)  # one word of the first at most, one of the second
    assert ear.outcome(following) is None
    assert loop.loaded.result().left[0] == endless.utterance.text
    assert ear.words(endless) == []


def test_a_job_is_cancelled_while_it_is_prepared(loop_of, ear, job, tiny):
    preparing, gate = threading.Event(), threading.Event()

    class Slow(tiny.Choir):
        def prepare(self, utterance):
            preparing.set()
            assert gate.wait(PATIENCE_S)
            return super().prepare(utterance)

    loop = loop_of(Slow)
    loop.submit(left := job("left"))
    assert preparing.wait(PATIENCE_S)
    assert loop.waiting == 1
    loop.cancel(left.id)
    loop.submit(stayed := job("stayed"))
    gate.set()
    assert ear.outcome(stayed) is None
    assert loop.loaded.result().begun == ["stayed"]


def test_cancelling_what_has_ended_or_never_was_does_nothing(loop_of, ear, job, engine):
    loop = loop_of(engine)
    loop.submit(ended := job("w"))
    ear.until(lambda: ear.ended(ended))
    loop.cancel(ended.id)
    loop.cancel("nobody")
    loop.submit(following := job("w"))
    assert ear.outcome(following) is None


def test_two_live_jobs_cannot_share_an_id(loop_of, ear, job, tiny):
    gate = threading.Semaphore(0)
    loop = loop_of(lambda: tiny.Talker(gate=gate))
    loop.submit(twin := job("w"))
    with pytest.raises(ValueError, match="already"):
        loop.submit(twin)
    gate.release()
    assert ear.outcome(twin) is None


ACTIONS = ("submit a", "submit b", "cancel a", "step", "step")


@pytest.mark.parametrize("kind", ["Talker", "Choir"])
def test_joining_and_leaving_in_every_order_harms_nobody(loop_of, ear, job, tiny, kind):
    gate = threading.Semaphore(0)
    loop = loop_of(lambda: getattr(tiny, kind)(gate=gate))
    engine = loop.loaded.result(timeout=PATIENCE_S)
    for order in set(itertools.permutations(ACTIONS)):
        a, b = job("w w w", voice=1), job("w w", voice=2)
        for action in order:
            match action:
                case "submit a":
                    loop.submit(a)
                case "submit b":
                    loop.submit(b)
                case "cancel a":
                    loop.cancel(a.id)
                case "step":
                    gate.release()
        if order.index("cancel a") < order.index("submit a"):
            gate.release(5)
            assert ear.outcome(a) is None
        gate.release(5)
        assert ear.outcome(b) is None
        assert ear.words(b) == [2, 2]
        assert set(ear.words(a)) <= {1}
        ear.until(lambda: (loop.waiting, loop.running) == (0, 0))
        while gate.acquire(blocking=False):
            pass
    assert sorted(engine.left) == sorted(engine.begun)


@pytest.mark.parametrize("seed", range(5))
def test_callers_who_come_fail_and_leave_at_random_harm_nobody(
    loop_of, ear, job, engine, tiny, seed
):
    loop, rng = loop_of(engine), random.Random(seed)
    kept, failing = [], []
    for number in range(300):
        count = rng.randrange(1, 6)
        match rng.choice(["keep", "keep", "fail", "leave"]):
            case "keep":
                kept.append((job("w " * count, voice=number), [number] * count))
                loop.submit(kept[-1][0])
            case "fail":
                failing.append(job("w " * count + rng.choice(["boom", "nan", "oom", "bytes"])))
                loop.submit(failing[-1])
            case "leave":
                loop.submit(left := job("w " * 100))
                if rng.random() < 0.5:
                    time.sleep(0.0005)
                loop.cancel(left.id)
    for each, words in kept:
        assert ear.outcome(each) is None
        assert ear.words(each) == words
    assert all(ear.outcome(each) is not None for each in failing)
    ear.until(lambda: (loop.waiting, loop.running) == (0, 0))
    spoken = loop.loaded.result()
    assert sorted(spoken.left) == sorted(spoken.begun)


# Failing.


@pytest.mark.parametrize(
    ("word", "kind", "told"),
    [
        ("boom", SynthesisFailed, "tiny failed with ValueError: boom."),
        ("oom", OutOfMemory, "tiny ran out of memory: tried to allocate 20 GiB."),
        ("stranger", UnknownVoice, "tiny has no voice 'stranger'. It has: 1, 2."),
        ("nan", SynthesisFailed, "tiny made sound that is not finite (NaN or infinity)."),
        ("inf", SynthesisFailed, "tiny made sound that is not finite (NaN or infinity)."),
        ("faster", SynthesisFailed, "tiny went from 24000 to 48000 Hz within an utterance."),
        ("bytes", SynthesisFailed, "tiny yielded bytes instead of a Chunk."),
    ],
)
def test_an_utterance_that_fails_fails_alone_and_says_how(
    loop_of, ear, job, engine, word, kind, told
):
    loop = loop_of(engine)
    others = [job("w " * 9, voice=2) for _ in range(6)]
    failing = job(f"w w {word} w")
    for each in (*others[:3], failing, *others[3:]):
        loop.submit(each)
    error = ear.outcome(failing)
    assert (type(error), str(error)) == (kind, told)
    assert ear.words(failing) == [1, 1]
    for each in others:
        assert ear.outcome(each) is None
        assert ear.words(each) == [2] * 9


def test_the_cause_of_a_failure_is_kept(loop_of, ear, job, engine):
    loop = loop_of(engine)
    loop.submit(failing := job("boom"))
    error = ear.outcome(failing)
    assert isinstance(error.__cause__, ValueError)
    assert error.__cause__.__traceback__ is not None


def test_what_did_not_fit_into_memory_is_not_kept_by_the_error(loop_of, ear, job, engine):
    loop = loop_of(engine)
    loop.submit(failing := job("oom"))
    assert ear.outcome(failing).__cause__.__traceback__ is None


def test_an_engine_that_wants_to_end_the_thread_fails_its_utterance(loop_of, ear, job, tiny):
    loop = loop_of(tiny.Talker)
    loop.submit(quitting := job("quit"))
    assert "SystemExit" in str(ear.outcome(quitting))
    loop.submit(following := job("w"))
    assert ear.outcome(following) is None


def test_a_step_that_raises_fails_all_that_are_open_and_no_other(loop_of, ear, job, tiny):
    class Fragile(tiny.Choir):
        doomed = False

        def step(self):
            events = super().step()
            if self.doomed:
                self.doomed = False
                raise ValueError("the batch is lost")
            return events

    gate = threading.Semaphore(0)
    loop = loop_of(lambda: Fragile(slots=3, gate=gate))
    lost = [job("w " * 10_000) for _ in range(3)]
    for each in lost:
        loop.submit(each)
    ear.until(lambda: loop.running == 3, nudge=gate.release)
    loop.loaded.result().doomed = True
    loop.submit(spared := job("w w"))
    gate.release(10)
    errors = [ear.outcome(each) for each in lost]
    assert {str(error) for error in errors} == {"tiny failed with ValueError: the batch is lost."}
    assert len({id(error) for error in errors}) == 3
    assert ear.outcome(spared) is None


def test_events_of_an_engine_that_repeats_itself_do_no_harm(loop_of, ear, job, tiny):
    class Muddled(tiny.Choir):
        def step(self):
            events = list(super().step())
            ended = [event for event in events if event.done]
            return [Event("never opened", done=True), *events, *ended]

    gate = threading.Semaphore(0)
    loop = loop_of(lambda: Muddled(gate=gate))
    loop.submit(long := job("w " * 10_000))
    ear.until(lambda: ear.words(long), nudge=gate.release)
    loop.submit(short := job("w"))
    ear.until(lambda: ear.ended(short), nudge=gate.release)
    gate.release(10_000)
    assert ear.outcome(short) is ear.outcome(long) is None
    assert (len(ear.words(short)), len(ear.words(long))) == (1, 10_000)


def test_what_is_no_event_fails_the_open_utterances(loop_of, ear, job, tiny):
    class Broken(tiny.Choir):
        def step(self):
            return [*super().step(), "nonsense"]

    loop = loop_of(Broken)
    jobs = [job("w w"), job("w")]
    for each in jobs:
        loop.submit(each)
    assert isinstance(ear.outcome(jobs[0]), SynthesisFailed)
    assert ear.outcome(jobs[1]) is None
    assert ear.words(jobs[1]) == [1]


def test_an_utterance_that_cannot_be_prepared_fails_alone(loop_of, ear, job, tiny):
    loop = loop_of(tiny.Choir)
    jobs = [job("w"), job("unpreparable"), job("w")]
    for each in jobs:
        loop.submit(each)
    assert str(ear.outcome(jobs[1])) == "tiny failed with KeyError: 'no such token'."
    assert ear.outcome(jobs[0]) is ear.outcome(jobs[2]) is None


def test_an_utterance_that_will_not_be_closed_is_logged_and_harms_nobody(
    loop_of, ear, job, engine, caplog
):
    gate = threading.Semaphore(1)
    loop = loop_of(lambda: engine(gate=gate))
    loop.submit(stubborn := job("stubborn " * 10_000))
    ear.until(lambda: ear.words(stubborn))
    loop.cancel(stubborn.id)
    gate.release(10)
    loop.submit(following := job("w"))
    assert ear.outcome(following) is None
    ear.until(lambda: loop.running == 0)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "it will not go" in caplog.text


def test_a_loop_whose_listener_fails_leaves_nobody_waiting(ear, job, tiny, monkeypatch):
    raised, told = [], []
    monkeypatch.setattr(threading, "excepthook", lambda args: raised.append(args.exc_value))

    def deliver(deliveries):
        if deliveries[0].chunk is not None:
            raise ZeroDivisionError
        told.extend(deliveries)

    loop = EngineLoop(lambda: tiny.Talker(), deliver, name="tiny")
    loop.submit(job("w"))
    loop.submit(job("w"))
    loop.start()
    engine = loop.loaded.result(timeout=PATIENCE_S)
    ear.until(lambda: raised)
    assert loop.close(0.0, settle_s=PATIENCE_S)
    assert [type(error) for error in raised] == [ZeroDivisionError]
    assert [type(each.error) for each in told] == [SynthesisFailed] * 2
    assert engine.closed == 1


# Room.


def test_who_has_no_room_waits_at_the_head_of_the_line(loop_of, ear, job, tiny):
    gate = threading.Semaphore(0)
    loop = loop_of(lambda: tiny.Choir(slots=4, room=5, gate=gate))
    loop.submit(first := job("w w w"))
    ear.until(lambda: loop.running)
    loop.submit(big := job("w w w w"))
    small = [job("w") for _ in range(3)]
    gate.release()
    ear.until(lambda: len(ear.words(first)) == 1)
    for each in small:
        loop.submit(each)
    gate.release(100)
    for each in (first, big, *small):
        assert ear.outcome(each) is None
    engine = loop.loaded.result()
    assert engine.begun[:2] == ["w w w", "w w w w"]


def test_who_has_no_room_even_alone_is_out_of_memory(loop_of, ear, job, tiny):
    loop = loop_of(lambda: tiny.Choir(room=3))
    loop.submit(fits := job("w w w"))
    loop.submit(huge := job("w w w w"))
    error = ear.outcome(huge)
    assert (type(error), str(error)) == (OutOfMemory, "tiny has no room for this text, even alone.")
    assert ear.outcome(fits) is None


def test_who_waits_for_room_may_leave(loop_of, ear, job, tiny):
    gate = threading.Semaphore(0)
    loop = loop_of(lambda: tiny.Choir(room=3, gate=gate))
    loop.submit(first := job("w w w"))
    ear.until(lambda: loop.running)
    loop.submit(waiting := job("w w"))
    gate.release()
    ear.until(lambda: ear.words(first))
    loop.cancel(waiting.id)
    gate.release(10)
    assert ear.outcome(first) is None
    ear.until(lambda: (loop.waiting, loop.running) == (0, 0))
    assert loop.loaded.result().begun == ["w w w"]


# Loading and calls in between.


def test_jobs_submitted_before_the_engine_is_loaded_are_spoken(loop_of, ear, job, engine):
    gate = threading.Event()
    loop = loop_of(lambda: (gate.wait(PATIENCE_S), engine())[1])
    jobs = [job("w") for _ in range(10)]
    for each in jobs:
        loop.submit(each)
    assert (loop.waiting, loop.running, loop.loaded.done()) == (10, 0, False)
    gate.set()
    assert [ear.outcome(each) for each in jobs] == [None] * 10


@pytest.mark.parametrize(
    ("raised", "kind", "told"),
    [
        (RuntimeError("no weights"), LoadFailed, "tiny failed with RuntimeError: no weights."),
        (MemoryError(), OutOfMemory, "tiny ran out of memory."),
        (
            UnknownModel("big", "tiny", ["small"]),
            UnknownModel,
            "tiny has no model 'big'. It has: small.",
        ),
    ],
)
def test_an_engine_that_cannot_be_loaded_tells_everybody_why(loop_of, ear, job, raised, kind, told):
    gate = threading.Event()

    def load():
        assert gate.wait(PATIENCE_S)
        raise raised

    loop = loop_of(load)
    loop.submit(early := job("w"))
    call = loop.between(lambda engine: engine)
    gate.set()
    errors = [
        loop.loaded.exception(timeout=PATIENCE_S),
        ear.outcome(early),
        call.exception(timeout=PATIENCE_S),
    ]
    loop.submit(late := job("w"))
    errors += [ear.outcome(late), loop.between(lambda engine: engine).exception(timeout=PATIENCE_S)]
    assert [(type(error), str(error)) for error in errors] == [(kind, told)] * 5


def test_a_loop_closed_while_it_loads_closes_what_it_loaded(loop_of, ear, job, tiny):
    loading, gate, made = threading.Event(), threading.Event(), []

    def load():
        loading.set()
        assert gate.wait(PATIENCE_S)
        made.append(tiny.Talker())
        return made[0]

    loop = loop_of(load)
    loop.submit(waiting := job("w"))
    assert loading.wait(PATIENCE_S)
    assert not loop.close(0.0, settle_s=0.0)
    assert isinstance(loop.loaded.exception(timeout=PATIENCE_S), ShuttingDown)
    assert isinstance(ear.outcome(waiting), ShuttingDown)
    gate.set()
    assert loop.close(0.0, settle_s=PATIENCE_S)
    assert made[0].closed == 1


def test_a_call_in_between_waits_until_nothing_is_open_and_holds_up_the_line(
    loop_of, ear, job, engine
):
    loop = loop_of(engine)
    seen = []
    jobs = [job("w w w") for _ in range(40)]
    for each in jobs[:20]:
        loop.submit(each)
    call = loop.between(
        lambda engine: seen.append(
            (len(engine.begun), len(engine.left), threading.current_thread().name)
        )
    )
    for each in jobs[20:]:
        loop.submit(each)
    call.result(timeout=PATIENCE_S)
    ear.until(lambda: ear.ended(*jobs))
    ((begun, left, thread),) = seen
    assert begun == left < 40
    assert thread == "tiny"


def test_a_call_in_between_waits_for_every_thread(loop_of, ear, job, tiny):
    gate = threading.Semaphore(0)
    loop = loop_of(lambda: tiny.Talker(concurrency=2, gate=gate))
    talker = loop.loaded.result(timeout=PATIENCE_S)
    for count in range(1, 11):  # which thread speaks is chance
        loop.submit(spoken := job("w"))
        ear.until(lambda count=count: len(talker.begun) == count)
        call = loop.between(lambda engine: len(engine.left))
        time.sleep(0.005)  # in which it could be made too early
        gate.release()
        assert call.result(timeout=PATIENCE_S) == count
        assert ear.outcome(spoken) is None


def test_calls_in_between_keep_their_order_and_may_fail_or_be_cancelled(loop_of, ear, job, engine):
    gate = threading.Event()
    loop = loop_of(lambda: (gate.wait(PATIENCE_S), engine())[1])
    calls = [loop.between(lambda engine, i=i: 1 // i) for i in (1, 0, -1)]
    cancelled = loop.between(lambda engine: pytest.fail("it was cancelled"))
    assert cancelled.cancel()
    gate.set()
    assert calls[0].result(timeout=PATIENCE_S) == 1
    assert isinstance(calls[1].exception(timeout=PATIENCE_S).__cause__, ZeroDivisionError)
    assert calls[2].result(timeout=PATIENCE_S) == -1
    with pytest.raises(CancelledError):
        cancelled.result(timeout=PATIENCE_S)
    loop.submit(each := job("w"))
    assert ear.outcome(each) is None


# Closing.


def test_closing_refuses_who_waits_and_lets_who_is_spoken_finish(loop_of, ear, job, tiny):
    gate = threading.Semaphore(0)
    loop = loop_of(lambda: tiny.Talker(gate=gate))
    engine = loop.loaded.result(timeout=PATIENCE_S)
    loop.submit(spoken := job("w w"))
    ear.until(lambda: loop.running)
    loop.submit(waiting := job("w"))
    call = loop.between(lambda engine: engine)
    closing = threading.Thread(target=loop.close, args=(PATIENCE_S,))
    closing.start()
    assert isinstance(ear.outcome(waiting), ShuttingDown)
    assert isinstance(call.exception(timeout=PATIENCE_S), ShuttingDown)
    loop.submit(late := job("w"))
    assert isinstance(ear.outcome(late), ShuttingDown)
    gate.release(2)
    assert ear.outcome(spoken) is None
    closing.join()
    ear.until(lambda: engine.closed == 1)


def test_who_finds_no_room_in_a_loop_that_was_closed_meanwhile_is_refused(loop_of, ear, job, tiny):
    opening, gate = threading.Event(), threading.Event()

    class Hesitant(tiny.Choir):
        def open(self, prepared):
            if self.begun:
                opening.set()
                assert gate.wait(PATIENCE_S)
            return super().open(prepared)

    turns = threading.Semaphore(0)
    loop = loop_of(lambda: Hesitant(slots=4, room=10_000, gate=turns))
    loop.submit(spoken := job("w " * 10_000))
    ear.until(lambda: loop.running)
    loop.submit(hesitant := job("w"))
    ear.until(lambda: opening.is_set(), nudge=turns.release)
    closing = threading.Thread(target=loop.close, args=(PATIENCE_S,))
    closing.start()
    with pytest.raises(ShuttingDown):
        loop.between(lambda engine: engine).result(timeout=PATIENCE_S)
    gate.set()
    assert isinstance(ear.outcome(hesitant), ShuttingDown)
    assert not ear.ended(spoken)
    turns.release(10_000)
    assert ear.outcome(spoken) is None
    closing.join()


def test_closing_ends_who_is_still_spoken_once_the_time_is_over(loop_of, ear, job, engine):
    loop = loop_of(engine)
    jobs = [job("w " * 1_000_000) for _ in range(2)]
    for each in jobs:
        loop.submit(each)
    ear.until(lambda: loop.running)
    assert loop.close(0.01, settle_s=PATIENCE_S)
    assert [type(ear.outcome(each)) for each in jobs] == [ShuttingDown] * 2
    closed = loop.loaded.result()
    assert closed.closed == 1
    assert sorted(closed.left) == sorted(closed.begun)


def test_closing_does_not_wait_for_an_engine_that_hangs(loop_of, ear, job, tiny):
    gate = threading.Semaphore(0)
    loop = loop_of(lambda: tiny.Talker(gate=gate))
    engine = loop.loaded.result(timeout=PATIENCE_S)
    loop.submit(stuck := job("w w"))
    ear.until(lambda: loop.running)
    assert not loop.close(0.0, settle_s=0.0)
    assert isinstance(ear.outcome(stuck), ShuttingDown)
    gate.release()
    ear.until(lambda: engine.closed == 1)
    assert ear.words(stuck) == []


def test_a_loop_that_never_started_can_be_closed(ear, job, tiny):
    loop = EngineLoop(tiny.Talker, ear)
    loop.submit(each := job("w"))
    assert loop.close(0.0)
    assert isinstance(ear.outcome(each), ShuttingDown)
    assert isinstance(loop.loaded.exception(timeout=0), ShuttingDown)


def test_an_engine_that_fails_to_close_is_logged(loop_of, tiny, caplog):
    class Clinging(tiny.Talker):
        def close(self):
            raise OSError("the device is busy")

    loop = loop_of(Clinging)
    loop.loaded.result(timeout=PATIENCE_S)
    assert loop.close(0.0, settle_s=PATIENCE_S)
    assert "the device is busy" in caplog.text


# For a watchdog.


def test_a_busy_engine_shows_progress_a_stuck_one_none_and_an_idle_one_is_not_busy(
    loop_of, ear, job, tiny
):
    gate = threading.Semaphore(0)
    loop = loop_of(lambda: tiny.Talker(concurrency=2, gate=gate))
    assert loop.last_step_at is None
    loop.submit(job("w " * 10))
    ear.until(lambda: loop.last_step_at is not None)
    stuck_at = loop.last_step_at
    assert stuck_at <= time.monotonic()
    gate.release()
    ear.until(lambda: loop.last_step_at > stuck_at)
    gate.release(9)
    ear.until(lambda: loop.last_step_at is None)
