"""What the Long text page says."""

from __future__ import annotations

import pytest

from alltalk.documents import Document, Manner, NewLine
from alltalk.encode import wav_header
from alltalk.reading import Progress
from alltalk.ui.long_text_view import (
    PAGE_LINES,
    Shown,
    clock,
    duration,
    field_values,
    link_html,
    manner_of,
    page_of,
    progress_html,
    sentence,
    shown_text,
    status_html,
)


def progress(**more: object) -> Progress:
    return Progress(**{"state": "idle", "lines": 3, "lines_done": 1, "characters": 30,
                       "characters_done": 10, **more})  # fmt: skip


def test_the_list_tells_how_far_each_line_is(store):
    folder = store.create("T", [NewLine(text) for text in ("a", "b", "c " * 200, "d")])
    folder.change(
        lambda d: d.edited([2], manner=Manner(voice="low")).edited([4], begins_chapter=True)
    )
    for id in (1, 2):
        line = folder.document.line(id)
        folder.keep(line, folder.fingerprint(line), wav_header(24_000, 12_000) + bytes(24_000))
    folder.change(lambda d: d.edited([2], text="other"))
    document, pieces = folder.now()
    how_far = progress(speaking=frozenset({3}), failures={4: "no"})
    labels = [label for label, _ in Shown(folder, document, pieces, how_far, 0).choices()]
    assert labels[0] == "1 · ✓ 0.5 s — a"
    assert labels[1] == "2 · ● changed · low — other"
    assert labels[2].startswith("3 · ▶ speaking — c c")
    assert labels[2].endswith(" …")
    assert len(labels[2]) < 200
    assert labels[3] == "4 · ⚠ failed · chapter — d"


def test_a_page_shows_its_part_of_the_lines(store):
    folder = store.create("T", [NewLine(f"line {n}") for n in range(PAGE_LINES + 2)])
    document, pieces = folder.now()
    shown = Shown(folder, document, pieces, progress(), 1)
    assert (shown.pages, [id for _, id in shown.choices()]) == (2, [PAGE_LINES + 1, PAGE_LINES + 2])
    assert [page_of(document, id) for id in (1, PAGE_LINES, PAGE_LINES + 1, None)] == [0, 0, 1, 0]
    assert Shown(folder, Document("x"), {}, progress(), 0).pages == 1


@pytest.mark.parametrize(
    ("how_far", "said"),
    [
        (progress(), "1 of 3 lines spoken."),
        (progress(lines_done=3), "All 3 lines are spoken."),
        (progress(state="speaking"), "1 of 3 lines spoken; speaking, …"),
        (
            progress(state="speaking", time_left_s=200.0),
            "1 of 3 lines spoken; speaking, about 3 min left",
        ),
        (progress(problem="Full."), "1 of 3 lines spoken; stopped: Full."),
        (progress(failures={1: "x"}), "1 of 3 lines spoken; 1 failed. Choose one to see why."),
    ],
)
def test_a_sentence_says_how_far_it_is(how_far, said):
    assert sentence(how_far) == said
    assert said in progress_html(how_far)


def test_nothing_a_visitor_wrote_is_markup_or_a_template():
    text = "<script>${alert(1)}</script>{{x}}`"
    for made in (
        shown_text(text),
        status_html(text, wrong=True),
        link_html("0" * 32, "wav", False, text),
    ):
        assert not any(sign in made for sign in ("<script", "{", "$", "`"))


def test_fields_left_open_stay_open():
    base = Manner(temperature=0.5, speed=2.0)
    manner = manner_of(("", "", None, 3, None), base)
    assert manner.chosen == {"temperature": 0.5, "pitch": 3.0}
    assert manner_of(field_values(base), base) == base


def test_times_are_told_as_people_tell_them():
    assert [clock(s) for s in (0.42, 9.96, 65, 3_725)] == ["0.4 s", "0:10", "1:05", "1:02:05"]
    assert [duration(s) for s in (0.1, 42, 200, 7_500)] == ["1 s", "42 s", "3 min", "2 h 5 min"]
