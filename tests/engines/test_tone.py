from __future__ import annotations

import subprocess
import sys
import wave

import numpy as np
import pytest

from alltalk.audio import join
from alltalk.engine import Place, Sampling, Utterance, Voice
from alltalk.errors import BadTake, NoRoom, SynthesisFailed, UnknownVoice, UnreadableClip
from alltalk.home import Home
from alltalk.registry import Registry

WORD_S = 0.08


@pytest.fixture
def tone(registry):
    """`tone(model, **settings)` is the engine, loaded."""

    def load(model="tone-a", **settings):
        return registry.load("tone", model, Place(), settings)

    return load


@pytest.fixture
def clip(tmp_path):
    """`clip(hz, width, channels)` is a wav of half a second."""

    def write(hz, width=2, channels=1):
        sine = 0.5 * np.sin(2 * np.pi * hz * np.arange(8000) / 16000)
        samples = np.repeat(sine * (2 ** (8 * width - 1) - 1), channels).astype(f"<i{width}")
        with wave.open(str(tmp_path / "clip.wav"), "wb") as file:
            file.setparams((channels, width, 16000, 0, "NONE", ""))
            file.writeframes(samples.tobytes())
        return tmp_path / "clip.wav"

    return write


def say(text, voice="mid", **more):
    return Utterance(text, voice if isinstance(voice, Voice) else Voice(voice), "", **more)


def sound(engine, utterance):
    return join([chunk.audio for chunk in engine.synthesize(utterance) if chunk is not None])


@pytest.mark.parametrize(
    ("voice", "hz"), [("low", 220), ("mid", 440), ("high", 880), ("tone-333", 333)]
)
def test_a_voice_is_its_frequency(tone, f0, voice, hz):
    assert f0(sound(tone(), say("one two three", voice))) == pytest.approx(hz, rel=0.01)


def test_the_other_model_is_an_octave_up_at_another_rate(tone, f0):
    audio = sound(tone("tone-b"), say("one two three", "low"))
    assert audio.sample_rate == 16000
    assert f0(audio) == pytest.approx(440, rel=0.01)


def test_the_duration_tells_the_number_of_words(tone):
    for text in ("one", "one two", "a b  c\nd, e."):
        assert sound(tone(), say(text)).seconds == pytest.approx(WORD_S * len(text.split()))


def test_speed_and_pitch_are_rendered(tone, f0):
    audio = sound(tone(), say("one two three", "low", speed=0.5, pitch=12.0))
    assert audio.seconds == pytest.approx(6 * WORD_S)
    assert f0(audio) == pytest.approx(440, rel=0.01)


def test_speed_and_pitch_can_be_left_to_effects(tone):
    capabilities = tone(native_speed=False, native_pitch=False).capabilities
    assert (capabilities.speed, capabilities.pitch) == (None, None)


@pytest.mark.parametrize("voice", ["tone-", "tone-x", "tone-10", "tone-99999", "tone--3", "Low"])
def test_a_tone_nobody_can_hear_is_no_voice(tone, voice):
    with pytest.raises(UnknownVoice):
        sound(tone(), say("one", voice))


@pytest.mark.parametrize(("width", "channels"), [(2, 1), (2, 2), (4, 1)])
def test_a_clip_is_cloned_by_its_pitch(tone, f0, clip, width, channels):
    voice = Voice("me.wav", clips=(clip(317.0, width, channels),))
    assert f0(sound(tone(), say("one two", voice))) == pytest.approx(317, rel=0.01)


def test_a_clip_without_sound_cannot_be_cloned(tone, clip, tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"RIFF, or not")
    for file in (clip(0.0), tmp_path / "broken.wav", tmp_path / "absent.wav"):
        with pytest.raises(UnreadableClip):
            sound(tone(), say("one", Voice("me", clips=(file,))))


def test_chunks_can_be_smaller_than_a_word(tone):
    chunks = list(tone(chunk_s=0.02).synthesize(say("one two")))
    assert [chunk.audio.seconds for chunk in chunks] == pytest.approx([0.02] * 8)
    assert [len(chunk.marks) for chunk in chunks] == [1, 0, 0, 0] * 2


def test_pretended_work_shows_signs_of_life(tone):
    pieces = list(tone(step_s=0.05).synthesize(say("one two")))
    assert [piece is None for piece in pieces] == [True, True, True, False] * 2


def test_words_in_slots_are_said_side_by_side(tone):
    engine = tone(slots=2)
    streams = [engine.open(engine.prepare(say(text))) for text in ("a b", "c")]
    assert [(event.stream, event.done) for event in engine.step()] == [
        (streams[0], False),
        (streams[1], True),
    ]
    engine.close_stream(streams[1])
    assert [(event.stream, event.done) for event in engine.step()] == [(streams[0], True)]


def test_room_bounds_the_words_that_are_open(tone):
    engine = tone(slots=4, room=5)
    first = engine.open(engine.prepare(say("a b c")))
    with pytest.raises(NoRoom):
        engine.open(engine.prepare(say("d e f")))
    engine.close_stream(first)
    engine.open(engine.prepare(say("d e f")))


def test_a_resting_engine_does_not_speak(tone):
    engine = tone()
    engine.rest()
    with pytest.raises(SynthesisFailed, match="rested"):
        sound(engine, say("one"))


def test_faults_are_plain_words_unless_they_are_allowed(tone):
    words = "boom crash mumble nan hang exit"
    assert sound(tone(), say(words)).seconds == pytest.approx(6 * WORD_S)


def test_boom_fails_after_what_was_heard(tone):
    speaking = tone(faults=True).synthesize(say("one boom two"))
    assert next(speaking) is not None
    with pytest.raises(RuntimeError, match="boom"):
        next(speaking)


def test_boom_fails_one_stream_and_crash_all(tone):
    engine = tone(slots=2, faults=True)
    for text in ("boom", "crash boom"):
        engine.open(engine.prepare(say(text)))
    with pytest.raises(RuntimeError, match="crash"):
        engine.step()
    engine = tone(slots=2, faults=True)
    for text in ("boom", "one"):
        engine.open(engine.prepare(say(text)))
    assert [event.error is None for event in engine.step()] == [False, True]


def test_a_mumbled_take_is_better_with_another_seed(tone):
    engine = tone(faults=True)
    with pytest.raises(BadTake):
        sound(engine, say("mumble"))
    assert sound(engine, say("mumble", sampling=Sampling(seed=1))).seconds == WORD_S


def test_nan_and_hang_do_what_they_say(tone):
    assert np.isnan(sound(tone(faults=True), say("nan")).samples).all()
    assert len(sound(tone(faults=True, hang_s=0.01), say("hang")))


def test_exit_ends_the_process(tone):
    code = (
        "from alltalk.engine import Place, Utterance, Voice\n"
        "from alltalk.home import Home\nfrom alltalk.registry import Registry\n"
        "tone = Registry(Home.find()).load('tone', 'tone-a', Place(), {'faults': True})\n"
        "list(tone.synthesize(Utterance('exit', Voice('low'), '')))\nprint('still here')"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (child.returncode, child.stdout) == (3, ""), child.stderr


def test_it_is_hidden_from_users(tmp_path):
    registry = Registry(Home(tmp_path))
    assert "tone" not in registry.names()
    assert registry.manifest("tone").hidden
