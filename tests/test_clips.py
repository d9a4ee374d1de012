from __future__ import annotations

import hashlib
import io
import stat
import sys
import threading
import wave
from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest
from hearing import hear
from recordings import packed, quiet, tone, wav

from alltalk.audio import Audio
from alltalk.clips import OneOffVoice, decode, loudness_lufs, make_reference, wav_bytes
from alltalk.errors import UnreadableClip

RATE = 24000


def decoded(content: bytes, longest_s: float = 300.0) -> Audio:
    return decode(io.BytesIO(content), "me.wav", longest_s)


def reference(*pieces: np.ndarray, most_s: float | None = None):
    return make_reference(Audio(np.concatenate(pieces), RATE), "me.wav", most_s)


def hz(audio: Audio) -> float:
    spectrum = np.abs(np.fft.rfft(audio.samples * np.hanning(len(audio))))
    return float(np.argmax(spectrum)) / audio.seconds


# Decoding

FORMATS = [
    ("wav", "pcm_u8"),
    ("wav", "pcm_s16le"),
    ("wav", "pcm_s24le"),
    ("wav", "pcm_s32le"),
    ("wav", "pcm_f32le"),
    ("wav", "pcm_f64le"),
    ("mp3", "mp3"),
    ("mp4", "aac"),
    ("ogg", "libopus"),
    ("flac", "flac"),
    ("webm", "libopus"),
    ("aiff", "pcm_s16be"),
]


@pytest.mark.parametrize(("container", "codec"), FORMATS)
def test_every_format_is_read_at_its_level_and_pitch(container, codec):
    audio = decoded(packed(tone(1.0, level=0.5, sample_rate=48000), container, codec))
    assert audio.sample_rate == 48000
    assert audio.seconds == pytest.approx(1.0, abs=0.06)
    assert hz(audio) == pytest.approx(300, abs=2)
    middle = audio.samples[len(audio) // 4 : len(audio) // 2]
    assert np.abs(middle).max() == pytest.approx(0.5, abs=0.04)


def test_the_sound_of_a_video_is_read():
    content = io.BytesIO()
    with av.open(content, "w", format="matroska") as output:
        video = output.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        audio = output.add_stream("pcm_s16le", rate=RATE, layout="mono")
        picture = av.VideoFrame(32, 32, "yuv420p")
        picture.pts = 0
        output.mux(video.encode(picture))
        output.mux(video.encode(None))
        pcm = np.rint(tone(1.0) * 32767).astype("<i2")[None]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate = RATE
        output.mux(audio.encode(frame))
    assert hz(decoded(content.getvalue())) == pytest.approx(300, abs=2)


def test_channels_are_averaged():
    both = np.stack([np.full(RATE, 16384), np.full(RATE, 0)], axis=1).astype("<i2")
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(both.tobytes())
    assert decoded(content.getvalue()).samples[100] == pytest.approx(0.25)


def test_rates_above_48_khz_come_down_to_it():
    audio = decoded(wav(tone(1.0, sample_rate=96000), 96000))
    assert (audio.sample_rate, hz(audio)) == (48000, pytest.approx(300, abs=2))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be read as sound"),
        (b"This is a letter and no recording. " * 100, "cannot be read as sound"),
        (b"RIFF\xff\xff\xff\x00WAVEfmt ", "cannot be read as sound"),
        (wav(quiet(0)), "no sound"),
        (wav(tone(1.0), 1000), "1000 samples a second"),
        (packed(tone(1.0), "mp4", "aac")[:4000], "cut off"),
        (packed(tone(2.0), "flac", "flac")[:9000], "cut off"),
        (packed(np.full(4800, np.nan, np.float32), "wav", "pcm_f32le"), "not numbers"),
    ],
    ids=["empty", "text", "header", "no samples", "rate", "m4a cut", "flac cut", "nan"],
)
def test_what_is_no_sound_is_refused_with_a_sentence(content, reason):
    with pytest.raises(UnreadableClip, match=reason) as raised:
        decoded(content)
    assert str(raised.value).startswith("'me.wav' ")
    assert "\n" not in str(raised.value)


def test_a_playlist_opens_no_other_file(tmp_path):
    (tmp_path / "secret.wav").write_bytes(wav(tone(1.0)))
    for playlist in (
        f"ffconcat version 1.0\nfile {tmp_path}/secret.wav\n",
        f"ffconcat version 1.0\nfile 'file:{tmp_path}/secret.wav'\n",
        f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\nfile://{tmp_path}/secret.wav\n",
    ):
        with pytest.raises(UnreadableClip):
            decoded(playlist.encode())


def test_a_small_file_that_unpacks_to_hours_is_given_up_at_the_limit():
    """An hour of silence is half a MB of flac; 50 MB would be days."""
    bomb = packed(quiet(3600, 8000), "flac", "flac", 8000)
    assert len(bomb) < 1_000_000
    file = io.BytesIO(bomb)
    with pytest.raises(UnreadableClip, match="longer than 60 s"):
        decode(file, "me.flac", 60.0)
    assert file.tell() < len(bomb) / 4


# Loudness


@pytest.mark.parametrize("sample_rate", [8000, 22050, 48000])
def test_loudness_of_a_full_scale_sine_is_that_of_the_standard(sample_rate):
    sine = tone(3.0, 997, 1.0, sample_rate)
    assert loudness_lufs(Audio(sine, sample_rate)) == pytest.approx(-3.01, abs=0.1)


def test_loudness_of_broken_speech_is_what_ffmpeg_measures():
    noise = np.random.default_rng(1).normal(0, 0.05, 48000 * 8)
    envelope = np.repeat(np.random.default_rng(2).choice([0, 0.1, 1, 1], 32), 48000 * 8 // 32)
    samples = (np.convolve(noise, np.ones(8) / 8, "same") * envelope).astype(np.float32)
    assert loudness_lufs(Audio(samples, 48000)) == pytest.approx(ebur128(samples), abs=0.1)


def test_silence_has_no_loudness():
    assert loudness_lufs(Audio(quiet(1), RATE)) == float("-inf")
    assert loudness_lufs(Audio(quiet(0), RATE)) == float("-inf")


def ebur128(samples: np.ndarray) -> float:
    """Integrated loudness by FFmpeg, at 48 kHz."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=48000, format="flt", layout="mono")
    meter, sink = graph.add("ebur128", "metadata=1"), graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
    frame.sample_rate, frame.pts = 48000, 0
    graph.push(frame)
    graph.push(None)
    lufs = float("nan")
    while True:
        try:
            lufs = float(graph.pull().metadata["lavfi.r128.I"])
        except av.error.EOFError:
            return lufs


# Reference audio


def test_edge_silence_goes_and_a_breath_of_it_stays():
    made = reference(quiet(2), tone(4), quiet(3))
    assert made.audio.seconds == pytest.approx(4.3, abs=0.05)


def test_pauses_inside_stay():
    made = reference(tone(2), quiet(1), tone(2))
    assert made.audio.seconds == pytest.approx(5, abs=0.05)


@pytest.mark.parametrize("level", [0.003, 0.05, 0.9])
def test_every_clip_comes_to_the_common_loudness(level):
    assert reference(tone(4, level=level)).loudness_lufs == pytest.approx(-20, abs=0.1)


def test_a_peak_is_not_clipped_for_loudness():
    clip = tone(4, level=0.01)
    clip[RATE] = 0.5
    made = reference(clip)
    assert np.abs(made.audio.samples).max() == pytest.approx(10 ** (-1 / 20), abs=1e-3)
    assert made.loudness_lufs < -25


def test_a_good_clip_has_no_warnings():
    assert reference(tone(2), quiet(0.5), tone(3)).warnings == ()


@pytest.mark.parametrize(
    ("clip", "warning"),
    [
        (tone(1), "3 to 30 s clone better"),
        (tone(40), "use 30 s or less"),
        (np.concatenate([tone(1), quiet(8), tone(1)]), "Cut the pauses out"),
        (np.clip(tone(4, level=3), -1, 1), "recorded too loud"),
        (tone(4, level=0.002), "very quiet"),
    ],
    ids=["short", "long", "pauses", "clipped", "quiet"],
)
def test_what_a_better_recording_would_not_have_is_told(clip, warning):
    (told,) = reference(clip).warnings
    assert warning in told


@pytest.mark.parametrize(
    ("clip", "reason"), [(quiet(5), "is silent"), (tone(0.2), r"has 0\.2 s of sound")]
)
def test_what_no_voice_can_be_made_of_is_refused(clip, reason):
    with pytest.raises(UnreadableClip, match=reason):
        reference(clip, quiet(1))


def test_a_loud_sine_is_not_taken_for_clipping():
    assert reference(tone(4, hz=220, level=1.0)).warnings == ()


def test_a_wav_file_has_what_was_heard():
    made = reference(tone(4)).audio
    assert hear(wav_bytes(made)).seconds == pytest.approx(made.seconds)


# One-off voices


def test_a_one_off_voice_lives_as_long_as_its_block():
    with closing(OneOffVoice(io.BytesIO(packed(tone(4), "mp3", "mp3")), "me.mp3", 300)) as one_off:
        (clip,) = one_off.voice.clips
        assert one_off.voice.digest == hashlib.sha256(clip.read_bytes()).hexdigest()
        assert hear(clip.read_bytes()).codec == "pcm_s16le"
        if sys.platform != "win32":
            assert stat.S_IMODE(clip.parent.stat().st_mode) == 0o700
    assert not clip.parent.exists()


def test_equal_clips_have_one_digest():
    digests = set()
    for _ in range(2):
        with closing(OneOffVoice(io.BytesIO(wav(tone(4))), "me.wav", 300)) as one_off:
            digests.add(one_off.voice.digest)
    assert len(digests) == 1


def test_of_a_long_clip_half_a_minute_is_used():
    with closing(OneOffVoice(io.BytesIO(wav(tone(60))), "me.wav", 300)) as one_off:
        assert hear(one_off.voice.clips[0].read_bytes()).seconds == pytest.approx(30)


def test_a_voice_that_nobody_holds_leaves_no_file():
    voice = OneOffVoice(io.BytesIO(wav(tone(4))), "me.wav", 300)
    folder: Path = voice.voice.clips[0].parent
    del voice
    assert not folder.exists()


def test_eight_clips_at_once_are_eight_voices():
    found: dict[int, float] = {}

    def use(pitch: int) -> None:
        with closing(OneOffVoice(io.BytesIO(wav(tone(2, pitch))), "me.wav", 300)) as one_off:
            found[pitch] = hear(one_off.voice.clips[0].read_bytes()).pitches[0]

    threads = [threading.Thread(target=use, args=(pitch,)) for pitch in range(200, 1000, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {pitch: pitch for pitch in range(200, 1000, 100)}
