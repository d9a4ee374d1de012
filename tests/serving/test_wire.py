"""What crosses the pipe comes out as it went in, and nothing else is taken for a message."""

import json
from pathlib import Path

import numpy as np
import pytest

from alltalk.audio import Audio
from alltalk.engine import Capabilities, Chunk, Mark, Place, Sampling, Utterance, Voice
from alltalk.errors import BadValue, QueueFull, SynthesisFailed, UnknownVoice
from alltalk.serving import wire
from alltalk.serving.loop import Job

VOICE = Voice("Zoë.wav", "en-us", (Path("/a b/Zoë.wav"), Path("c.wav")), "ab12", "Hm?\n", -1.5)
UTTERANCE = Utterance("Ünï\n\u2028 \ud800", VOICE, "en", 1.25, -2.0, Sampling(7, 0.5, 3), "Calm.")


def across_down(message: wire.Down) -> wire.Down:
    return wire.decode_down(wire.encode(message))


def across_up(message: wire.Up) -> wire.Up:
    return wire.decode_up(wire.encode(message))


def test_a_job_arrives_as_it_was_sent():
    arrived = across_down(wire.Speak(Job("j1", UTTERANCE, "anna", 1, 12.0))).job
    assert (arrived.id, arrived.flow, arrived.level, arrived.cost) == ("j1", "anna", 1, 12.0)
    assert arrived.utterance == UTTERANCE


def test_what_to_load_arrives_as_it_was_sent():
    settings = {"temperature_set": 0.75, "low_vram": False, "names": ["a"], "none": None}
    load = wire.Load("xtts", "v2", Path("/home/x"), Place("cuda:1", 4, "float16"), settings)
    assert across_down(load) == load


def test_what_an_engine_can_do_arrives_as_it_was_sent():
    can = Capabilities(
        languages=("en", "de"), speed=(0.5, 2), sampling=frozenset({"top_k", "top_p"}), slots=8
    )
    ready = wire.Ready(can, (VOICE, Voice("b")), True)
    assert across_up(ready) == ready


@pytest.mark.parametrize(
    "message", [wire.Cancel("j"), wire.Rest(), wire.Wake()], ids=lambda m: type(m).__name__
)
def test_short_messages_go_down(message):
    assert across_down(message) == message


@pytest.mark.parametrize(
    "message", [wire.Done("j"), wire.Beat(), wire.Rested()], ids=lambda m: type(m).__name__
)
def test_short_messages_go_up(message):
    assert across_up(message) == message


def test_an_error_keeps_its_class_its_sentence_and_what_it_carries():
    for error in (
        UnknownVoice("x", "tone", ["low", "high"]),
        BadValue("speed", "is not a number"),
        QueueFull("Full.", retry_after_s=7.5),
    ):
        arrived = wire.error_of(across_up(wire.failure(error, "j")))
        assert type(arrived) is type(error)
        assert str(arrived) == str(error)
        assert arrived.param == error.param
        assert vars(arrived) == vars(error)


def test_a_strange_error_becomes_one_of_ours():
    arrived = wire.error_of(across_up(wire.failure(ZeroDivisionError("by zero"))))
    assert type(arrived) is SynthesisFailed
    assert str(arrived) == "by zero"


def read_frames(frames: bytes) -> list[Chunk]:
    chunks = []
    while frames:
        line, _, frames = frames.partition(b"\n")
        head = wire.decode_up(line)
        assert isinstance(head, wire.Sound)
        chunks.append(wire.decode_chunk(head, frames[: 4 * head.samples]))
        frames = frames[4 * head.samples :]
    return chunks


def test_sound_arrives_bit_for_bit_with_its_words():
    samples = np.random.default_rng(1).standard_normal(1234).astype(np.float32)
    marks = (Mark(0.5, 0, 4), Mark(float(np.float32(0.75)), 5, 9))
    sent = Chunk(Audio(samples, 22050), marks)
    [arrived] = read_frames(b"".join(wire.encode_chunk("j", sent)))
    assert arrived.audio.samples.tobytes() == samples.tobytes()
    assert (arrived.audio.sample_rate, arrived.marks) == (22050, marks)


def test_a_word_timed_in_numpys_numbers_arrives():
    mark = Mark(np.float32(0.5), np.int64(0), np.int64(4))  # type: ignore[arg-type]
    [arrived] = read_frames(
        b"".join(wire.encode_chunk("j", Chunk(Audio(np.zeros(1, np.float32), 8000), (mark,))))
    )
    assert arrived.marks == (Mark(0.5, 0, 4),)


def test_a_long_chunk_crosses_in_pieces():
    samples = np.arange(wire.MAX_SAMPLES + 5, dtype=np.float32)
    chunk = Chunk(Audio(samples, 24000), (Mark(0.0, 0, 1),))
    first, second = read_frames(b"".join(wire.encode_chunk("j", chunk)))
    assert len(first.audio) == wire.MAX_SAMPLES
    assert np.array_equal(np.concatenate([first.audio.samples, second.audio.samples]), samples)
    assert (first.marks, second.marks) == (chunk.marks, ())


def test_a_chunk_without_samples_still_carries_its_words():
    chunk = Chunk(Audio(np.zeros(0, np.float32), 24000), (Mark(0.0, 0, 1),))
    [arrived] = read_frames(b"".join(wire.encode_chunk("j", chunk)))
    assert len(arrived.audio) == 0
    assert arrived.marks == chunk.marks


SOUND = {"op": "Sound", "id": "j", "sample_rate": 24000, "samples": 3, "marks": []}


def test_a_well_formed_line_is_a_message():
    assert wire.decode_up(json.dumps(SOUND).encode()) == wire.Sound("j", 24000, 3)


@pytest.mark.parametrize(
    "content",
    [
        {**SOUND, "samples": -1},
        {**SOUND, "samples": wire.MAX_SAMPLES + 1},
        {**SOUND, "samples": 3.0},
        {**SOUND, "samples": True},
        {**SOUND, "sample_rate": 0},
        {**SOUND, "id": None},
        {**SOUND, "marks": [{"at_s": "0", "start": 0, "end": 1}]},
        {**SOUND, "marks": {}},
        {**SOUND, "more": 1},
        {"op": "Sound"},
        {"op": "Speak"},
        {"op": "Speak", "job": {}},
        {"op": "rebuild"},
        {"op": ["Beat"]},
        {"no": "op"},
        [],
        None,
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(content):
    with pytest.raises(wire.BadFrame):
        wire.decode_up(json.dumps(content).encode())


@pytest.mark.parametrize("line", [b"", b"\n", b"Loading model...\n", b'{"op": "Beat"', b"\xff\xfe"])
def test_what_a_model_prints_is_no_message(line):
    with pytest.raises(wire.BadFrame):
        wire.decode_up(line)


def test_each_end_takes_only_the_other_ones_messages():
    with pytest.raises(wire.BadFrame):
        wire.decode_up(wire.encode(wire.Rest()))
    with pytest.raises(wire.BadFrame):
        wire.decode_down(wire.encode(wire.Beat()))


def test_a_line_over_the_limit_is_not_sent():
    with pytest.raises(ValueError, match="over"):
        wire.encode(wire.Cancel("x" * wire.MAX_LINE))
