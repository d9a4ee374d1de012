from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from alltalk import espeak
from alltalk.errors import UnknownVoice

AMERICAN = "gmw/en-US"
SENTENCE = "The quick brown fox jumps over the lazy dog."


@pytest.fixture
def spoken():
    """`spoken(text, voice, …)` is everything `speak` gives, int16 [n]."""

    def speak(text=SENTENCE, voice=AMERICAN, **parameters):
        pieces = []
        espeak.speak(text, voice, pieces.append, **parameters)
        return np.frombuffer(b"".join(pieces), "<i2")

    return speak


def seconds(samples):
    return len(samples) / espeak.sample_rate()


def test_a_sentence_is_a_few_seconds_of_sound_that_does_not_clip(spoken):
    samples = spoken()
    assert 2 < seconds(samples) < 4
    assert 3000 < np.abs(samples.astype(int)).max() < 32767


def test_sound_comes_in_pieces_of_at_most_60_ms():
    sizes = []
    espeak.speak(SENTENCE, AMERICAN, lambda pcm: sizes.append(len(pcm)))
    assert len(sizes) > 20
    assert max(sizes) <= 2 * (espeak.sample_rate() * espeak.CHUNK_MS / 1000 + 1)


def test_twice_the_rate_is_about_half_the_time(spoken):
    ratio = len(spoken(rate_wpm=175)) / len(spoken(rate_wpm=350))
    assert ratio == pytest.approx(2, rel=0.2)


def test_volume_scales_the_level(spoken):
    loud, quiet = (np.sqrt(np.mean(spoken(volume=v).astype(float) ** 2)) for v in (100, 50))
    assert loud / quiet == pytest.approx(2, rel=0.1)


def test_a_true_answer_stops_it_at_once():
    pieces = []
    espeak.speak("word " * 20000, AMERICAN, lambda pcm: pieces.append(pcm) or len(pieces) == 3)
    assert len(pieces) == 3


def test_what_the_sink_raises_stops_it_and_reaches_the_caller(spoken):
    def refuse(pcm):
        raise ZeroDivisionError("sink")

    with pytest.raises(ZeroDivisionError, match="sink"):
        espeak.speak("word " * 20000, AMERICAN, refuse)
    assert len(spoken())


def test_the_library_has_its_voices_under_names_and_tags():
    voices = {voice.identifier: voice for voice in espeak.voices()}
    assert len(voices) > 130
    assert voices[AMERICAN].name == "English (America)"
    assert [tag for tag, _ in voices[AMERICAN].languages] == ["en-us", "en"]
    assert "Annie" in espeak.variants()
    assert len(espeak.variants()) > 90


@pytest.mark.parametrize(
    "voice",
    ["", "nobody", "en-us+f3", "../../../etc/passwd", "gmw/en-US+nobody", "gmw/en-US+../f3", "\0"],
)
def test_only_listed_names_reach_the_library(voice):
    with pytest.raises(UnknownVoice):
        espeak.speak("x", voice, lambda pcm: None)
    with pytest.raises(UnknownVoice):
        espeak.phonemize("x", voice)


def test_a_variant_changes_who_speaks(spoken):
    assert not np.array_equal(spoken(voice=AMERICAN)[:20000], spoken(voice="gmw/en-US+f3")[:20000])


@pytest.mark.parametrize("text", ["", " ", "\0", "...", "\ud800"])
def test_text_without_words_is_less_than_a_second(spoken, text):
    assert seconds(spoken(text)) < 1


def test_a_zero_in_the_text_does_not_cut_it(spoken):
    assert len(spoken("one two\0three four")) == pytest.approx(
        len(spoken("one two three four")), rel=0.1
    )


def test_a_very_long_text_is_spoken_to_its_end(spoken):
    sentences = 300
    assert seconds(spoken(SENTENCE * sentences)) > 1.5 * sentences


def test_phonemes_are_ipa_with_a_line_for_each_clause():
    assert espeak.phonemize("Hello there, this is a test.", AMERICAN, "|") == (
        "h|ə|l|ˈoʊ ð|ˈɛɹ\nð|ɪ|s ɪ|z ɐ t|ˈɛ|s|t"
    )
    assert espeak.phonemize("Guten Tag", "gmw/de") == "ɡˈuːtən tˈɑːk"
    assert espeak.phonemize("", AMERICAN) == ""


def test_a_voice_does_not_stay_for_the_next_caller():
    alone = espeak.phonemize("Hello there", AMERICAN)
    espeak.phonemize("Guten Tag", "gmw/de")
    assert espeak.phonemize("Hello there", AMERICAN) == alone


def test_many_threads_speak_and_phonemize_without_meeting(spoken):
    lengths = {voice: len(spoken(voice=voice)) for voice in (AMERICAN, "gmw/de", "roa/fr")}
    phonemes = {voice: espeak.phonemize(SENTENCE, voice) for voice in lengths}

    def work(voice):
        same = espeak.phonemize(SENTENCE, voice) == phonemes[voice]
        return same and len(spoken(voice=voice)) == pytest.approx(lengths[voice], rel=0.05)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, list(lengths) * 20))


def test_threads_that_come_first_together_share_one_library():
    code = (
        "import threading\nfrom alltalk import espeak\n"
        "threads = [threading.Thread(target=espeak.speak, args=('hi', 'gmw/en', bool))"
        " for _ in range(8)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\nprint('all spoke')"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (child.stdout, child.stderr, child.returncode) == ("all spoke\n", "", 0)


def test_importing_it_loads_no_library():
    code = (
        "import sys, ctypes\nimport alltalk.espeak\n"
        "print('espeakng_loader' in sys.modules, alltalk.espeak._library.cache_info().currsize)"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert child.stdout.split() == ["False", "0"], child.stderr


def test_the_lock_is_free_while_nobody_speaks():
    started, go = threading.Event(), threading.Event()

    def first(pcm):
        started.set()
        assert go.wait(60)
        return True

    thread = threading.Thread(target=espeak.speak, args=(SENTENCE, AMERICAN, first))
    thread.start()
    assert started.wait(60)
    assert espeak._LOCK.locked()
    go.set()
    thread.join()
    assert not espeak._LOCK.locked()
