"""The cache: what answers are kept under, how long, how many, and that none is ever half."""

from __future__ import annotations

import hashlib
import logging
import os
import random
import subprocess
import sys
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from alltalk.cache import Cache, CacheOutcome, Hit, Limits, cache_outcome, plan_key
from alltalk.draft import is_draft
from alltalk.engine import Sampling, Utterance, Voice
from alltalk.errors import StorageError
from alltalk.speech import FORMATS, Conversion, Effects, Plan, Role, Segment

PATIENCE_S = 60.0
LIMITS = Limits(ttl_s=None, max_bytes=100_000, memory_bytes=16_000)
"""Answers up to 1000 bytes are small."""

VOICE = Voice("ann.wav", "en", (Path("voices/ann.wav"),), "ab" * 32, "Hello.", -3.0)
SAMPLING = Sampling(seed=1, temperature=0.5, top_k=50, top_p=0.9, repetition_penalty=2.0)
UTTERANCE = Utterance("Good morning.", VOICE, "en", 1.5, 2.0, SAMPLING, "softly")
EFFECTS = Effects(Conversion("robot", 3.0, digest="c1"), 1.1, -1.0)
SEGMENT = Segment(0, Role.CHARACTER, UTTERANCE, EFFECTS, 0.2, (0, 13), "xtts", "v2")
PLAN = Plan((SEGMENT, replace(SEGMENT, index=1)), FORMATS["pcm"], 22050)

SILENT = {
    "segments.index",
    "segments.role",
    "segments.source",
    "segments.utterance.voice.clips",
    "format.suffix",
    "format.content_type",
}
"""All fields of a plan that do not change its sound."""


def key_of(plan: Plan) -> str:
    return plan_key(plan, defaultdict(lambda: "r1"))


def variants(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Each field of `value`, however deep: its dotted name, and `value` with it changed."""
    match value:
        case _ if is_dataclass(value):
            for field in fields(value):
                for deeper, variant in variants(getattr(value, field.name), field.name):
                    yield f"{name}.{deeper}".lstrip("."), replace(value, **{field.name: variant})
        case (Segment() as first, *rest):
            yield from ((each, (variant, *rest)) for each, variant in variants(first, name))
        case tuple():
            yield name, (*value[:-1], type(value[-1])(f"{value[-1]}1"))
        case str():
            yield name, value + "x"
        case float():
            yield name, value * 0.9 + 0.01
        case _:
            yield name, value + 1


# Under what


def test_whatever_decides_the_sound_changes_the_key_and_nothing_else_does():
    found = {name: key_of(variant) != key_of(PLAN) for name, variant in variants(PLAN)}
    assert len(found) > 20
    assert {name for name, changes in found.items() if not changes} == SILENT


def test_the_order_and_number_of_segments_change_the_key():
    hello = replace(SEGMENT, utterance=replace(UTTERANCE, text="Hello."))
    plans = [(SEGMENT, hello), (hello, SEGMENT), (SEGMENT,), (SEGMENT, hello, hello)]
    assert len({key_of(replace(PLAN, segments=segments)) for segments in plans}) == 4


def test_another_revision_of_the_model_changes_the_key():
    keys = {plan_key(PLAN, {("xtts", "v2"): revision}) for revision in ("r1", "r2")}
    assert len(keys) == 2
    assert plan_key(PLAN, {("xtts", "v2"): "r1", ("vits", ""): "r9"}) in keys


def test_a_revision_that_is_not_given_is_an_error_and_not_an_old_sound():
    with pytest.raises(KeyError):
        plan_key(PLAN, {})


def test_clips_are_never_told_apart_by_their_path_alone():
    voice = replace(VOICE, digest="")
    segment = replace(SEGMENT, utterance=replace(UTTERANCE, voice=voice))
    with pytest.raises(AssertionError, match="digest"):
        key_of(replace(PLAN, segments=(segment,)))


def test_any_text_has_a_key_also_a_broken_one():
    texts = ["猫", "\ud800", '"},{"', "\0"]
    plans = [replace(SEGMENT, utterance=replace(UTTERANCE, text=text)) for text in texts]
    assert len({key_of(replace(PLAN, segments=(each,))) for each in plans}) == 4


def test_the_key_is_the_same_in_another_process():
    code = (
        "from alltalk.cache import plan_key; from alltalk.engine import *;"
        "from alltalk.speech import *;"
        "said = Utterance('Hi.', Voice('a'), 'en', sampling=Sampling(seed=7));"
        "segment = Segment(0, Role.NARRATOR, said, Effects(), 0.1, (0, 3), 'e', 'm');"
        "print(plan_key(Plan((segment,), FORMATS['mp3']), {('e', 'm'): '1'}))"
    )
    keys = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parent.parent,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(keys) == 1
    assert len(keys.pop().strip()) == 64


# Whether at all


@pytest.mark.parametrize(
    ("adhoc", "opted_out", "ttl_s", "outcome"),
    [
        (False, False, 60.0, CacheOutcome.MISS),
        (False, False, None, CacheOutcome.MISS),
        (False, True, 60.0, CacheOutcome.BYPASS),
        (False, False, 0.0, CacheOutcome.DISABLED),
        (False, False, -1.0, CacheOutcome.DISABLED),
        (True, False, 60.0, CacheOutcome.ADHOC),
        (True, True, 60.0, CacheOutcome.ADHOC),
        (True, True, 0.0, CacheOutcome.ADHOC),
        (False, True, 0.0, CacheOutcome.BYPASS),
    ],
)
def test_the_outcome_is_what_the_table_says(adhoc, opted_out, ttl_s, outcome):
    assert cache_outcome(adhoc=adhoc, opted_out=opted_out, ttl_s=ttl_s) is outcome


# Keeping


class Clock:
    """A clock that a test sets, and that can have something happen while it is looked at."""

    def __init__(self) -> None:
        self.now = time.time()
        self._looks = 0
        self._call: Callable[[], object] | None = None
        self._thread = threading.Thread()

    def at_look(self, number: int, call: Callable[[], object]) -> None:
        """In another thread, at that look from now; who looks waits unless it is stuck."""
        self._looks, self._call = -number, call

    def join(self) -> None:
        """Wait for what happened; it must have begun."""
        self._thread.join(PATIENCE_S)

    def __call__(self) -> float:
        self._looks += 1
        if self._looks == 0 and self._call is not None:
            self._thread = threading.Thread(target=self._call)
            self._thread.start()
            self._thread.join(0.2)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_cache(tmp_path, clock) -> Callable[..., Cache]:
    """`open_cache(ttl_s=60)`: the cache of one folder, as after a start with those limits."""

    def opening(**limits: Any) -> Cache:
        return Cache(tmp_path / ".cache", replace(LIMITS, **limits), clock=clock)

    return opening


@pytest.fixture
def cache(open_cache) -> Cache:
    return open_cache()


def key(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def put(cache: Cache, name: object, content: bytes) -> bool:
    return cache.put(key(name), ".wav", [content[:7], b"", content[7:]])


def get(cache: Cache, name: object) -> bytes | None:
    hit = cache.get(key(name), ".wav")
    return None if hit is None else read(hit)


def read(hit: Hit) -> bytes:
    with hit:
        content = b"".join(iter(lambda: hit.read(333), b""))
    assert len(content) == hit.size
    assert hit.content in (None, content)
    return content


def files(cache: Cache) -> dict[str, int]:
    if not cache.folder.is_dir():
        return {}
    return {path.name: path.stat().st_size for path in cache.folder.iterdir()}


SMALL, LARGE = b"small " * 100, b"large sound " * 1000


@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_what_was_put_is_got_whole(cache, content):
    assert get(cache, "a") is None
    assert put(cache, "a", content)
    assert get(cache, "a") == content
    assert cache.get(key("b"), ".wav") is None
    assert cache.get(key("a"), ".mp3") is None
    assert files(cache) == {f"{key('a')}.wav": len(content)}


def test_a_small_answer_is_in_memory_and_a_large_one_is_not(cache):
    put(cache, "a", SMALL)
    put(cache, "b", LARGE)
    assert cache.get_small(key("a"), ".wav") == SMALL
    assert cache.get_small(key("b"), ".wav") is None
    with cache.get(key("a"), ".wav") as small, cache.get(key("b"), ".wav") as large:
        assert (small.content, large.content) == (SMALL, None)


def test_a_small_answer_comes_into_memory_when_it_is_asked_for_after_a_restart(cache, open_cache):
    put(cache, "a", SMALL)
    again = open_cache()
    assert again.get_small(key("a"), ".wav") is None
    assert get(again, "a") == SMALL
    assert again.get_small(key("a"), ".wav") == SMALL


def test_a_later_answer_takes_the_place_of_the_earlier(cache):
    put(cache, "a", SMALL)
    put(cache, "a", LARGE)
    assert cache.get_small(key("a"), ".wav") is None
    assert get(cache, "a") == LARGE
    assert (len(cache), cache.size) == (1, len(LARGE))


def test_a_hit_says_when_the_answer_was_made(cache, clock, open_cache):
    put(cache, "a", LARGE)
    made_s, clock.now = clock.now, clock.now + 50
    with cache.get(key("a"), ".wav") as hit:
        assert hit.made_s == made_s
    cache.sweep()
    with open_cache().get(key("a"), ".wav") as hit:
        assert hit.made_s == pytest.approx(made_s, abs=0.01)


# How long


@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_an_answer_that_is_too_old_is_deleted_on_sight(open_cache, clock, content):
    cache = open_cache(ttl_s=60.0)
    put(cache, "a", content)
    clock.now += 59
    assert get(cache, "a") == content
    clock.now += 2  # hearing it did not make it younger
    assert cache.get_small(key("a"), ".wav") is None
    assert get(cache, "a") is None
    assert files(cache) == {}
    assert (len(cache), cache.size) == (0, 0)


def test_a_sweep_deletes_what_is_too_old_though_nobody_asks_for_it(open_cache, clock):
    cache = open_cache(ttl_s=60.0)
    put(cache, "old", SMALL)
    clock.now += 40
    put(cache, "young", SMALL)
    clock.now += 40
    assert cache.sweep() == 1
    assert list(files(cache)) == [f"{key('young')}.wav"]


def test_age_counts_across_a_restart(open_cache, clock):
    put(open_cache(ttl_s=60.0), "a", SMALL)
    clock.now += 30
    assert get(open_cache(ttl_s=60.0), "a") == SMALL
    clock.now += 31
    assert files(open_cache(ttl_s=60.0)) == {}


def test_a_time_of_zero_keeps_and_serves_nothing(open_cache):
    put(open_cache(), "a", SMALL)
    cache = open_cache(ttl_s=0.0)
    assert not put(cache, "b", SMALL)
    assert get(cache, "a") is None
    assert files(cache) == {}


def test_without_a_time_answers_stay(cache, clock):
    put(cache, "a", SMALL)
    clock.now += 1e9
    cache.sweep()
    assert get(cache, "a") == SMALL


# How many


@pytest.mark.parametrize("ask", [Cache.get, Cache.get_small])
def test_what_was_not_asked_for_the_longest_goes_first(open_cache, ask):
    cache = open_cache(max_bytes=3000)
    for name in "abc":
        put(cache, name, bytes(1000))
    assert ask(cache, key("a"), ".wav")
    put(cache, "d", bytes(1000))
    assert [name for name in "abcd" if get(cache, name)] == ["a", "c", "d"]
    assert len(files(cache)) == 3


@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_the_order_of_use_outlives_a_restart(open_cache, clock, content):
    cache = open_cache()
    for name in "abc":
        clock.now += 10
        put(cache, name, content)
    clock.now += 10
    assert get(cache, "a") == content
    cache.sweep()
    again = open_cache(max_bytes=2 * len(content))
    assert [name for name in "abc" if get(again, name)] == ["a", "c"]


def test_an_answer_larger_than_all_may_be_is_not_kept_and_costs_no_other_its_place(open_cache):
    cache = open_cache(max_bytes=3000)
    put(cache, "a", bytes(2000))

    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(500)

    assert not cache.put(key("b"), ".wav", endless())
    assert list(files(cache)) == [f"{key('a')}.wav"]


def test_memory_is_bounded_too(open_cache):
    cache = open_cache(memory_bytes=16_000)
    for name in range(60):
        put(cache, name, bytes(1000))
    in_memory = [name for name in range(60) if cache.get_small(key(name), ".wav")]
    assert in_memory == list(range(44, 60))
    assert all(get(cache, name) for name in range(60))


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_put_and_asked_for_the_cache_keeps_what_was_used_last(open_cache, seed):
    chance, room = random.Random(seed), 5000
    cache, model = open_cache(max_bytes=room), OrderedDict[int, bytes]()
    for _ in range(150):
        name = chance.randrange(12)
        if chance.random() < 0.5:
            content = chance.randbytes(chance.randint(1, 2500))
            assert put(cache, name, content)
            model.pop(name, None)
            model[name] = content
            while sum(map(len, model.values())) > room:
                model.popitem(last=False)
        else:
            assert get(cache, name) == model.get(name)
            if name in model:
                model.move_to_end(name)
        assert files(cache) == {f"{key(name)}.wav": len(model[name]) for name in model}
        assert (len(cache), cache.size) == (len(model), sum(map(len, model.values())))


def test_limits_change_while_the_cache_is_in_use(cache, clock):
    for name in "abc":
        put(cache, name, SMALL)
    cache.limits = replace(cache.limits, max_bytes=2 * len(SMALL), memory_bytes=0)
    assert cache.sweep() == 1
    assert [name for name in "abc" if get(cache, name)] == ["b", "c"]
    assert cache.get_small(key("c"), ".wav") is None
    cache.limits = replace(cache.limits, ttl_s=60.0)
    clock.now += 61
    assert get(cache, "b") is None


def test_clearing_deletes_the_answers_and_nothing_else(cache):
    for name in "ab":
        put(cache, name, SMALL)
    (cache.folder / "README.txt").write_text("of the user's own")
    assert cache.clear() == 2
    assert list(files(cache)) == ["README.txt"]
    assert (len(cache), cache.size) == (0, 0)
    assert get(cache, "a") is None


# Whole or not at all


def test_an_answer_is_kept_over_a_restart(cache, open_cache):
    put(cache, "a", LARGE)
    assert get(open_cache(), "a") == LARGE


def test_a_file_that_another_hand_cut_short_is_deleted_and_not_served(cache):
    put(cache, "a", LARGE)
    os.truncate(cache.folder / f"{key('a')}.wav", 100)
    assert get(cache, "a") is None
    assert files(cache) == {}


def test_a_file_that_another_hand_deleted_is_a_miss(cache):
    put(cache, "a", LARGE)
    put(cache, "b", LARGE)
    for name in files(cache):
        os.unlink(cache.folder / name)
    assert get(cache, "a") is None
    assert cache.sweep() == 0
    assert (len(cache), cache.size) == (0, 0)


def test_files_that_are_no_answers_are_left_alone(cache, open_cache):
    put(cache, "a", SMALL)
    names = ["notes.txt", f"{key('b')}", f".{key('b')}.wav.0123abcd.partial", "x.wav"]
    for name in names:
        (cache.folder / name).write_bytes(b"x" * 200_000)
    again = open_cache()
    assert len(again) == 1
    assert set(names) < set(files(again))


def test_what_a_crash_left_half_written_is_swept_away(cache):
    put(cache, "a", SMALL)
    half = cache.folder / f".{key('b')}.wav.0123abcd.partial"
    half.write_bytes(b"half")
    assert is_draft(half.name)
    os.utime(half, (time.time() - 7200,) * 2)
    cache.sweep()
    assert list(files(cache)) == [f"{key('a')}.wav"]


@pytest.mark.parametrize("error", [StorageError("unreadable"), ValueError("not ours to catch")])
def test_pieces_that_break_off_leave_the_older_answer(cache, error):
    put(cache, "a", SMALL)

    def broken() -> Iterator[bytes]:
        yield b"half of it"
        raise error

    if isinstance(error, StorageError):
        assert not cache.put(key("a"), ".wav", broken())
    else:
        with pytest.raises(ValueError, match="not ours"):
            cache.put(key("a"), ".wav", broken())
    assert get(cache, "a") == SMALL
    assert len(files(cache)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be deleted there")
def test_who_reads_an_answer_hears_all_of_it_though_it_is_deleted_meanwhile(cache):
    put(cache, "a", LARGE)
    with cache.get(key("a"), ".wav") as hit:
        begin = hit.read(1000)
        cache.clear()
        assert begin + hit.read(len(LARGE)) == LARGE


def test_a_disk_that_refuses_costs_one_warning_until_it_takes_files_again(tmp_path, caplog):
    blocked = tmp_path / "outputs"
    blocked.write_text("a file where the folder should be")
    cache = Cache(blocked / ".cache", LIMITS)
    cache.sweep()
    assert not put(cache, "a", SMALL)
    assert not put(cache, "b", SMALL)
    assert get(cache, "a") is None
    blocked.unlink()
    assert put(cache, "a", SMALL)
    assert get(cache, "a") == SMALL
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_the_warning_names_the_reason_and_comes_again_for_a_new_trouble(tmp_path, caplog):
    outputs = tmp_path / "outputs"
    cache = Cache(outputs / ".cache", LIMITS)
    for _ in range(2):
        outputs.write_text("in the way")
        put(cache, "a", SMALL)
        put(cache, "b", SMALL)
        outputs.unlink()
        put(cache, "c", SMALL)
        cache.clear()
        (outputs / ".cache").rmdir()
        outputs.rmdir()
    assert len(caplog.records) == 2
    assert "part of its path is not a folder" in caplog.text


# Together


def test_an_answer_being_written_keeps_nobody_waiting(cache):
    put(cache, "a", SMALL)
    begun, end = threading.Event(), threading.Event()

    def slow() -> Iterator[bytes]:
        yield b"begin "
        begun.set()
        assert end.wait(PATIENCE_S)
        yield b"end"

    writer = threading.Thread(target=cache.put, args=(key("b"), ".wav", slow()))
    writer.start()
    assert begun.wait(PATIENCE_S)
    assert cache.get_small(key("a"), ".wav") == SMALL
    assert put(cache, "c", SMALL)
    assert get(cache, "c") == SMALL
    assert get(cache, "b") is None
    cache.sweep()
    end.set()
    writer.join()
    assert get(cache, "b") == b"begin end"


def test_two_who_put_the_same_answer_at_once_leave_one_of_them_whole(cache):
    takes = [bytes([number]) * (2000 + number) for number in range(4)]
    for _ in range(20):
        assert in_threads([lambda take=take: put(cache, "a", take) for take in takes]) == 4
        heard = get(cache, "a")
        assert heard in takes
        assert files(cache) == {f"{key('a')}.wav": len(heard)}


def test_an_answer_put_while_another_of_its_key_is_being_put_is_whole(cache, clock):
    takes = [LARGE, LARGE[:-1]]
    clock.at_look(1, lambda: put(cache, "a", takes[1]))
    put(cache, "a", takes[0])
    clock.join()
    assert get(cache, "a") in takes


@pytest.mark.parametrize("look", [1, 2, 3, 4])
def test_an_answer_put_while_its_expired_elder_is_deleted_stays(open_cache, clock, look):
    cache = open_cache(ttl_s=60.0)
    put(cache, "a", SMALL)
    clock.now += 61
    clock.at_look(look, lambda: put(cache, "a", LARGE))
    cache.get(key("a"), ".wav")
    clock.join()
    assert get(cache, "a") == LARGE


def test_threads_that_put_and_ask_hear_whole_answers_within_the_bound(open_cache):
    cache = open_cache(max_bytes=9000)

    def work(seed: int) -> bool:
        chance = random.Random(seed)
        for _ in range(120):
            name = chance.randrange(20)
            if chance.random() < 0.4:
                put(cache, name, bytes([name]) * (100 * name + 1))
            elif get(cache, name) not in (None, bytes([name]) * (100 * name + 1)):
                return False
        return True

    assert in_threads([lambda seed=seed: work(seed) for seed in range(4)]) == 4
    assert 0 < cache.size == sum(files(cache).values()) <= 9000
    assert len(cache) == len(files(cache))


def in_threads(calls: list[Callable[[], object]]) -> int:
    """Make the calls at the same time; how many returned something true."""
    together, answers = threading.Barrier(len(calls)), []

    def make(call: Callable[[], object]) -> None:
        together.wait(PATIENCE_S)
        answers.append(call())

    threads = [threading.Thread(target=make, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(map(bool, answers))
