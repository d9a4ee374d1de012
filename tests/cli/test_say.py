"""`alltalk say` into files and pipes, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hearing import hear, hear_pcm

from alltalk import espeak
from alltalk.espeak import sample_rate

TONE = ("--engine", "tone", "--voice", "high")


def is_one_sentence(err):
    return err.startswith("alltalk: ") and err.count("\n") == 1 and err.endswith(".\n")


def pauses(samples, rate, quiet=0.005, shortest_s=0.1):
    """Seconds of each silence between sounds."""
    loud = np.flatnonzero(np.abs(samples) > quiet)
    gaps = np.diff(loud) / rate
    return [float(gap) for gap in gaps if gap > shortest_s]


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        ("wav", "pcm_s16le"),
        ("mp3", "mp3"),
        ("opus", "opus"),
        ("ogg", "opus"),
        ("flac", "flac"),
        ("aac", "aac"),
        ("m4a", "aac"),
        ("WAV", "pcm_s16le"),
    ],
)
def test_the_ending_of_the_file_chooses_the_format(alltalk, hello, tmp_path, suffix, codec):
    done = alltalk("say", hello, "-o", tmp_path / f"hello.{suffix}")
    assert (done.code, done.out, done.err) == (0, b"", "")
    heard = hear((tmp_path / f"hello.{suffix}").read_bytes())
    assert heard.codec.startswith(codec) or codec in heard.codec
    assert 1.2 < heard.seconds < 3.5


def test_pcm_is_bare_samples_at_24_khz(alltalk, hello, tmp_path):
    assert alltalk("say", hello, "-o", tmp_path / "hello.pcm").code == 0
    assert 1.2 < hear_pcm((tmp_path / "hello.pcm").read_bytes()).seconds < 3.5


def test_a_file_without_ending_is_wav_or_the_format_named(alltalk, hello, tmp_path):
    assert alltalk("say", hello, "-o", tmp_path / "plain").code == 0
    assert hear((tmp_path / "plain").read_bytes()).codec == "pcm_s16le"
    assert alltalk("say", hello, "-o", tmp_path / "plain", "--format", "flac").code == 0
    assert hear((tmp_path / "plain").read_bytes()).codec == "flac"


def test_a_wav_file_tells_its_true_length(alltalk, hello, tmp_path):
    alltalk("say", hello, "-o", tmp_path / "hello.wav")
    content = (tmp_path / "hello.wav").read_bytes()
    assert int.from_bytes(content[4:8], "little") == len(content) - 8
    assert int.from_bytes(content[40:44], "little") == len(content) - 44


def test_a_sentence_is_as_long_as_espeak_itself_says_it(alltalk, tmp_path):
    text, pieces = "The quick brown fox jumps over the lazy dog.", []
    alltalk("say", text, "-v", "English (America)", "-o", tmp_path / "fox.wav")
    espeak.speak(text, "gmw/en-US", pieces.append)
    itself = np.frombuffer(b"".join(pieces), "<i2").astype(np.float32) / 32768
    loud = np.flatnonzero(np.abs(itself) > 0.005)
    voiced_s = (loud[-1] - loud[0]) / sample_rate()
    heard = hear((tmp_path / "fox.wav").read_bytes())
    ours = np.flatnonzero(np.abs(heard.samples) > 0.005)
    assert heard.sample_rate == sample_rate()
    assert (ours[-1] - ours[0]) / heard.sample_rate == pytest.approx(voiced_s, rel=0.02)
    assert heard.seconds == pytest.approx(voiced_s, abs=0.3)


def test_sentences_are_parted_by_a_pause_and_words_are_not(alltalk, tmp_path):
    text = "We are all away. You may lie in a yellow room. Now we row."
    alltalk("say", text, "-v", "English (America)", "-o", tmp_path / "three.wav")
    heard = hear((tmp_path / "three.wav").read_bytes())
    found = pauses(heard.samples, heard.sample_rate)
    assert len(found) == 2
    assert all(0.1 < pause < 1.0 for pause in found)


def test_speed_divides_the_duration_and_pitch_moves_the_voice(alltalk, tmp_path):
    for name, options in {"usual": (), "fast": ("--speed", 2), "up": ("--pitch", 12)}.items():
        alltalk("say", "one two three", *TONE, *options, "-o", tmp_path / f"{name}.wav")
    usual, fast, up = (
        hear((tmp_path / f"{name}.wav").read_bytes()) for name in ("usual", "fast", "up")
    )
    assert fast.seconds == pytest.approx(usual.seconds / 2, rel=0.1)
    assert usual.pitches == [880, 880, 880]
    assert up.pitches == [1760, 1760, 1760]


def test_the_language_changes_what_is_said(alltalk, tmp_path):
    for language in ("en", "de"):
        code = alltalk("say", "Jungle", "-l", language, "-o", tmp_path / f"{language}.wav").code
        assert code == 0
    assert (tmp_path / "en.wav").read_bytes() != (tmp_path / "de.wav").read_bytes()


@pytest.mark.parametrize(
    ("options", "pitches"),
    [
        (("--narrator", "low"), [220, 880, 880]),
        (("--narrator", "low", "--outside", "narrator"), [220, 880, 220]),
        (("--narrator", "low", "--outside", "silent"), [220, 880]),
        (("--narrator", "silent"), [880, 880]),
    ],
)
def test_the_narrator_says_what_stands_between_asterisks(alltalk, tmp_path, options, pitches):
    done = alltalk("say", '*nods* "yes" then', *TONE, *options, "-o", tmp_path / "scene.wav")
    assert done.code == 0
    assert hear((tmp_path / "scene.wav").read_bytes()).pitches == pitches


def test_the_filter_is_chosen(alltalk, tmp_path):
    beeps = {}
    for name in ("none", "html"):
        alltalk("say", "one&#32;two", *TONE, "--filter", name, "-o", tmp_path / "out.wav")
        beeps[name] = len(hear((tmp_path / "out.wav").read_bytes()).beeps)
    assert beeps == {"none": 1, "html": 2}


def test_a_dash_reads_the_text_from_standard_input(alltalk, tmp_path):
    done = alltalk("say", "-", *TONE, "-o", tmp_path / "a.wav", stdin=b"eins zwei drei")
    assert done.code == 0
    assert len(hear((tmp_path / "a.wav").read_bytes()).beeps) == 3


def test_a_byte_order_mark_is_not_spoken(alltalk, tmp_path):
    alltalk("say", "-", *TONE, "-o", tmp_path / "a.wav", stdin=b"\xef\xbb\xbfone two")
    assert len(hear((tmp_path / "a.wav").read_bytes()).beeps) == 2


def test_an_old_file_is_replaced(alltalk, tmp_path):
    (tmp_path / "a.wav").write_text("old")
    assert alltalk("say", "one two", *TONE, "-o", tmp_path / "a.wav").code == 0
    assert len(hear((tmp_path / "a.wav").read_bytes()).beeps) == 2


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--voice", "nobody"), "'nobody'"),
        (("--narrator", "nobody"), "'nobody'"),
        (("--engine", "nope"), "'nope'"),
        (("--language", "qqq"), "'qqq'"),
        (("--format", "xyz"), "'xyz'"),
        (("--speed", "99"), "speed"),
        (("--speed", "nan"), "speed"),
        (("--pitch", "-99"), "pitch"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(alltalk, hello, tmp_path, arguments, named):
    done = alltalk("say", hello, "-o", tmp_path / "a.wav", *arguments)
    assert (done.code, done.out) == (2, b"")
    assert is_one_sentence(done.err)
    assert named in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [("--speed", "fast"), ("--outside", "x"), ("--filter", "x"), ("--nope",), ("two",)]
)
def test_a_wrong_command_line_is_refused(alltalk, hello, tmp_path, arguments):
    done = alltalk("say", hello, "-o", tmp_path / "a.wav", *arguments)
    assert (done.code, done.out) == (2, b"")
    assert arguments[0] in done.err
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", " ", "\n\t", "🙂", "...", "\u200b"])
def test_text_with_nothing_to_say_is_refused(alltalk, tmp_path, text):
    for done in (
        alltalk("say", text, "-o", tmp_path / "a.wav"),
        alltalk("say", "-", "-o", tmp_path / "a.wav", stdin=text.encode()),
    ):
        assert done.code == 2
        assert done.err.startswith("alltalk: ")
        assert list(tmp_path.iterdir()) == []


def test_input_that_is_no_text_is_refused(alltalk, tmp_path):
    done = alltalk("say", "-", "-o", tmp_path / "a.wav", stdin=b"\xff\xfe\x00RIFF")
    assert done.code == 2
    assert is_one_sentence(done.err)
    assert "UTF-8" in done.err


def test_an_ending_that_is_no_format_is_refused(alltalk, hello, tmp_path):
    done = alltalk("say", hello, "-o", tmp_path / "a.docx")
    assert done.code == 2
    assert is_one_sentence(done.err)
    assert "'docx'" in done.err
    assert "mp3" in done.err


def test_a_folder_is_no_file_to_write(alltalk, hello, tmp_path):
    done = alltalk("say", hello, "-o", tmp_path)
    assert done.code == 2
    assert is_one_sentence(done.err)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_fails_before_anything_is_spoken(alltalk, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    done = alltalk("say", "word " * 200_000, "-o", tmp_path / "file" / "a.wav")
    assert done.code == 1
    assert is_one_sentence(done.err)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_home_that_cannot_be_made_is_told(alltalk, hello, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    done = alltalk("say", hello, "-o", tmp_path / "a.wav", home=tmp_path / "file" / "home")
    assert done.code == 1
    assert "Could not make the folder" in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "a.wav").exists()


def test_settings_that_do_not_hold_are_told(alltalk, hello, tmp_path):
    (tmp_path / "confignew.json").write_text('{"api_def": {"api_port_number": "many"}}')
    done = alltalk("say", hello, "-o", tmp_path / "a.wav", home=tmp_path)
    assert done.code == 1
    assert "api_port_number" in done.err
    assert "Traceback" not in done.err
