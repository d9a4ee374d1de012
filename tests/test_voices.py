from __future__ import annotations

import hashlib
import os
import unicodedata
from pathlib import Path

import pytest

from alltalk.engine import Capabilities, Voice
from alltalk.errors import UnknownVoice
from alltalk.home import Home
from alltalk.speech import Offer, Role
from alltalk.voices import VoiceLibrary, resolve_voice, voices_of


@pytest.fixture
def voices(tmp_path: Path) -> Path:
    """The voices folder of a home."""
    Home(tmp_path).create()
    return Home(tmp_path).voices


@pytest.fixture
def library(voices: Path) -> VoiceLibrary:
    return VoiceLibrary(Home(voices.parent))


def write(path: Path, content: bytes = b"sound") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# The library


def test_voices_are_clips_then_latents_then_sets_each_sorted(voices, library):
    for name in ("b.wav", "a.wav", "Morgan Freeman (CC3).wav", "c.mp3", "d.FLAC", "e.m4a"):
        write(voices / name)
    write(voices / "xtts_latents" / "z.json")
    write(voices / "xtts_latents" / "y.json")
    write(voices / "xtts_multi_voice_sets" / "duo" / "1.wav")
    write(voices / "xtts_multi_voice_sets" / "duo" / "2.wav")
    assert list(library.scan()) == [
        "Morgan Freeman (CC3).wav",
        "a.wav",
        "b.wav",
        "c.mp3",
        "d.FLAC",
        "e.m4a",
        "latent:y.json",
        "latent:z.json",
        "voiceset:duo",
    ]
    assert [clip.name for clip in library.scan()["voiceset:duo"].clips] == ["1.wav", "2.wav"]


def test_other_files_hidden_files_folders_and_empty_sets_are_no_voices(voices, library):
    write(voices / "README.md")
    write(voices / "._a.wav")
    write(voices / "folder.wav" / "inner.wav")
    write(voices / "xtts_multi_voice_sets" / "empty" / "note.txt")
    assert dict(library.scan()) == {}


def test_a_home_without_voices_has_none(tmp_path):
    assert dict(VoiceLibrary(Home(tmp_path / "nowhere")).scan()) == {}


def test_a_transcript_beside_a_clip_is_read(voices, library):
    write(voices / "a.wav")
    write(voices / "a.reference.txt", "\ufeffGrüß\n Gott. ".encode())
    assert library.scan()["a.wav"].transcript == "Grüß Gott."


def test_a_digest_is_that_of_the_content(voices, library):
    write(voices / "a.wav", b"one")
    write(voices / "b.wav", b"one")
    write(voices / "c.wav", b"two")
    found = library.scan()
    assert found["a.wav"].digest == hashlib.sha256(b"one").hexdigest() == found["b.wav"].digest
    assert found["c.wav"].digest != found["a.wav"].digest


def test_a_set_changes_its_digest_with_any_of_its_clips(voices, library):
    write(voices / "xtts_multi_voice_sets" / "duo" / "1.wav", b"one")
    write(voices / "xtts_multi_voice_sets" / "duo" / "2.wav", b"two")
    before = library.scan()["voiceset:duo"].digest
    write(voices / "xtts_multi_voice_sets" / "duo" / "2.wav", b"other")
    assert library.scan()["voiceset:duo"].digest != before


def test_the_same_library_is_handed_out_until_something_changes(voices, library):
    write(voices / "a.wav", b"one")
    first = library.scan()
    assert library.scan() is first
    write(voices / "b.wav")
    assert list(library.scan()) == ["a.wav", "b.wav"]
    (voices / "a.wav").unlink()
    assert list(library.scan()) == ["b.wav"]


def test_a_clip_written_over_in_place_is_noticed(voices, library):
    clip = write(voices / "a.wav", b"one")
    before = library.scan()["a.wav"].digest
    write(clip, b"two")
    os.utime(clip, ns=(1, 1))
    assert library.scan()["a.wav"].digest != before


def test_links_out_of_the_folder_are_not_followed(tmp_path, voices, library):
    secret = write(tmp_path / "elsewhere" / "secret.wav")
    write(voices / "real.wav")
    try:
        (voices / "out.wav").symlink_to(secret)
        (voices / "xtts_latents").symlink_to(secret.parent, target_is_directory=True)
        (voices / "in.wav").symlink_to(voices / "real.wav")
    except OSError:
        pytest.skip("this system makes no links")
    assert list(library.scan()) == ["in.wav", "real.wav"]


def test_a_name_with_accents_is_one_name_however_it_is_stored(voices, library):
    write(voices / unicodedata.normalize("NFD", "Zoë 中.wav"))
    (name,) = library.scan()
    assert name == unicodedata.normalize("NFC", "Zoë 中.wav")
    assert library.scan()[name].clips[0].read_bytes() == b"sound"


# Whom a name means


def offer(*voices: str, cloning: bool = False, free: bool = False, **more) -> Offer:
    can = Capabilities(cloning=cloning, free_voices=free, variants=("Annie", "f2"))
    return Offer("tone", "tone", "1", can, tuple(Voice(name) for name in voices), **more)


CLIPS = {name: Voice(name) for name in ("female_01.wav", "Zoë.wav", "voiceset:duo")}


def meant(name: str, by: Offer, **more) -> str:
    return resolve_voice(name, by, CLIPS, **more).name


@pytest.mark.parametrize(
    ("name", "voice"),
    [
        ("low", "low"),
        ("LOW", "low"),
        (" low ", "low"),
        ("low.wav", "low"),
        ("en/x.onnx", "en/x.onnx"),
        ("en\\x.onnx", "en/x.onnx"),
        ("en/x", "en/x.onnx"),
        ("en/x.onnx.wav", "en/x.onnx"),
    ],
)
def test_a_name_is_understood_in_the_ways_clients_spell_it(name, voice):
    assert meant(name, offer("high", "low", "en/x.onnx")) == voice


@pytest.mark.parametrize(
    "name", ["female_01.wav", "female_01", "female_01.wav.wav", "FEMALE_01.WAV", "female_01.mp3"]
)
def test_clips_are_voices_of_engines_that_clone(name):
    assert meant(name, offer(cloning=True)) == "female_01.wav"
    with pytest.raises(UnknownVoice):
        meant(name, offer("low"))


def test_an_exact_name_beats_a_similar_one():
    by = offer("low", "Low", "low.wav")
    assert [meant(name, by) for name in ("Low", "low.wav", "low")] == ["Low", "low.wav", "low"]


def test_accents_are_one_letter_or_two():
    assert meant(unicodedata.normalize("NFD", "zoë"), offer(cloning=True)) == "Zoë.wav"


def test_a_shipped_name_means_its_stand_in():
    by = offer("high", "low+x", shipped_voices={"female_02.wav": "high", "male_01.wav": "low+x"})
    assert meant("female_02.wav", by) == "high"
    assert meant("Female_02.wav.wav", by) == "high"
    assert meant("male_01", by) == "low+x"


def test_a_real_file_beats_the_shipped_name():
    assert meant(
        "female_01.wav", offer("high", cloning=True, shipped_voices={"female_01.wav": "high"})
    ) == ("female_01.wav")


def test_a_variant_follows_a_plus():
    by = offer("en-us", shipped_voices={"female_01.wav": "en-us+f2"})
    assert meant("EN-US+annie", by) == "en-us+Annie"
    assert meant("female_01.wav", by) == "en-us+f2"
    for wrong in ("en-us+nobody", "nobody+Annie", "+Annie", "en-us+Annie+Annie"):
        with pytest.raises(UnknownVoice):
            meant(wrong, by)


def test_no_name_means_the_default_of_the_role():
    settings = {"def_character_voice": "low", "def_narrator_voice": "high"}
    by = offer("mid", "high", "low", settings=settings)
    for name in ("", "  ", "Please set a voice", "Please Refresh Settings"):
        assert meant(name, by) == "low"
        assert meant(name, by, role=Role.NARRATOR) == "high"
    assert meant("", offer("mid", "low")) == "mid"


def test_a_default_that_is_gone_is_an_error_and_not_another_voice():
    with pytest.raises(UnknownVoice, match="gone"):
        meant("", offer("mid", settings={"def_character_voice": "gone"}))


def test_openais_names_mean_what_the_engine_maps_them_to():
    by = offer(
        "alloy", "low", "high", openai_voices={"alloy": "low", "nova": "high", "ash": "high"}
    )
    assert meant("alloy", by, openai=True) == "low"
    assert meant("Alloy", by, openai=True) == "low"
    assert meant("coral", by, openai=True) == "high", "a later voice is the nearest of the six"
    assert meant("high", by, openai=True) == "high", "native names are voices too"
    assert meant("alloy", by) == "alloy", "only where OpenAI's names are asked for"


@pytest.mark.parametrize(
    "name",
    [
        "alloy",
        "ash",
        "ballad",
        "cedar",
        "coral",
        "echo",
        "fable",
        "marin",
        "nova",
        "onyx",
        "sage",
        "shimmer",
        "verse",
    ],
)
def test_each_openai_voice_is_some_voice_of_an_engine_without_a_map(name):
    assert meant(name, offer("mid"), openai=True) == "mid"


def test_engines_whose_voices_are_described_take_any_text():
    assert meant("A calm, low voice.", offer("low", free=True)) == "A calm, low voice."
    assert meant("LOW", offer("low", free=True)) == "low"


@pytest.mark.parametrize(
    "name", ["../secret.wav", "..\\secret", "a/../../b", "/etc/passwd", "nobody"]
)
def test_what_nobody_is_called_is_unknown_and_the_error_tells_who_there_is(name):
    with pytest.raises(UnknownVoice, match=r"female_01\.wav.*low"):
        meant(name, offer("low", cloning=True))
    if ".." in name:
        with pytest.raises(UnknownVoice):
            meant(name, offer("low", free=True))


def test_clips_are_listed_before_the_models_own_voices():
    assert [voice.name for voice in voices_of(offer("low", cloning=True), CLIPS)] == [
        *CLIPS,
        "low",
    ]
    assert [voice.name for voice in voices_of(offer("low"), CLIPS)] == ["low"]
