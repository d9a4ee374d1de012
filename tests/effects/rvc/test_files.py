"""The folder of voices: what is listed, found, and told apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from alltalk.effects.rvc.files import digest, index_of, list_voices, voice_path
from alltalk.errors import BadValue, UnknownRvcVoice
from alltalk.speech import Conversion


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_voices_are_listed_without_base_files_and_hidden_ones(tmp_path):
    write(tmp_path, "b/b.pth", "a.pth", "a/x/y.pth", ".base/rmvpe.pth", "a/.z.pth", "a/readme.txt")
    assert list_voices(tmp_path) == ["a.pth", "a/x/y.pth", "b/b.pth"]
    assert list_voices(tmp_path / "missing") == []


@pytest.mark.parametrize("name", ["Ana/ana.pth", "Ana\\ana.pth", "./Ana//ana.pth"])
def test_a_voice_is_found_by_either_separator(tmp_path, name):
    write(tmp_path, "Ana/ana.pth")
    assert voice_path(tmp_path, name) == tmp_path / "Ana" / "ana.pth"


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "Ana", "Ana/bob.pth", "Ana/ana.index", "Disabled", "a" * 5000 + ".pth"),
        *("../out.pth", "..\\out.pth", "Ana/../../out.pth", ".base/b.pth", "Ana/ana.pth\0.pth"),
    ],
)
def test_what_is_not_listed_is_not_found(tmp_path, name):
    home = tmp_path / "rvc_models"
    write(home, "Ana/ana.pth", "Ana/ana.index", ".base/b.pth", "../out.pth")
    with pytest.raises(UnknownRvcVoice, match=r"It has: Ana/ana\.pth\."):
        voice_path(home, name)


def test_an_absolute_name_is_not_found(tmp_path):
    write(tmp_path, "out.pth", "rvc_models/in.pth")
    with pytest.raises(UnknownRvcVoice):
        voice_path(tmp_path / "rvc_models", str(tmp_path / "out.pth"))


def test_the_only_index_of_the_folder_is_the_voices(tmp_path):
    write(tmp_path, "a/a.pth", "b/b.pth", "b/other.index", "c/c.pth", "c/1.index", "c/2.index")
    assert index_of(tmp_path / "a" / "a.pth") is None
    assert index_of(tmp_path / "b" / "b.pth") == tmp_path / "b" / "other.index"
    assert index_of(tmp_path / "c" / "c.pth") is None


def test_the_digest_tells_contents_apart(tmp_path):
    write(tmp_path, "a/a.pth", "b/a.pth")
    (tmp_path / "b" / "a.pth").write_text("a/a.pth")
    first = digest(tmp_path / "a" / "a.pth")
    assert first == digest(tmp_path / "b" / "a.pth")
    write(tmp_path, "a/a.index")
    assert digest(tmp_path / "a" / "a.pth") != first
    (tmp_path / "b" / "a.pth").write_text("something else")
    assert digest(tmp_path / "b" / "a.pth") != first


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("semitones", -24.5), ("semitones", 25), ("semitones", float("nan"))),
        *(("index_rate", 1.1), ("protect", 0.6), ("rms_mix_rate", -0.1), ("filter_radius", 8)),
        *(("pitch_low_hz", 10), ("pitch_high_hz", 3000), ("pitch_high_hz", 61), ("seed", -1)),
    ],
)
def test_a_conversion_out_of_range_is_refused_by_name(name, value):
    with pytest.raises(BadValue, match=f"^{name}: must be"):
        Conversion("a.pth", **{name: value})
