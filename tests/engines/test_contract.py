"""What every engine keeps to. One run for each engine that the registry finds.

To hold an engine of your own to it, install its package or put its folder into a home, and run
this file there: `ALLTALK_HOME=<home> pytest tests/engines/test_contract.py`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace

import numpy as np
import pytest

from alltalk.engine import BatchEngine, Capabilities, Restable, Sampling, Utterance, Voice
from alltalk.errors import NoRoom, UnknownLanguage, UnknownVoice
from alltalk.home import safe_name

SENTENCE = "We are all away in a room, and you may lie."
LONGER = "We are all away in a yellow room, and you may lie in the meadow."
"""For what pauses at either end would hide."""
OPENAI = (
    *("alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx"),
    *("sage", "shimmer", "verse"),
)

FIRST = ""
"""Instead of a voice's name: the first there is."""


@pytest.fixture(scope="module")
def utterance(owner, voice):
    """The sentence; where a seed decides how it is said, always the same way."""
    seed = 1 if owner.capabilities.seed else None
    return Utterance(SENTENCE, voice, voice.language, sampling=Sampling(seed=seed))


@pytest.fixture(scope="module")
def whole_s(owner, utterance):
    """How long the sentence takes, seconds."""
    return owner.audio(utterance).seconds


@pytest.fixture
def only_plain(owner):
    if isinstance(owner.engine, BatchEngine):
        pytest.skip("a batch engine has streams instead")


@pytest.fixture
def only_batch(owner):
    if not isinstance(owner.engine, BatchEngine):
        pytest.skip("speaks one utterance at a time")


def test_its_folder_and_manifest_are_complete(case, registry):
    manifest = registry.manifest(case.engine)
    assert case.engine not in registry.problems
    assert manifest.display_name
    assert manifest.description
    assert {"def_character_voice", "def_narrator_voice"} <= manifest.settings.keys()
    assert sorted(manifest.openai_voices) == sorted(OPENAI)


def test_its_manifest_says_what_the_loaded_engine_says(owner):
    said, is_so = owner.manifest.capabilities, owner.capabilities
    flags = [each.name for each in fields(Capabilities) if each.type in (bool, "bool")]
    assert {flag: getattr(said, flag) for flag in flags} == {
        flag: getattr(is_so, flag) for flag in flags
    }
    assert said.sampling == is_so.sampling
    assert said.speed == (is_so.speed and pytest.approx(is_so.speed, abs=0.001))
    assert said.pitch == is_so.pitch
    assert said.max_chars == is_so.max_chars


def test_its_voices_have_plain_names_that_differ(owner):
    names = [voice.name for voice in owner.engine.voices()]
    assert names or owner.capabilities.cloning
    assert len({name.lower() for name in names}) == len(names)
    assert [safe_name(name) for name in names] == names


def test_the_voices_its_manifest_names_are_its_own(owner):
    manifest = owner.manifest
    if owner.capabilities.cloning and not owner.engine.voices():
        pytest.skip("its voices are the clips in voices/")
    settings = (manifest.settings["def_character_voice"], manifest.settings["def_narrator_voice"])
    named = {*settings, *manifest.openai_voices.values(), *manifest.shipped_voices.values()}
    known = {voice.name for voice in owner.engine.voices()}
    variants = {f"{name}+{each}" for name in known for each in owner.capabilities.variants}
    assert named - {FIRST} <= known | variants


def test_it_speaks_finite_sound_at_one_sample_rate(owner, utterance):
    chunks = owner.chunks(utterance)
    assert len({chunk.audio.sample_rate for chunk in chunks}) == 1
    samples = np.concatenate([chunk.audio.samples for chunk in chunks])
    assert np.isfinite(samples).all()
    assert 0.02 < np.abs(samples).max() <= 1.0
    assert np.mean(np.abs(samples) >= 0.9999) < 0.001, "it clips"


def test_a_streaming_engine_gives_more_than_one_chunk(owner, utterance):
    if not owner.capabilities.streaming:
        pytest.skip("does not stream")
    assert len(owner.chunks(replace(utterance, text=f"{SENTENCE} {LONGER}"))) > 1


def test_longer_text_takes_longer(owner, utterance):
    once = owner.audio(replace(utterance, text="Mary rows."))
    thrice = owner.audio(replace(utterance, text="Mary rows. Mary rows. Mary rows."))
    assert thrice.seconds > 1.8 * once.seconds


def test_speed_divides_the_duration(owner, utterance):
    if owner.capabilities.speed is None:
        pytest.skip("leaves speed to effects")
    utterance = replace(utterance, text=LONGER)
    whole_s = owner.audio(utterance).seconds
    for speed in (max(0.75, owner.capabilities.speed[0]), min(1.5, owner.capabilities.speed[1])):
        spoken = owner.audio(replace(utterance, speed=speed)).seconds
        assert whole_s / spoken == pytest.approx(speed, rel=0.15)


def test_it_speaks_at_the_ends_of_its_ranges(owner, utterance):
    for speed in owner.capabilities.speed or ():
        assert len(owner.audio(replace(utterance, speed=speed)))
    for pitch in owner.capabilities.pitch or ():
        assert len(owner.audio(replace(utterance, pitch=pitch)))


def test_pitch_moves_the_voice_by_semitones(owner, utterance, f0):
    if owner.capabilities.pitch is None:
        pytest.skip("leaves pitch to effects")
    usual, lower = (f0(owner.audio(replace(utterance, pitch=pitch))) for pitch in (0.0, -4.0))
    assert 12 * np.log2(lower / usual) == pytest.approx(-4, abs=0.5)


def test_the_same_seed_is_the_same_sound(owner, utterance):
    if not owner.capabilities.seed:
        pytest.skip("takes no seed")
    first, again, other = (
        owner.audio(replace(utterance, sampling=Sampling(seed=seed))).samples for seed in (7, 7, 8)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_an_unknown_voice_is_refused(owner, utterance):
    if owner.capabilities.free_voices:
        pytest.skip("any text is a voice")
    for name in ("nobody at all", "", "../voices/x", "no\0body"):
        with pytest.raises(UnknownVoice):
            owner.chunks(replace(utterance, voice=Voice(name)))


def test_an_unknown_language_is_refused(owner, utterance):
    if not owner.capabilities.languages:
        pytest.skip("the voice decides")
    with pytest.raises(UnknownLanguage):
        owner.chunks(replace(utterance, language="qqq"))


def test_it_speaks_the_longest_text_it_says_it_can(owner, utterance, whole_s):
    text = (SENTENCE + " ") * (owner.capabilities.max_chars // len(SENTENCE) + 1)
    audio = owner.audio(replace(utterance, text=text[: owner.capabilities.max_chars].strip()))
    assert audio.seconds > whole_s


@pytest.mark.parametrize("text", ["", " ", "...", "—", "\n", "\0", "🙂", "\u200b", '"\\<&>'])
def test_text_with_nothing_to_say_comes_to_an_end(owner, utterance, text):
    chunks = owner.chunks(replace(utterance, text=text))
    assert all(np.isfinite(chunk.audio.samples).all() for chunk in chunks)


def test_a_caller_who_leaves_early_frees_it_for_the_next(owner, utterance, whole_s, only_plain):
    for heard in (0, 1, 2):
        speaking = owner.engine.synthesize(replace(utterance, text=SENTENCE * 3))
        for _ in range(heard):
            owner.call(next, speaking, None)
        owner.call(speaking.close)
        assert owner.audio(utterance).seconds == pytest.approx(whole_s, rel=0.2)


def test_callers_from_several_threads_are_served_one_after_another(owner, utterance, whole_s):
    with ThreadPoolExecutor(4) as callers:
        heard = [spoken.seconds for spoken in callers.map(owner.audio, [utterance] * 5)]
    assert heard == pytest.approx([whole_s] * 5, rel=0.2)


def test_it_speaks_again_after_rest(owner, utterance):
    if not isinstance(owner.engine, Restable):
        pytest.skip("cannot rest")
    owner.call(owner.engine.rest)
    owner.call(owner.engine.wake)
    assert len(owner.audio(utterance))


def test_it_tells_each_word_once_and_in_order(owner, utterance):
    if not owner.capabilities.marks:
        pytest.skip("tells no words")
    marks = [mark for chunk in owner.chunks(utterance) for mark in chunk.marks]
    assert [utterance.text[mark.start : mark.end] for mark in marks] == utterance.text.split()
    assert sorted(marks, key=lambda mark: mark.at_s) == marks


def test_streams_share_its_steps(owner, utterance, whole_s, only_batch):
    def speak_together():
        engine = owner.engine
        streams = {engine.open(engine.prepare(utterance)): 0.0 for _ in range(together)}
        heard = []
        while streams:
            for event in engine.step():
                streams[event.stream] += event.chunk.audio.seconds if event.chunk else 0.0
                if event.done:
                    engine.close_stream(event.stream)
                    heard.append(streams.pop(event.stream))
        return heard

    together = min(4, owner.engine.slots)
    assert owner.call(speak_together) == pytest.approx([whole_s] * together, rel=0.2)


def test_a_full_batch_has_no_room_until_a_stream_is_closed(owner, utterance, only_batch):
    def fill_and_free():
        engine = owner.engine
        prepared = engine.prepare(utterance)
        streams = [engine.open(prepared) for _ in range(engine.slots)]
        with pytest.raises(NoRoom):
            engine.open(prepared)
        engine.step()
        engine.close_stream(streams.pop())
        streams.append(engine.open(prepared))
        for stream in streams:
            engine.close_stream(stream)
        return list(engine.step())

    assert owner.call(fill_and_free) == []
