from __future__ import annotations

import subprocess
import sys

import pytest

from alltalk.language import canonical, detect, matching

XTTS = [
    "ar",
    "zh-cn",
    "cs",
    "nl",
    "en",
    "fr",
    "de",
    "hu",
    "hi",
    "it",
    "ja",
    "ko",
    "pl",
    "pt",
    "ru",
    "es",
    "tr",
]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Hello there, how are you today?"),
        ("de", "Guten Morgen, wie geht es dir?"),
        ("fr", "Je ne sais pas."),
        ("es", "¿Dónde está la biblioteca?"),
        ("it", "Ciao, come stai oggi?"),
        ("pl", "Dzień dobry, co słychać?"),
        ("ru", "Привет, как дела?"),
        ("ar", "مرحبا كيف حالك"),
        ("zh-cn", "你好，世界"),
        ("ja", "東京は大きい"),
        ("ko", "안녕하세요"),
        ("hi", "नमस्ते दुनिया"),
    ],
)
def test_a_sentence_tells_its_language(language, text):
    assert detect(text, "en", XTTS) == language


@pytest.mark.parametrize("text", ["", "123", "...!", "Ja.", "No.", "Wait.", "???"])
def test_what_does_not_tell_is_in_the_default_language(text):
    assert detect(text, "cs", ["cs"]) == "cs"
    assert detect(text, "en", XTTS) == "en"


def test_a_script_that_no_offered_language_has_falls_to_the_default():
    assert detect("Καλημέρα κόσμε", "fr", XTTS) == "fr"


def test_a_sister_language_is_the_nearest_offered():
    assert detect("Привіт, як справи?", "en", XTTS) == "ru"


def test_only_the_offered_languages_are_found():
    assert detect("Guten Morgen, wie geht es dir?", "en", ["en", "nl"]) != "de"
    assert detect("Guten Morgen, wie geht es dir?", "en", ["en-us", "de-at"]) == "de-at"


def test_a_long_text_is_told_by_its_beginning():
    assert detect("Guten Morgen, wie geht es dir? " * 100_000, "en", XTTS) == "de"


def test_detection_costs_nothing_until_it_is_asked_for():
    code = "import sys, alltalk.language; sys.exit('py3langid' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_tags_are_spelled_in_one_way():
    assert [canonical(tag) for tag in ("EN", " pt_BR", "zh", "ZH-TW")] == [
        "en",
        "pt-br",
        "zh-cn",
        "zh-tw",
    ]


def test_the_nearest_of_the_offered_tags_is_meant():
    assert matching("EN-US", ["de", "en", "en-us"]) == "en-us"
    assert matching("en-au", ["de", "en"]) == "en"
    assert matching("en", ["de", "en-gb", "en-us"]) == "en-gb"
    assert matching("zh", ["zh-cn"]) == "zh-cn"
    assert matching("zh-cn", ["zh"]) == "zh"
    assert matching("fr", ["de", "en"]) is None
