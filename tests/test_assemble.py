"""Assembly: segments in order, one sample rate, natural edges, pauses between, and when it was."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from alltalk.assemble import Assembly
from alltalk.audio import Audio, join
from alltalk.engine import Mark, Utterance, Voice
from alltalk.speech import Effects, Role, Segment, SpokenMark

RATE = 24000


def segment(
    index: int = 0,
    text: str = "one two",
    *,
    pause_s: float = 0.0,
    gain_db: float = 0.0,
    source: tuple[int, int] | None = None,
    speed: float = 1.0,
) -> Segment:
    voice = Voice("anna", gain_db=gain_db)
    return Segment(
        index=index,
        role=Role.CHARACTER,
        utterance=Utterance(text, voice, "en"),
        effects=Effects(speed=speed),
        pause_s=pause_s,
        source=source or (0, len(text)),
        engine="tone",
        model="tone",
    )


def tone(seconds: float, amplitude: float = 0.5, sample_rate: int = RATE) -> NDArray[np.float32]:
    """Alternating samples: loud from the first to the last one."""
    signs = np.where(np.arange(round(seconds * sample_rate)) % 2, -1, 1)
    return (amplitude * signs).astype(np.float32)


def sine(seconds: float, sample_rate: int, amplitude: float = 0.5) -> NDArray[np.float32]:
    at = np.arange(round(seconds * sample_rate)) / sample_rate
    return (amplitude * np.sin(2 * np.pi * 440 * at)).astype(np.float32)


def hush(seconds: float, sample_rate: int = RATE) -> NDArray[np.float32]:
    """What an engine leaves where nothing is said: noise at -60 dBFS."""
    return tone(seconds, 0.001, sample_rate)


def audio(*parts: NDArray[np.float32], sample_rate: int = RATE) -> Audio:
    return Audio(np.concatenate(parts), sample_rate)


def spoken(assembly: Assembly, each: Segment, *chunks: Audio) -> Audio:
    """All that one segment gives."""
    return join([*(assembly.feed(each, chunk) for chunk in chunks), assembly.end(each)])


def loud_spans_s(sound: Audio) -> list[tuple[float, float]]:
    """From when to when there is sound, rounded to ms; gaps under 10 ms do not count."""
    (loud,) = np.nonzero(np.abs(sound.samples) > 0.01)
    runs = np.split(loud, np.flatnonzero(np.diff(loud) > 0.01 * sound.sample_rate) + 1)
    rate = sound.sample_rate
    return [(round(run[0] / rate, 3), round((run[-1] + 1) / rate, 3)) for run in runs]


def test_sound_passes_unchanged_where_there_is_nothing_to_do():
    chunk = audio(tone(0.2))
    assert np.array_equal(spoken(Assembly(), segment(), chunk).samples, chunk.samples)


def test_silence_at_the_edges_is_cut_to_what_onsets_and_endings_need():
    chunk = audio(hush(0.7), tone(0.5), hush(0.9))
    found = spoken(Assembly(), segment(), chunk)
    assert loud_spans_s(found) == [(0.03, 0.53)]
    assert found.seconds == pytest.approx(0.03 + 0.5 + 0.15)


def test_less_silence_than_is_kept_stays_as_it_is():
    chunk = audio(hush(0.02), tone(0.5), hush(0.1))
    assert np.array_equal(spoken(Assembly(), segment(), chunk).samples, chunk.samples)


def test_silence_inside_a_segment_is_kept():
    chunk = audio(tone(0.2), hush(1.5), tone(0.2))
    assert np.array_equal(spoken(Assembly(), segment(), chunk).samples, chunk.samples)


def test_silence_is_held_back_until_sound_follows_and_no_sound_is():
    assembly, each = Assembly(), segment()
    assert assembly.feed(each, audio(tone(0.2), hush(0.5))).seconds == pytest.approx(0.35)
    assert len(assembly.feed(each, audio(hush(0.5)))) == 0
    assert assembly.feed(each, audio(tone(0.2))).seconds == pytest.approx(0.35 + 0.5 + 0.2)


def test_a_pause_sounds_between_segments_and_not_after_the_last():
    assembly = Assembly()
    first = spoken(assembly, segment(0, pause_s=0.4), audio(tone(0.5)))
    second = spoken(assembly, segment(1, pause_s=0.4), audio(tone(0.5)))
    assert loud_spans_s(join([first, second, assembly.finish()])) == [(0.0, 0.5), (0.9, 1.4)]
    assert first.seconds == 0.5
    assert assembly.seconds == pytest.approx(1.4)


def test_a_segment_without_sound_is_counted_and_its_pause_is_not_added_to_that_before():
    assembly = Assembly()
    sounds = [
        spoken(assembly, segment(0, pause_s=0.2), audio(tone(0.5))),
        assembly.end(segment(1, pause_s=0.4)),
        spoken(assembly, segment(2, pause_s=0.3), audio(hush(3.0))),
        spoken(assembly, segment(3), audio(tone(0.5))),
    ]
    assert loud_spans_s(join(sounds)) == [(0.0, 0.5), (0.9, 1.4)]
    assert assembly.silent == [1, 2]
    assert len(assembly.marks) == 2


def test_no_pause_sounds_before_the_first_sound():
    assembly = Assembly()
    assert len(assembly.end(segment(0, pause_s=1.0))) == 0
    assert loud_spans_s(spoken(assembly, segment(1), audio(tone(0.5)))) == [(0.0, 0.5)]


def test_without_any_sound_the_stream_is_empty():
    assembly = Assembly()
    assert len(assembly.end(segment(0))) == len(assembly.finish()) == 0
    assert assembly.seconds == 0.0
    assert assembly.marks == []


@pytest.mark.parametrize(("asked", "given"), [(None, 22050), (48000, 48000)])
def test_all_segments_come_out_at_one_rate_the_asked_or_that_of_the_first_sound(asked, given):
    assembly = Assembly(asked)
    sounds = [
        spoken(assembly, segment(0), audio(sine(0.5, 22050), sample_rate=22050)),
        spoken(assembly, segment(1), audio(sine(0.5, 40000), sample_rate=40000)),
    ]
    assert [sound.sample_rate for sound in sounds] == [given, given]
    assert [sound.seconds for sound in sounds] == pytest.approx([0.5, 0.5], abs=1e-4)


def test_a_voice_is_heard_at_its_gain():
    louder = spoken(Assembly(), segment(gain_db=6.0), audio(tone(0.1, 0.2)))
    quieter = spoken(Assembly(), segment(gain_db=-6.0), audio(tone(0.1, 0.2)))
    assert np.abs(louder.samples).max() == pytest.approx(0.2 * 10 ** (6 / 20))
    assert np.abs(quieter.samples).max() == pytest.approx(0.2 * 10 ** (-6 / 20))


def test_what_a_gain_lifts_over_full_scale_is_bent_below_it_and_keeps_its_order():
    ramp = np.linspace(0.01, 1.0, 1000, dtype=np.float32)
    found = spoken(Assembly(), segment(gain_db=12.0), audio(ramp, -ramp)).samples
    assert found.max() < 1.0
    assert np.all(np.diff(found[:1000]) > 0)
    assert np.array_equal(found[1000:], -found[:1000])
    linear = ramp * 10 ** (12 / 20) <= 0.8
    assert np.allclose(found[:1000][linear], ramp[linear] * 10 ** (12 / 20))


def test_without_a_gain_the_engine_s_own_peaks_are_left_alone():
    chunk = audio(tone(0.1, 1.2))
    assert np.array_equal(spoken(Assembly(), segment(), chunk).samples, chunk.samples)


@pytest.mark.parametrize("seed", range(20))
def test_the_sound_is_the_same_bit_for_bit_whatever_the_chunks(seed):
    draw = np.random.default_rng(seed)
    rates = [int(draw.choice([16000, 22050, 24000, 48000])) for _ in range(3)]
    whole, cut = Assembly(24000), Assembly(24000)
    for index, rate in enumerate(rates):
        each = segment(index, pause_s=0.1 * index, gain_db=float(draw.choice([-3.0, 0.0, 9.0])))
        samples = phrase(draw, rate)
        bounds = np.sort(draw.integers(0, len(samples) + 1, draw.integers(1, 40)))
        chunks = [Audio(piece, rate) for piece in np.split(samples, bounds)]
        at_once = spoken(whole, each, Audio(samples, rate))
        assert np.array_equal(spoken(cut, each, *chunks).samples, at_once.samples)
    assert cut.marks == whole.marks
    assert cut.silent == whole.silent


def phrase(draw: np.random.Generator, rate: int) -> NDArray[np.float32]:
    """Stretches of hush and sound at random."""
    parts = [
        draw.normal(0, draw.choice([0.0, 0.0005, 0.003, 0.3]), round(length * rate))
        for length in draw.uniform(0, 0.3, 8)
    ]
    return np.concatenate(parts).astype(np.float32)


def test_marks_tell_when_each_part_of_the_text_is_heard():
    assembly = Assembly()
    spoken(assembly, segment(0, pause_s=0.25, source=(0, 7)), audio(hush(0.5), tone(0.47)))
    spoken(assembly, segment(1, source=(8, 15)), audio(tone(1.0)))
    assert assembly.marks == [
        SpokenMark(0.0, pytest.approx(0.5), (0, 7)),
        SpokenMark(pytest.approx(0.75), pytest.approx(1.75), (8, 15)),
    ]


def test_words_are_placed_after_what_trimming_speed_and_pauses_moved():
    assembly = Assembly(48000)
    spoken(assembly, segment(0, pause_s=0.5), audio(tone(1.0)))
    each = segment(1, "one two", source=(8, 15), speed=2.0)
    # At the engine's speed: 0.46 s of silence, "one" for 1 s, "two" for 1 s.
    assembly.feed(each, audio(hush(0.23)), (Mark(0.46, 0, 3),))
    assembly.feed(each, audio(tone(1.0)), (Mark(1.46, 4, 7),))
    assembly.end(each)
    one, two = assembly.words
    assert (one.source, two.source) == ((8, 11), (12, 15))
    assert (one.start_s, one.end_s) == (pytest.approx(1.53, abs=1e-3), two.start_s)
    assert (two.start_s, two.end_s) == (pytest.approx(2.03, abs=1e-3), assembly.seconds)


def test_words_of_a_text_that_was_changed_on_its_way_are_not_placed():
    assembly, each = Assembly(), segment(0, "one two", source=(0, 20))
    assembly.feed(each, audio(tone(1.0)), (Mark(0.0, 0, 3),))
    assembly.end(each)
    assert assembly.words == []
    assert assembly.marks == [SpokenMark(0.0, 1.0, (0, 20))]


def test_a_segment_still_open_at_the_finish_is_ended():
    assembly, each = Assembly(48000), segment()
    begun = assembly.feed(each, audio(tone(0.5)))
    assert join([begun, assembly.finish()]).seconds == pytest.approx(0.5)
    assert len(assembly.marks) == 1


def test_a_segment_may_not_begin_before_the_one_under_way_has_ended():
    assembly = Assembly()
    assembly.feed(segment(0), audio(tone(0.1)))
    with pytest.raises(ValueError, match="segment 0 has not ended, 1 begins"):
        assembly.feed(segment(1), audio(tone(0.1)))
