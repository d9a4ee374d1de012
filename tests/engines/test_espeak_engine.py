from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from alltalk import espeak
from alltalk.audio import join
from alltalk.engine import Place, Utterance, Voice
from alltalk.errors import UnknownVoice

XTTS = (
    *("ar", "cs", "de", "en", "es", "fr", "hi", "hu", "it", "ja", "ko", "nl", "pl", "pt", "ru"),
    *("tr", "zh-cn"),
)
VOWELS = (
    "We are all away in a yellow room, and you may lie low in the meadow. Why are you here? "
    "No one knew, Mary Anne. Low rain ran over the moon and a lone lion."
)


@pytest.fixture(scope="module")
def engine(registry):
    return registry.load("espeak", "espeak", Place(), {})


@pytest.fixture
def speaker(engine):
    """`speaker(voice, language)` is what the library is asked to speak as."""
    return lambda voice, language="": engine._speaker(Utterance("", Voice(voice), language))


def hear(engine, text, voice="English (America)", language="", **more):
    utterance = Utterance(text, Voice(voice), language, **more)
    return join([chunk.audio for chunk in engine.synthesize(utterance)])


def test_american_english_is_listed_first_and_then_its_people(engine):
    names = [voice.name for voice in engine.voices()]
    assert names[:2] == ["English (America)", "English (America)+Alicia"]
    assert names.index("English (Great Britain)") < names.index("Afrikaans") < names.index("German")


def test_every_voice_of_the_library_is_listed(engine):
    names = {voice.name for voice in engine.voices()}
    assert {voice.name for voice in espeak.voices()} <= names


def test_a_voice_knows_its_language(engine):
    languages = {voice.name: voice.language for voice in engine.voices()}
    assert languages["English (America)+Alicia"] == "en-us"
    assert languages["Portuguese (Brazil)"] == "pt-br"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("German", "gmw/de"),
        ("german+MAX", "gmw/de+max"),
        ("en-us+Mr serious", "gmw/en-US+Mr serious"),
        ("roa/fr+f3", "roa/fr+f3"),
        ("zh", "sit/cmn"),
    ],
)
def test_a_voice_is_found_by_name_tag_or_identifier_with_any_variant(speaker, name, meant):
    assert speaker(name) == meant


@pytest.mark.parametrize("name", ["German+", "German+nobody", "+max", "German+max+f3"])
def test_half_a_voice_is_refused(speaker, name):
    with pytest.raises(UnknownVoice):
        speaker(name)


@pytest.mark.parametrize(
    ("voice", "language", "meant"),
    [
        ("English (America)+f3", "fr", "roa/fr+f3"),
        ("English (America)", "zh-cn", "sit/cmn"),
        ("English (Great Britain)", "en-us", "gmw/en"),
        ("German", "en", "gmw/en-US"),
        ("German", "en-gb", "gmw/en"),
        ("German", "pt-BR", "roa/pt-BR"),
        ("German", "de-AT", "gmw/de"),
        ("German", "", "gmw/de"),
        ("Chinese (Cantonese)", "zh", "sit/yue"),
        ("Norwegian Bokmål", "no", "gmq/nb"),
    ],
)
def test_the_language_asked_for_is_spoken_by_the_voice_asked_for(speaker, voice, language, meant):
    assert speaker(voice, language) == meant


@pytest.mark.parametrize("language", XTTS)
def test_the_languages_of_xtts_are_spoken(engine, language):
    assert language in engine.capabilities.languages
    assert hear(engine, "1, 2, 3", language=language).seconds > 0.5


def test_a_language_is_heard(engine):
    english, german = (hear(engine, "1998", language=tag).seconds for tag in ("en", "de"))
    assert german > 1.1 * english  # neunzehnhundertachtundneunzig


@pytest.mark.parametrize("semitones", [-8, -5, -2, -1, 1, 2, 5, 9])
def test_pitch_is_right_within_half_a_semitone(engine, f0, semitones):
    usual = f0(hear(engine, VOWELS))
    moved = f0(hear(engine, VOWELS, pitch=float(semitones)))
    assert 12 * np.log2(moved / usual) == pytest.approx(semitones, abs=0.5)


def test_pitch_leaves_the_speed_alone(engine):
    durations = [hear(engine, VOWELS, pitch=pitch).seconds for pitch in (-8.0, 0.0, 9.0)]
    assert durations == pytest.approx([durations[1]] * 3, rel=0.03)


def test_the_first_chunk_of_a_long_text_comes_before_the_rest_is_spoken(engine):
    utterance = Utterance(VOWELS * 500, Voice("English (America)"), "")
    with closing(engine.synthesize(utterance)) as speaking:
        first = next(speaking)
        assert first is not None
        assert 0 < first.audio.seconds < 0.07
        assert espeak._LOCK.locked()  # at it still, and held up: four minutes wait unread
    assert not espeak._LOCK.locked()


def test_the_longest_utterance_does_not_hold_the_library_while_it_waits_unread(engine):
    text = (VOWELS * 10)[: engine.capabilities.max_chars]
    slowest = engine.capabilities.speed[0]
    utterance = Utterance(text, Voice("English (America)"), "", speed=slowest)
    with closing(engine.synthesize(utterance)) as speaking:
        next(speaking)
        assert espeak.phonemize("Hello", "gmw/en-US")  # waits for the lock


def test_the_shipped_and_openai_names_are_people_of_their_own(registry):
    manifest = registry.manifest("espeak")
    assert len(manifest.shipped_voices) == 19
    for names in (manifest.shipped_voices, manifest.openai_voices):
        assert len(set(names.values())) == len(names)


@pytest.mark.parametrize(("kind", "low", "high"), [("female", 150, 300), ("male", 60, 130)])
def test_women_sound_higher_than_men(engine, registry, f0, kind, low, high):
    shipped = registry.manifest("espeak").shipped_voices
    voices = [voice for name, voice in shipped.items() if name.startswith(f"{kind}_")]
    assert len(voices) >= 5
    for voice in voices:
        assert low < f0(hear(engine, VOWELS, voice)) < high, voice
