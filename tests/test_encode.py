"""Encoders: every format decodes to what was said, and a stream begins at once."""

from __future__ import annotations

import io
import math
import re
import struct
import subprocess
import sys
from collections.abc import Iterable

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from own_threads import alone

from alltalk.audio import Audio, to_pcm16
from alltalk.encode import open_encoder, wav_header
from alltalk.errors import EncodeFailed
from alltalk.speech import FORMATS, AudioFormat

COMPRESSED = ["mp3", "opus", "ogg", "aac", "m4a", "flac"]
CONTAINED = ["wav", *COMPRESSED]
MAGIC = {
    "wav": rb"RIFF....WAVEfmt ",
    "mp3": rb"\xff[\xf2\xf3\xfa\xfb]",
    "opus": rb"OggS.{24}OpusHead",
    "ogg": rb"OggS.{24}OpusHead",
    "aac": rb"\xff[\xf0\xf1]",
    "m4a": rb"....ftypM4A ",
    "flac": rb"fLaC",
}
LONGER_S = {"mp3": 0.1, "aac": 0.1, "m4a": 0.05}
"""How much longer than what was fed a stream may decode; the others are exact."""
LONGER_WHOLE_S = {"aac": 0.1, "m4a": 0.05}


def sine(hz: float, seconds: float, sample_rate: int = 24000, amplitude: float = 0.5) -> Audio:
    at = np.arange(round(seconds * sample_rate)) / sample_rate
    return Audio((amplitude * np.sin(2 * np.pi * hz * at)).astype(np.float32), sample_rate)


def cut(audio: Audio, seconds: float) -> list[Audio]:
    step = round(seconds * audio.sample_rate)
    starts = range(0, len(audio), step)
    return [Audio(audio.samples[at : at + step], audio.sample_rate) for at in starts]


def encode(name: str, chunks: Iterable[Audio], *, whole: bool = False) -> bytes:
    encoder = open_encoder(AudioFormat.named(name), whole=whole)
    return b"".join([*(encoder.feed(chunk) for chunk in chunks), encoder.finish()])


def decode(encoded: bytes) -> Audio:
    with av.open(io.BytesIO(encoded)) as container:
        rate = container.streams.audio[0].rate
        to_float = av.AudioResampler("flt", "mono", rate)
        frames = [each for frame in container.decode(audio=0) for each in to_float.resample(frame)]
    return Audio(np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]), rate)


def pitch_hz(audio: Audio) -> float:
    """The strongest frequency of the middle half."""
    middle = audio.samples[len(audio) // 4 : -len(audio) // 4]
    points = 8 * audio.sample_rate
    return float(np.argmax(np.abs(np.fft.rfft(middle * np.hanning(len(middle)), points)))) / 8


def pcm_of(encoded: bytes) -> NDArray[np.int16]:
    return np.frombuffer(encoded, "<i2")


@pytest.mark.parametrize("whole", [False, True], ids=["streamed", "whole"])
@pytest.mark.parametrize("hz", [220, 440])
@pytest.mark.parametrize("name", CONTAINED)
def test_what_was_said_is_heard_at_its_length(name, hz, whole):
    encoded = encode(name, cut(sine(hz, 2.0), 0.15), whole=whole)
    decoded = decode(encoded)
    longer = (LONGER_WHOLE_S if whole else LONGER_S).get(name, 0.0)
    assert 2.0 - 1e-3 <= decoded.seconds <= 2.0 + longer + 1e-3
    assert decoded.sample_rate == (48000 if name in ("opus", "ogg") else 24000)
    assert pitch_hz(decoded) == pytest.approx(hz, abs=0.5)
    middle = decoded.samples[len(decoded) // 4 : -len(decoded) // 4]
    lame = 0.95 if name == "mp3" else 1.0  # it always leaves that much headroom
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(lame * 0.5 / math.sqrt(2), rel=0.02)


@pytest.mark.parametrize("whole", [False, True], ids=["streamed", "whole"])
@pytest.mark.parametrize("name", CONTAINED)
def test_the_first_bytes_name_the_format(name, whole):
    assert re.match(MAGIC[name], encode(name, [sine(440, 0.3)], whole=whole), re.DOTALL)


@pytest.mark.parametrize("name", FORMATS)
def test_a_stream_begins_within_the_first_fifth_of_a_second_of_sound(name):
    encoder = open_encoder(AudioFormat.named(name))
    begun = b"".join(encoder.feed(chunk) for chunk in cut(sine(440, 0.2), 0.05))
    assert len(begun) > 100


@pytest.mark.parametrize("name", FORMATS)
def test_a_stream_keeps_flowing(name):
    encoder = open_encoder(AudioFormat.named(name))
    sizes = [len(encoder.feed(chunk)) for chunk in cut(sine(440, 2.0), 0.25)]
    assert all(size > 0 for size in sizes)


@pytest.mark.parametrize("name", ["wav", "mp3", "opus", "aac", "m4a", "flac"])
def test_what_has_left_of_a_stream_can_be_heard_before_its_end(name):
    encoder = open_encoder(AudioFormat.named(name))
    heard = decode(b"".join(encoder.feed(chunk) for chunk in cut(sine(440, 1.0), 0.1)))
    assert heard.seconds > 0.75
    assert pitch_hz(heard) == pytest.approx(440, abs=1)


@pytest.mark.parametrize("whole", [False, True], ids=["streamed", "whole"])
@pytest.mark.parametrize("name", FORMATS)
def test_without_sound_there_are_no_bytes(name, whole):
    assert encode(name, [], whole=whole) == b""
    assert encode(name, [sine(440, 0.0), sine(440, 0.0, 48000)], whole=whole) == b""


@pytest.mark.parametrize("whole", [False, True], ids=["streamed", "whole"])
@pytest.mark.parametrize("name", CONTAINED)
def test_a_sound_shorter_than_any_frame_is_heard(name, whole):
    decoded = decode(encode(name, [sine(440, 0.01)], whole=whole))
    assert 0.0099 <= decoded.seconds <= 0.1
    assert np.abs(decoded.samples).max() > 0.3


@pytest.mark.parametrize("name", FORMATS)
def test_a_whole_file_comes_from_finish(name):
    encoder = open_encoder(AudioFormat.named(name), whole=True)
    assert [encoder.feed(chunk) for chunk in cut(sine(440, 1.0), 0.25)] == [b""] * 4
    assert len(encoder.finish()) > 2000


@pytest.mark.parametrize("name", CONTAINED)
def test_the_header_of_a_whole_file_knows_its_length(name):
    with av.open(io.BytesIO(encode(name, cut(sine(440, 3.0), 0.5), whole=True))) as container:
        longer = {"opus": 0.01, "ogg": 0.01, "aac": 0.15}.get(name, 0.0)
        # opus counts the samples that a player skips; adts has no header, so players estimate.
        assert 3.0 <= container.duration / 1e6 <= 3.0 + longer


def test_the_index_of_a_whole_m4a_lies_before_its_sound():
    encoded = encode("m4a", cut(sine(440, 3.0), 0.5), whole=True)
    assert 0 < encoded.find(b"moov") < encoded.find(b"mdat")


@pytest.mark.parametrize(("name", "whole"), [("m4a", False), ("m4a", True), ("mp3", True)])
def test_the_delay_of_the_encoder_is_skipped_where_the_format_can_say_so(name, whole):
    decoded = decode(encode(name, [sine(440, 1.0)], whole=whole))
    assert np.argmax(np.abs(decoded.samples) > 0.1) < 0.005 * 24000


@pytest.mark.parametrize("name", CONTAINED)
def test_the_same_sound_is_heard_whatever_the_chunks(name):
    audio = sine(330, 0.7)
    at_once = decode(encode(name, [audio]))
    in_pieces = decode(encode(name, cut(audio, 0.013)))
    assert np.array_equal(in_pieces.samples, at_once.samples)


@pytest.mark.parametrize("sample_rate", [8000, 11025, 16000, 22050, 40000, 44100, 48000])
@pytest.mark.parametrize("name", CONTAINED)
def test_every_rate_an_engine_speaks_at_can_be_encoded(name, sample_rate):
    decoded = decode(encode(name, cut(sine(440, 1.0, sample_rate), 0.2)))
    assert decoded.seconds == pytest.approx(1.0, abs=0.21 if sample_rate < 16000 else 0.1)
    assert decoded.sample_rate >= sample_rate
    assert pitch_hz(decoded) == pytest.approx(440, abs=1)


def test_flac_wav_and_pcm_hold_the_same_samples():
    audio = sine(440, 0.5, amplitude=1.3)
    samples = to_pcm16(audio)
    assert np.array_equal(pcm_of(encode("pcm", cut(audio, 0.1))), samples)
    assert np.array_equal(pcm_of(encode("wav", cut(audio, 0.1))[44:]), samples)
    flac = decode(encode("flac", cut(audio, 0.1)))
    assert np.array_equal(np.rint(flac.samples * 32768).astype(np.int16), samples)


@pytest.mark.parametrize("name", COMPRESSED)
def test_too_loud_sound_is_clipped_and_never_wraps(name):
    decoded = decode(encode(name, [sine(440, 1.0, amplitude=2.0)]))
    middle = decoded.samples[len(decoded) // 4 : -len(decoded) // 4]
    # A sine of 2 cut at 1 has 0.88; one that wraps around at 1 has 0.5.
    assert 0.8 < np.sqrt(np.mean(middle**2)) < 0.95
    assert pitch_hz(decoded) == pytest.approx(440, abs=1)


def test_the_wav_header_of_a_file_has_true_sizes():
    encoded = encode("wav", cut(sine(440, 0.5), 0.1), whole=True)
    assert len(encoded) == 44 + 24000
    assert struct.unpack("<I", encoded[4:8]) == (len(encoded) - 8,)
    assert struct.unpack("<HHIIHH", encoded[20:36]) == (1, 1, 24000, 48000, 2, 16)
    assert struct.unpack("<I", encoded[40:44]) == (24000,)


def test_the_wav_header_of_a_stream_has_open_sizes():
    header = encode("wav", [sine(440, 0.5)])[:44]
    assert header == wav_header(24000, None)
    assert struct.unpack("<I", header[4:8]) == struct.unpack("<I", header[40:44]) == (0xFFFFFFFF,)


def test_more_than_a_wav_can_count_has_open_sizes():
    most = (0xFFFFFFFF - 36) // 2 - 1
    assert struct.unpack("<I", wav_header(48000, most)[40:44]) == (2 * most,)
    assert wav_header(48000, 2**31) == wav_header(48000, None)


def test_a_change_of_sample_rate_inside_a_stream_is_refused():
    encoder = open_encoder(FORMATS["wav"])
    encoder.feed(sine(440, 0.1, 24000))
    with pytest.raises(ValueError, match="48000 Hz in a stream of 24000"):
        encoder.feed(sine(440, 0.1, 48000))


def test_what_ffmpeg_refuses_is_an_error_of_ours():
    encoder = open_encoder(FORMATS["flac"])
    with pytest.raises(EncodeFailed, match="could not be encoded by flac"):
        encoder.feed(sine(440, 0.1, 1_310_700))  # twice what the format can say


def test_an_encoder_left_in_the_middle_needs_no_goodbye(capfd):
    encoder = open_encoder(FORMATS["m4a"], whole=True)
    encoder.feed(sine(440, 0.5))
    del encoder
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
@pytest.mark.parametrize("end", ["close", "finish"])
@pytest.mark.parametrize("name", COMPRESSED)
def test_an_encoder_at_its_end_holds_no_thread_even_while_it_is_referred_to(name, end):
    program = f"""
from alltalk import audio, encode, speech
from own_threads import threads, wait_until_threads_are
encode.warm()
before = threads()
encoder = encode.open_encoder(speech.FORMATS[{name!r}])
encoder.feed(audio.silence(0.5, 24000))
encoder.{end}()
wait_until_threads_are(before)
"""
    alone(program)


def test_a_server_that_sends_wav_never_loads_ffmpeg():
    used = "import sys; from alltalk import audio, effects, encode, speech; "
    used += "encoder = encode.open_encoder(speech.FORMATS['wav']); "
    used += "encoder.feed(audio.silence(0.1, 24000)); effects.open_effects(speech.Effects(), 24000)"
    subprocess.run([sys.executable, "-c", used + "; sys.exit('av' in sys.modules)"], check=True)
