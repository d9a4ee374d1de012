"""Who is next: the urgent first, callers in fair turns, and nobody waits for ever."""

import random
import tracemalloc
from collections import Counter
from tracemalloc import Filter

import pytest

from alltalk.serving.fair import WaitingLine


def drain(line: WaitingLine) -> list:
    return [line.pop() for _ in range(len(line))]


def test_an_urgent_level_goes_before_another():
    line = WaitingLine()
    for level in (2, 1, 0):
        line.push(f"level {level}", level, "a", 10)
    assert drain(line) == ["level 0", "level 1", "level 2"]


def test_every_eighth_turn_goes_a_level_down_and_every_sixty_fourth_two():
    line = WaitingLine()
    for number in range(64):
        for level in (0, 1, 2):
            line.push((level, number), level, "a", 10)
    turns = [line.pop()[0] for _ in range(64)]
    assert Counter(turns) == {0: 56, 1: 7, 2: 1}
    assert turns[7] == 1
    assert turns[63] == 2


def test_background_work_alone_below_live_work_has_every_eighth_turn():
    line = WaitingLine()
    for number in range(16):
        line.push(("live", number), 0, "a", 10)
        line.push(("book", number), 2, "b", 10)
    assert Counter(line.pop()[0] for _ in range(16)) == {"live": 14, "book": 2}


def test_what_one_caller_wants_keeps_its_order():
    line = WaitingLine()
    for number in range(50):
        line.push(number, 1, "a", cost=1 + number % 7)
    assert drain(line) == list(range(50))


def test_callers_of_a_level_get_equal_shares_of_characters_not_of_turns():
    line = WaitingLine()
    for number in range(100):
        line.push(("long", number), 1, "long", 200)
        line.push(("short", number), 1, "short", 50)
    turns = Counter(line.pop()[0] for _ in range(100))
    assert turns["short"] == pytest.approx(80, abs=2)


def test_a_newcomer_waits_for_no_book():
    line = WaitingLine()
    for sentence in range(40):
        for book in range(20):
            line.push((book, sentence), 1, f"book {book}", 100)
    for _ in range(100):
        line.pop()
    line.push("hello", 0, "newcomer", 20)
    assert line.pop() == "hello"


def test_a_newcomer_of_the_same_level_waits_for_one_turn_of_each_at_most():
    line = WaitingLine()
    rng = random.Random(1)
    for sentence in range(40):
        for book in range(20):
            line.push((book, sentence), 1, f"book {book}", rng.uniform(50, 150))
    for _ in range(200):
        line.pop()
    line.push("hello", 1, "newcomer", 20)
    before = Counter()
    while (item := line.pop()) != "hello":
        before[item[0]] += 1
    assert max(before.values(), default=0) <= 1


def test_twenty_books_advance_evenly_while_newcomers_come_and_go():
    line, rng = WaitingLine(), random.Random(2)
    books, waits = Counter(), []
    for book in range(20):
        line.push(("book", book), 1, f"book {book}", 100)
    for turn in range(4000):
        if rng.random() < 0.3:
            line.push(("newcomer", turn), 0, f"newcomer {turn}", 100)
        kind, number = line.pop()
        if kind == "newcomer":
            waits.append(turn - number)
        else:
            books[number] += 1
            line.push(("book", number), 1, f"book {number}", 100)
    assert max(waits) <= 8
    assert max(books.values()) - min(books.values()) <= 2


def test_who_waited_long_has_saved_up_nothing():
    line = WaitingLine()
    line.push("early", 1, "lazy", 100)
    for number in range(30):
        line.push(number, 1, "busy", 100)
    assert "early" in [line.pop() for _ in range(20)]
    for number in range(10):
        line.push(("lazy", number), 1, "lazy", 100)
    following = [line.pop() for _ in range(10)]
    assert 4 <= sum(isinstance(item, tuple) for item in following) <= 6


def test_leaving_and_coming_back_gains_nothing():
    line = WaitingLine()
    for number in range(40):
        line.push(("steady", number), 1, "steady", 100)
    line.push(("back", 0), 1, "back", 100)
    turns = Counter()
    for number in range(1, 31):
        kind, _ = line.pop()
        turns[kind] += 1
        if kind == "back":
            line.push(("back", number), 1, "back", 100)
    assert abs(turns["back"] - turns["steady"]) <= 2


def test_an_endless_row_of_newcomers_does_not_keep_out_who_had_a_turn():
    line = WaitingLine()
    line.push("first", 0, "a", 100)
    line.push("second", 0, "a", 100)
    turns = 0
    while turns < 100:
        line.push(f"newcomer {turns}", 0, f"flow {turns}", 100)
        line.push(f"another {turns}", 0, f"other {turns}", 100)
        turns += 1
        if line.pop() == "second":
            break
    assert turns < 20


def test_who_was_put_back_is_next_whoever_came_meanwhile():
    line = WaitingLine()
    line.push("big", 2, "a", 100)
    assert line.pop() == "big"
    line.push("urgent", 0, "b", 1)
    line.put_back("big")
    assert len(line) == 2
    assert drain(line) == ["big", "urgent"]


@pytest.mark.parametrize("put_back", [False, True])
def test_who_is_removed_is_gone_at_once(put_back):
    line = WaitingLine()
    for name in "abc":
        line.push(name, 0, "flow", 10)
    if put_back:
        line.put_back(line.pop())
    assert line.remove("a")
    assert len(line) == 2
    assert not line.remove("a")
    assert drain(line) == ["b", "c"]
    assert not line.remove("c")


def test_who_is_removed_has_paid_nothing():
    line = WaitingLine()
    for number in range(50):
        line.push(("cancelled", number), 1, "a", 100)
    line.push("other", 1, "b", 100)
    for number in range(50):
        line.remove(("cancelled", number))
    line.push("wanted", 1, "a", 100)
    line.push("later", 1, "b", 100)
    assert drain(line)[-1] == "later"


def test_the_line_is_empty_when_all_are_gone():
    line = WaitingLine()
    with pytest.raises(IndexError):
        line.pop()
    line.push("a", 1, "flow", 0)
    line.pop()
    assert len(line) == 0
    with pytest.raises(IndexError):
        line.pop()


@pytest.mark.parametrize("seed", range(20))
def test_everyone_who_came_leaves_exactly_once_in_the_order_of_the_caller(seed):
    line, rng = WaitingLine(), random.Random(seed)
    inside, left = set(), []
    for number in range(2000):
        match rng.choice(["push", "push", "pop", "put back", "remove"]):
            case "push":
                flow = rng.randrange(6)
                item = (flow % 3, flow, number)
                line.push(item, flow % 3, str(flow), rng.choice([0, 1, 10, 1000]))
                inside.add(item)
            case "pop" if inside:
                left.append(line.pop())
                inside.remove(left[-1])
            case "put back" if inside:
                line.put_back(line.pop())
            case "remove" if inside:
                item = rng.choice(sorted(inside))
                assert line.remove(item)
                inside.remove(item)
        assert len(line) == len(inside)
    rest = drain(line)
    assert set(rest) == inside
    for flow in range(6):
        numbers = [item[2] for item in left + rest if item[1] == flow]
        assert numbers == sorted(numbers)


def test_callers_who_left_are_forgotten_though_the_line_never_empties():
    line = WaitingLine()
    line.push("resident", 1, "resident", 1e9)
    line.push("resident too", 1, "resident", 1)

    def pass_through(first: int) -> None:
        for number in range(first, first + 5000):
            line.push(number, 1, f"flow {number}", 100)
            line.pop()

    pass_through(0)
    tracemalloc.start()
    try:
        pass_through(5000)
        held = tracemalloc.take_snapshot().filter_traces([Filter(True, "*/serving/fair.py")])
    finally:
        tracemalloc.stop()
    assert sum(each.size for each in held.traces) < 100_000
