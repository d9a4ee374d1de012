from __future__ import annotations

import json
from pathlib import Path

import pytest
from effort import cpu_s, is_within

from alltalk.config import V2_FILTER
from alltalk.narration import Kind, read, read_v2
from alltalk.text import Mapped, check_filter, decode, decode_v2, spoken, spoken_v2

EXAMPLES = json.loads(
    (Path(__file__).parent / "data" / "narrator_examples.json").read_text(encoding="utf-8")
)
"""What AllTalk V2 says (`v2`), and where we differ (`ours`), for what reason (`why`)."""


def parts(text: str) -> list[str]:
    return [f"{part.kind[0].upper()} {part.said(text)}" for part in read(text)]


def heard(example: dict, spans: list, filtered) -> list[list[str]]:
    """Role and words of what is spoken of `example`, once outside and silence are settled."""
    outside = {"character": "character", "narrator": "narrator", "silent": None}[example["outside"]]
    narrator = None if example["narrator"] == "silent" else "narrator"
    roles = {Kind.CHARACTER: "character", Kind.NARRATOR: narrator, Kind.OUTSIDE: outside}
    said = [[roles[kind], filtered(text)] for kind, text in spans]
    return [each for each in said if each[0] and any(map(str.isalnum, each[1]))]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each["text"][:30])
def test_v2s_reader_tells_the_parts_that_v2_told(example):
    text = decode_v2(Mapped.of(example["text"]))
    spans = [(part.kind, part.said(text.text)) for part in read_v2(text.text, 3)]

    def filtered(said: str) -> str:
        return spoken_v2(Mapped.of(said), example["filter"], check_filter(V2_FILTER)).text

    assert heard(example, spans, filtered) == example["v2"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each["text"][:30])
def test_our_reader_tells_the_same_parts_except_for_a_stated_reason(example):
    text = decode(Mapped.of(example["text"]), example["filter"], narrated=True).text
    spans = [(part.kind, part.said(text)) for part in read(text)]
    said = heard(example, spans, lambda said: spoken(Mapped.of(said), example["filter"]).text)
    assert said == example.get("ours", example["v2"])
    assert ("ours" in example) == bool(example.get("why"))


@pytest.mark.parametrize(
    "text",
    [
        '"Hi" x',
        "“Hi” x",
        "„Hi“ x",
        "„Hi” x",
        "«Hi» x",
        "« Hi » x",
        "»Hi« x",
        "»Hi» x",
        "”Hi” x",
        "‹Hi› x",
        "「Hi」x",
        "『Hi』x",
        "＂Hi＂ x",
    ],
)
def test_quotation_marks_of_many_languages_mark_speech(text):
    assert parts(text) == ["C Hi", "O x"]


def test_chinese_needs_no_spaces_around_quotes():
    assert parts("他说“你好”然后「再见」走了") == ["O 他说", "C 你好", "O 然后", "C 再见", "O 走了"]


def test_apostrophes_and_single_quotes_mark_nothing():
    assert parts("It's ‘fine’, 'really' rock 'n' roll") == ["O It's ‘fine’, 'really' rock 'n' roll"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('*reads "Exit" aloud*', ['N reads "Exit" aloud']),
        ('"You *must* listen"', ["C You must listen"]),
        ('*says **loudly** "no"*', ['N says loudly "no"']),
        ("「外「内」外」", ["C 外", "C 内", "O 外"]),
    ],
)
def test_marks_inside_a_part_belong_to_it(text, told):
    assert parts(text) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('*He waves "Hello!" and goes', ["N He waves", "C Hello!", "N and goes"]),
        ('"Hello *waves* how are you?', ["C Hello", "N waves", "C how are you?"]),
        ('*He sits. *He looks.* "Hi"', ["N He sits.", "N He looks.", "C Hi"]),
        ('"a stray. "Then paired," he said', ["C a stray.", "C Then paired,", "O he said"]),
        ('"One\n\n"Two," he said.', ["C One", "C Two,", "O he said."]),
        ('Stray" here. "Yes."', ["O Stray here.", "C Yes."]),
        ('Price* is 5. "Ok" he said. *nods*', ["O Price is 5.", "C Ok", "O he said.", "N nods"]),
    ],
)
def test_a_mark_without_partner_shifts_no_later_pair(text, told):
    assert parts(text) == told


def test_nothing_open_outlives_its_paragraph():
    assert parts('"open\n\noutside *and open\n \nagain outside') == [
        "C open",
        "O outside",
        "N and open",
        "O again outside",
    ]


@pytest.mark.parametrize(
    "text",
    ["2 * 3 * 4", "2*3*4", "* a bullet\n* and another", "**bold** and ***bolder*** words"],
)
def test_bold_bullets_and_arithmetic_are_no_narration(text):
    assert [part.kind for part in read(text)] == [Kind.OUTSIDE]


@pytest.mark.parametrize(
    "text", ["", " \n", '""', '"" *  * "  "', '*"*"*"', "***", '*...* "?!"', "“”"]
)
def test_marks_alone_are_no_parts(text):
    assert read(text) == []


def test_short_speech_is_spoken():
    assert parts('"No." "I" *7* "？" ok') == ["C No.", "C I", "N 7", "O ok"]


@pytest.mark.parametrize(
    "text",
    [
        'One "two *three" four* five "six',
        '*a "b* c" d “e" f” *g',
        "«a »b „c” d“ 「e『f」g』 h",
        '" a" b "c "d" e " f',
        '**a* b** *c** d* "**e"',
    ],
)
def test_no_word_is_lost_and_all_stay_in_order(text):
    told = "".join(part.said(text) for part in read(text))
    assert [c for c in told if c.isalnum()] == [c for c in text if c.isalnum()]


def test_pieces_name_places_in_the_text():
    text = 'He: "You *must* go".'
    said = [[text[start:end] for start, end in part.pieces] for part in read(text)]
    assert said == [["He: "], ["You ", "must", " go", "."]]


@pytest.mark.parametrize(
    "unit", ['"*', '*"a ', '" ', "*a ", "“", "*a* ", "「", "**", '"a.', "\n", "«»", '*a"']
)
@pytest.mark.parametrize("reader", [read, lambda text: read_v2(text, 3)], ids=["ours", "v2"])
def test_time_grows_no_faster_than_the_text(unit, reader):
    short, long = ((unit * length)[:length] for length in (3_000, 48_000))
    # Quadratic time would be 256 times as long; the allowance is for a busy machine.
    short_s = max(min(cpu_s(lambda: reader(short)) for _ in range(3)), 0.004)
    assert is_within(80 * short_s, lambda: reader(long))
