"""Changes of a document."""

from __future__ import annotations

import pytest
from anything import steady
from hypothesis import given
from hypothesis import strategies as st

from alltalk.documents import Document, Manner, NewLine
from alltalk.errors import BadInput, BadValue, NotFound


def document(*texts: str) -> Document:
    return Document("Title").inserted([NewLine(text) for text in texts], 0)


def said(document: Document) -> list[str]:
    return [line.text for line in document.lines]


def test_lines_keep_their_ids_wherever_they_go():
    moved = document("a", "b", "c").moved(3, 0).moved(1, 99)
    assert said(moved) == ["c", "b", "a"]
    assert [line.id for line in moved.lines] == [3, 2, 1]


def test_an_id_is_never_given_twice():
    shorter = document("a", "b").without([2])
    assert [line.id for line in shorter.inserted([NewLine("c")], 1).lines] == [1, 3]


def test_an_edit_changes_its_lines_alone():
    before = document("a", "b", "c")
    after = before.edited([1, 3], manner=Manner(voice="v"), begins_chapter=True)
    assert [line.manner.voice for line in after.lines] == ["v", None, "v"]
    assert after.lines[1] is before.lines[1]
    assert said(after.edited([2], text="  new\n text ")) == ["a", "new text", "c"]
    assert after.revision == before.revision + 1


def test_a_line_speaks_as_the_document_says_unless_it_says_otherwise():
    whole = document("a", "b").spoken_in(Manner(voice="v", speed=1.5, conversion="rvc"))
    whole = whole.edited([2], manner=Manner(voice="w", semitones=3, conversion=""))
    first, second = (whole.request(line) for line in whole.lines)
    assert (first.voice, first.speed, first.conversion.voice) == ("v", 1.5, "rvc")
    assert (second.voice, second.speed, second.conversion) == ("w", 1.5, None)


def test_the_fingerprint_tells_what_would_sound_otherwise():
    base = document("a")
    same = [base.spoken_in(Manner(pause_s=3)), base.titled("x"), base.edited([1], text=" a ")]
    other = [
        base.edited([1], text="b"),
        base.spoken_in(Manner(voice="v")),
        base.edited([1], manner=Manner(speed=2.0)),
    ]
    first = base.fingerprint(base.lines[0])
    assert {each.fingerprint(each.lines[0]) for each in same} == {first}
    assert first not in {each.fingerprint(each.lines[0]) for each in other}


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.edited([1], text=" "),
        lambda d: d.edited([1], text="x" * 5_001),
        lambda d: d.titled(""),
        lambda d: d.titled("x" * 301),
        lambda d: d.inserted([NewLine("\0")], 0),
    ],
)
def test_what_no_line_can_be_is_refused(change):
    with pytest.raises(BadInput):
        change(document("a"))


@pytest.mark.parametrize(
    "values", [{"speed": 9}, {"pitch": "high"}, {"pause_s": -1}, {"volume": 3}, {"voice": 3}]
)
def test_a_manner_that_nobody_can_have_is_refused_by_name(values):
    with pytest.raises(BadValue, match=next(iter(values))):
        Manner.of(values)


def test_lines_that_are_gone_are_named():
    for change in (
        lambda d: d.edited([1, 7], text="x"),
        lambda d: d.moved(7, 0),
        lambda d: d.without([7]),
    ):
        with pytest.raises(NotFound, match="line 7"):
            change(document("a"))


edits = st.lists(
    st.one_of(
        st.tuples(st.just("move"), st.integers(0, 30), st.integers(-5, 40)),
        st.tuples(st.just("insert"), st.integers(1, 3), st.integers(-5, 40)),
        st.tuples(st.just("remove"), st.integers(0, 30), st.just(0)),
    ),
    max_size=30,
)


@steady
@given(edits)
def test_whatever_is_done_no_line_is_lost_or_doubled(steps):
    whole, expected, count = document("0"), {"0"}, 1
    for kind, number, place in steps:
        ids = [line.id for line in whole.lines]
        if kind == "insert":
            new = [str(count + i) for i in range(number)]
            whole, count = whole.inserted([NewLine(text) for text in new], place), count + number
            expected |= set(new)
        elif ids and kind == "move":
            id = ids[number % len(ids)]
            whole = whole.moved(id, place)
            assert whole.place(id) == min(max(place, 0), len(ids) - 1)
        elif ids:
            line = whole.line(ids[number % len(ids)])
            whole = whole.without([line.id])
            expected.discard(line.text)
    assert sorted(said(whole)) == sorted(expected)
    assert len({line.id for line in whole.lines}) == len(whole.lines)
    assert Document.from_json(whole.to_json()) == whole


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b'{"title":"x","lines":[{"id":1,"text":"a"},{"id":1,"text":"b"}],"next_id":2}',
        b'{"title":"x","lines":[{"id":5,"text":"a"}],"next_id":2}',
    ],
)
def test_a_file_that_is_no_document_is_refused(content):
    with pytest.raises(ValueError, match=r"validation error|share an id"):
        Document.from_json(content)
