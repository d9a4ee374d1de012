from __future__ import annotations

import re

import pytest
from effort import cpu_s, is_within

from alltalk.config import V2_FILTER
from alltalk.errors import ConfigError
from alltalk.text import Mapped, can_be_said, check_filter, decode, plain, spoken, spoken_v2


def filtered(text: str, name: str = "standard", removed: str | None = None) -> str:
    return mapped(text, name, removed).text


def mapped(text: str, name: str = "standard", removed: str | None = None) -> Mapped:
    decoded = decode(plain(Mapped.of(text)), name, narrated=False)
    return spoken(decoded, name, re.compile(removed) if removed is not None else None)


@pytest.mark.parametrize(
    "text",
    [
        "50% of Q&A + 3 = 7, @home.",
        "It costs $5, €4 or £3; that is −20 °C (about 5 < 6).",
        "Καλημέρα κόσμε",
        "שלום עולם",
        "สวัสดีชาวโลก",
        "नमस्ते दुनिया",
        "می‌خواهم بروم",
        "你好，世界！「好」吗？",
        "and—or, 1990–1995, «bon», „gut“, “fine”",
        "It's a dog's ‘life’",
        "C# is #1, ~5 of them",
    ],
)
def test_what_is_said_survives_in_every_script(text):
    assert filtered(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("wait... what", "wait... what"),
        ("wait…… what…", "wait… what…"),
        ("wait......... what . . . now", "wait... what ... now"),
        ("no!!! what??? yes!?", "no! what? yes!?"),
        ("和。。。 吗？？", "和。 吗？"),
    ],
)
def test_a_run_of_one_mark_becomes_one_and_an_ellipsis_stays_a_pause(text, left):
    assert filtered(text) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("**bold**, *soft* and `code`", "bold, soft and code"),
        ("# Title", "Title"),
        ("- one\n* two\n> three", "one\ntwo\nthree"),
        ("over\n---\nunder", "over\n\nunder"),
        ("```python\nsay()\n```", "\nsay()\n"),
        ("see [the page](https://example.org/a_b) now", "see the page now"),
        ("![a cat](cat.png)", "a cat"),
        ("2 * 3 * 4", "2 × 3 × 4"),
    ],
)
def test_marks_of_markdown_are_not_said(text, left):
    assert filtered(text) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Hi 😀 there", "Hi  there"),
        ("family 👨‍👩‍👧!", "family!"),
        ("thumbs 👍🏽 up ❤️", "thumbs  up "),
        ("key 1️⃣", "key 1"),
        ("bell\x07 and\x1b[0m", "bell and 0m"),
        ("soft\xadhyphen zero\u200bwidth \u202eturned", "softhyphen zerowidth turned"),
    ],
)
def test_emoji_and_control_characters_are_not_said(text, left):
    assert filtered(text) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("snake_case", "snake case"),
        ("Hi😀there", "Hi there"),
        ("one|two", "one two"),
        ("wow.**Next**", "wow. Next"),
        ("a_😀_b", "a b"),
        ("a--b", "a—b"),
        ("in *.NET", "in .NET"),
    ],
)
def test_taking_characters_out_never_joins_two_words(text, left):
    assert filtered(text) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (r"He said \"hi\" to me", 'He said "hi" to me'),
        (r"one\ntwo\r\nthree", "one\ntwo\nthree"),
        (r"C:\new", "C: new"),
        ("a\\\\b\\", "a b"),
    ],
)
def test_backslashes_that_a_client_escaped_once_too_often_reach_no_engine(text, left):
    assert filtered(text) == left


def test_html_takes_out_tags_and_decodes_entities_once():
    text = "<p>Tom &amp;amp; &quot;Jerry&quot;<br/>I <3 <b>you</b> &lt;b&gt; &#x27;x&#39;</p>"
    assert filtered(text, "html") == "\nTom &amp; \"Jerry\"\nI <3 you <b> 'x'\n"


def test_standard_leaves_entities_alone():
    assert filtered("Tom &amp; Jerry") == "Tom &amp; Jerry"


def test_narrated_text_has_its_entities_decoded_whatever_the_filter():
    assert decode(Mapped.of("&quot;Hi&quot;"), "none", narrated=True).text == '"Hi"'


def test_none_changes_nothing_but_what_no_engine_can_take():
    assert filtered("**a** 😀\n\n&amp; \\n", "none") == "**a** 😀\n\n&amp; \\n"
    assert filtered("a\0b\ud83dc", "none") == "abc"


def test_the_users_own_filter_says_which_characters_go():
    assert filtered("a*b, 50% 😀 ok!!!", removed=r"[^a-z\s,!]") == "a b,   ok!"
    assert filtered("50% *x*", removed="") == "50% *x*"


def test_a_filter_that_is_no_regular_expression_is_a_config_error():
    for wrong in ("[a-", "(", "a{99999999999999999999}"):
        with pytest.raises(ConfigError, match="api_allowed_filter"):
            check_filter(wrong)


SAMPLE = "*** **bold** it&amp;s &quot;q&quot; &#x27;z&#x27;!!! wow... ok\n\nnew@#line “x” ½ — %"


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("none", SAMPLE),
        ("standard", " bold itamp;s quot;qquot; x27;zx27;! wow. ok newline “x”   "),
        ("html", " bold its \"q\" 'z'! wow. ok newline “x”   "),
    ],
)
def test_v2_filters_hand_over_what_v2_handed_over(name, left):
    assert spoken_v2(Mapped.of(SAMPLE), name, check_filter(V2_FILTER)).text == left


@pytest.mark.parametrize("name", ["none", "standard", "html"])
def test_every_character_knows_where_it_came_from(name):
    text = "# <b>Tom</b> &amp; **Jerry** 😀 run... `fast`!!! snake_case"
    result = mapped(text, name)
    assert len(result.at) == len(result.text) + 1
    assert all(a <= b for a, b in zip(result.at, result.at[1:], strict=False))
    for word in ("Tom", "Jerry", "run", "fast", "snake", "case"):
        start = result.text.index(word)
        where, end = result.cut(start, start + len(word)).source
        assert text[where : where + len(word)] == word
        assert end >= where + len(word)


def test_text_that_is_not_changed_maps_to_itself():
    result = mapped("Nothing to do here.")
    assert result.cut(8, 10).source == (8, 10)
    assert Mapped.of("later", 100).stripped().source == (100, 105)


def test_an_entity_that_is_none_leaves_its_places_alone():
    result = decode(Mapped.of("&nonsense and &lt;"), "html", narrated=False)
    assert result.text == "&nonsense and <"
    assert list(result.at) == [*range(15), 18]


def test_picked_stretches_keep_their_places():
    result = Mapped.of("You *must* listen").pick([(0, 4), (5, 9), (10, 17)])
    assert result.text == "You must listen"
    assert result.cut(4, 8).source == (5, 10)
    assert result.source == (0, 17)


def test_only_letters_and_digits_can_be_said():
    assert all(can_be_said(text) for text in ("a", "7", "é!", "中", "ไ", "½"))
    assert not any(can_be_said(text) for text in ("", " ", "...", "—_*", "“”", "♥"))


@pytest.mark.parametrize(
    "unit", ["*a ", "😀", "a😀", "[", "](", "&amp", "<a ", ". ", "- ", "* ", "1 ", "\\", ">", "~"]
)
def test_time_grows_no_faster_than_the_text(unit):
    short, long = ((unit * length)[:length] for length in (10_000, 160_000))
    # Quadratic time would be 256 times as long; the allowance is for a busy machine.
    short_s = max(min(cpu_s(lambda: mapped(short, "html")) for _ in range(3)), 0.004)
    assert is_within(80 * short_s, lambda: mapped(long, "html"))
