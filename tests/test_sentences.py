from __future__ import annotations

import itertools
import unicodedata

import pytest
from effort import is_within

from alltalk.sentences import cut, split_sentences


def sentences(text: str, language: str = "en") -> list[str]:
    return [text[start:end] for start, end in split_sentences(text, language)]


def pieces(text: str, max_chars: int, first_chars: int | None = None, language="en") -> list[str]:
    return [
        text[piece.start : piece.end]
        for piece in cut(text, language, max_chars, first_chars or max_chars)
    ]


def test_an_abbreviation_ends_no_sentence():
    text = "Dr. Smith paid 3.50 to Mr. Jones, i.e. too much. Why?  He liked it!"
    assert sentences(text) == [
        "Dr. Smith paid 3.50 to Mr. Jones, i.e. too much.",
        "Why?",
        "He liked it!",
    ]


def test_regional_and_unknown_languages_are_split_too():
    assert sentences("Olá. Tudo bem?", "pt-br") == ["Olá.", "Tudo bem?"]
    assert sentences("One. Two.", "") == ["One.", "Two."]
    assert sentences("Ena. Dva.", "xx") == ["Ena.", "Dva."]


def test_chinese_and_japanese_sentences_need_no_space():
    assert sentences("你好。世界！再见。", "zh-cn") == ["你好。", "世界！", "再见。"]
    assert sentences("はい。いいえ。", "ja") == ["はい。", "いいえ。"]


def test_positions_count_characters_as_python_does():
    text = "Hi 😀𝒳. Ünïcode e\u0301t. Yes."
    assert sentences(text) == ["Hi 😀𝒳.", "Ünïcode e\u0301t.", "Yes."]


def test_a_blank_line_ends_a_sentence():
    assert sentences("A heading\n\nIts text.") == ["A heading", "Its text."]


def test_a_sentence_across_the_splitters_window_stays_whole():
    text = "This is one of many sentences in a row. " * 200
    assert set(sentences(text)) == {"This is one of many sentences in a row."}
    assert len(sentences(text)) == 200


def test_pieces_are_whole_sentences_as_far_as_they_fit():
    text = "One one. Two two. Three three. Four four."
    assert pieces(text, 20) == ["One one. Two two.", "Three three.", "Four four."]


def test_pieces_never_cross_a_paragraph():
    assert pieces("One.\n\nTwo. Three.", 100) == ["One.", "Two. Three."]


def test_the_first_piece_is_short_so_that_it_is_heard_early():
    text = "Once upon a time, in a land far away, there was a king. He had a horse. It was old."
    assert pieces(text, 80, 30)[0] == "Once upon a time,"
    assert pieces(text, 80, 60)[0] == "Once upon a time, in a land far away, there was a king."


def test_a_first_sentence_without_a_clause_is_not_torn():
    text = "There was a king who had a horse and a very old dog. It barked."
    assert pieces(text, 80, 20)[0] == "There was a king who had a horse and a very old dog."


def test_a_sentence_too_long_is_cut_after_a_clause_else_between_words():
    text = "He came to the old town, where the people sang all day and all of the night long."
    found = pieces(text, 40)
    assert found[0] == "He came to the old town,"
    assert found[1:] == ["where the people sang all day and all of", "the night long."]


def test_only_the_last_piece_of_a_sentence_ends_it():
    ends = [piece.ends_sentence for piece in cut("one two three four five. Six.", "en", 12, 12)]
    assert ends == [False, False, True]


def test_a_script_without_spaces_is_cut_at_its_own_marks():
    text = "这是一个很长的句子，没有空格，但是有逗号所以可以切开。"
    assert pieces(text, 15, language="zh-cn") == [
        "这是一个很长的句子，没有空格，",
        "但是有逗号所以可以切开。",
    ]


@pytest.mark.parametrize("unit", ["e\u0301", "👍🏽", "👩\u200d🚀", "नि", "กี้"])
def test_a_cut_parts_no_accent_or_emoji(unit):
    for piece in pieces(unit * 40, 25):
        assert not unicodedata.category(piece[0]).startswith("M")
        assert piece[0] not in "\u200d🏽"
        assert piece[-1] != "\u200d"


@pytest.mark.parametrize("text", ["", " \n\n ", "\n"])
def test_nothing_but_space_gives_no_pieces(text):
    assert cut(text, "en", 100, 100) == []


@pytest.mark.parametrize(
    "unit",
    [
        "你好。",
        "“",
        '"a. ',
        "(a. ",
        '“"(a.',
        ".",
        "!? ",
        "ab.\n\n",
        "word ",
        "x",
        " ",
        "\u0301",
        "，",
    ],
)
def test_whatever_comes_is_covered_within_the_limit_and_in_linear_time(unit):
    text = (unit * 300_000)[:300_000]
    cuts = []
    # Well under a second; was a minute for spaces.
    assert is_within(5, lambda: cuts.append(cut(text, "en", 300, 120)))
    found = cuts[-1]
    assert all(0 < piece.end - piece.start <= 300 for piece in found)
    assert all(a.end <= b.start for a, b in itertools.pairwise(found))
    covered = "".join(text[piece.start : piece.end] for piece in found)
    assert "".join(covered.split()) == "".join(text.split())
