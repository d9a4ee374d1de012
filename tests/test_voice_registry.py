from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import unicodedata
from pathlib import Path

import pytest
from hearing import hear
from recordings import packed, quiet, tone, wav

from alltalk.errors import (
    BadValue,
    DiskFull,
    NameTaken,
    NotFound,
    StorageError,
    UnreadableClip,
    UnsafeName,
)
from alltalk.home import Home
from alltalk.voices import Added, NewVoice, VoiceLibrary, VoiceRegistry

CLIP = wav(tone(4))
OTHER = wav(tone(4, 500))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    Home(tmp_path).create()
    return Home(tmp_path)


@pytest.fixture
def library(home: Home) -> VoiceLibrary:
    return VoiceLibrary(home)


@pytest.fixture
def registry(home: Home, library: VoiceLibrary) -> VoiceRegistry:
    return VoiceRegistry(home, library)


def add(registry: VoiceRegistry, name: str, *clips: bytes, **more) -> Added:
    sent = [(f"take {number}.m4a", io.BytesIO(clip)) for number, clip in enumerate(clips)]
    return registry.add(NewVoice(name, sent, **more), 300.0)


def stored(home: Home) -> list[str]:
    """Every file below voices/ that is not hidden."""
    files = (path for path in home.voices.rglob("*") if path.is_file())
    names = (path.relative_to(home.voices).as_posix() for path in files)
    return sorted(name for name in names if not name.startswith("."))


# Adding


def test_a_clip_of_any_format_is_stored_as_a_wav_that_every_engine_reads(home, registry):
    clip = packed(tone(4, sample_rate=48000), "mp4", "aac")
    added = add(registry, "Zoë 中", clip, language="de", transcript=" Guten Tag. ")
    assert (added.voice.name, added.voice.language) == ("Zoë 中.wav", "de")
    assert added.voice.transcript == "Guten Tag."
    assert added.warnings == ()
    assert stored(home) == ["Zoë 中.json", "Zoë 中.reference.txt", "Zoë 中.wav"]
    heard = hear((home.voices / "Zoë 中.wav").read_bytes())
    assert (heard.codec, heard.pitches) == ("pcm_s16le", [300])


def test_the_sidecar_says_where_a_voice_is_from(home, registry):
    add(registry, "me", CLIP, language="en")
    sidecar = json.loads((home.voices / "me.json").read_text(encoding="utf-8"))
    assert sidecar["source"] == ["take 0.m4a"]
    assert sidecar["language"] == "en"
    assert sidecar["made_at"].endswith("+00:00")


def test_several_clips_are_a_set_of_one_speaker(home, registry):
    added = add(registry, "duo", CLIP, wav(tone(1)), language="en", transcript="One.")
    assert added.voice.name == "voiceset:duo"
    assert [clip.name for clip in added.voice.clips] == ["01.wav", "02.wav"]
    assert (added.voice.language, added.voice.transcript) == ("en", "One.")
    (warning,) = added.warnings
    assert warning.startswith("take 1.m4a: ")


def test_the_digest_is_that_of_the_content_and_renaming_keeps_it(home, registry):
    voice = add(registry, "a", CLIP).voice
    content = (home.voices / "a.wav").read_bytes()
    assert voice.digest == hashlib.sha256(content).hexdigest()
    assert registry.change("a.wav", to="b").digest == voice.digest


@pytest.mark.parametrize(
    "name", ["me", "me.wav", "ME", "me.mp3", unicodedata.normalize("NFD", "mé")]
)
def test_a_name_that_is_taken_is_kept_by_who_has_it(home, registry, name):
    add(registry, "me", CLIP)
    add(registry, "mé", CLIP)
    before = (home.voices / "me.wav").read_bytes()
    with pytest.raises(NameTaken, match="already"):
        add(registry, name, OTHER)
    assert (home.voices / "me.wav").read_bytes() == before


def test_overwriting_replaces_all_of_a_voice(home, registry):
    first = add(registry, "me", CLIP, language="de", transcript="Hallo.").voice
    second = add(registry, "me", OTHER, overwrite=True).voice
    assert second.digest != first.digest
    assert (second.language, second.transcript) == ("", "")
    add(registry, "duo", CLIP, CLIP, CLIP)
    add(registry, "duo", OTHER, OTHER, overwrite=True)
    assert stored(home) == [
        "me.json",
        "me.wav",
        "xtts_multi_voice_sets/duo/01.json",
        "xtts_multi_voice_sets/duo/01.wav",
        "xtts_multi_voice_sets/duo/02.wav",
    ]


@pytest.mark.parametrize(
    "name",
    ["", " ", ".wav", "..", ".hidden", "../up", "a/b", "a\\b", "C:x", "nul", "a\0b", "x" * 300],
)
def test_a_name_that_is_no_file_name_is_refused(home, registry, name):
    with pytest.raises((UnsafeName, BadValue)):
        add(registry, name, CLIP)
    assert stored(home) == []


@pytest.mark.parametrize("clips", [(), (b"no sound",), (CLIP, wav(quiet(4)))])
def test_of_an_upload_with_a_clip_that_cannot_be_used_nothing_is_stored(home, registry, clips):
    with pytest.raises((BadValue, UnreadableClip)):
        add(registry, "me", *clips)
    assert os.listdir(home.voices) == []


def test_many_clips_may_not_be_longer_together_than_one(registry):
    sent = [(f"{number}.wav", io.BytesIO(CLIP)) for number in range(4)]
    with pytest.raises(BadValue, match="longer than 10 s together"):
        registry.add(NewVoice("me", sent), 10.0)


def test_what_cannot_be_written_is_told_and_leaves_nothing(home, registry):
    (home.voices / "xtts_multi_voice_sets").write_text("in the way")
    with pytest.raises(StorageError):
        add(registry, "duo", CLIP, CLIP)
    assert os.listdir(home.voices) == ["xtts_multi_voice_sets"]


def test_of_eight_uploads_of_one_name_one_wins(home, registry):
    results: list[object] = []

    def upload() -> None:
        try:
            results.append(add(registry, "me", CLIP))
        except NameTaken as error:
            results.append(error)

    threads = [threading.Thread(target=upload) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(each, Added) for each in results) == 1
    assert len(results) == 8


# Removing and changing


DIES = """
import io, os, sys
from pathlib import Path
from alltalk.home import Home
from alltalk.voices import NewVoice, VoiceLibrary, VoiceRegistry

def die(event, arguments):
    global left
    if event in ("os.rename", "os.remove", "os.rmdir", "os.link"):
        left -= 1
        if left < 0:
            os._exit(9)

home, change, left, name, *clips = sys.argv[1:]
home, left = Home(Path(home)), int(left)
registry = VoiceRegistry(home, VoiceLibrary(home))
sent = [(clip, io.BytesIO(Path(clip).read_bytes())) for clip in clips]
sys.addaudithook(die)
match change:
    case "add": registry.add(NewVoice("me", sent, "de", "Neu.", overwrite=True), 300.0)
    case "remove": registry.remove(name)
    case "rename": registry.change(name, to="you")
    case "transcribe": registry.change(name, transcript="Neu.")
"""
"""Changes a voice, and dies before its n-th step that others can see."""


@pytest.mark.parametrize("kind", ["clip", "set"])
@pytest.mark.parametrize("change", ["add", "remove", "rename", "transcribe"])
def test_who_dies_at_any_step_leaves_the_old_voice_or_the_new_one(tmp_path, change, kind):
    recordings = [CLIP] if kind == "clip" else [CLIP, CLIP, CLIP]
    name, renamed = ("me.wav", "you.wav") if kind == "clip" else ("voiceset:me", "voiceset:you")
    files = [tmp_path / "a.wav", tmp_path / "b.wav"][: len(recordings)]
    for file in files:
        file.write_bytes(OTHER)
    for step in range(40):
        root = tmp_path / str(step)
        Home(root).create()
        library = VoiceLibrary(Home(root))
        registry = VoiceRegistry(Home(root), library)
        old = add(registry, "me", *recordings, language="en", transcript="Old.").voice
        command = [sys.executable, "-c", DIES, str(root), change, str(step), name]
        command += map(str, files if change == "add" else [])
        died = subprocess.run(command).returncode
        assert died in (0, 9)
        found = [(v.name, v.digest == old.digest, v.transcript) for v in library.scan().values()]
        before, gone = (name, True, "Old."), []
        after = {
            "add": [(name, False, "Neu.")],
            "remove": gone,
            "rename": [(renamed, True, "Old.")],
            "transcribe": [(name, True, "Neu.")],
        }[change]
        between = {
            ("add", "clip"): [[(name, True, "")], [(name, False, "")]],
            ("add", "set"): [gone],
        }.get((change, kind), [])
        assert found in ([before], after, *between)
        if died == 0:
            assert found == after
            assert step > 0
            return
    raise AssertionError("it never came to its end")


def test_a_set_that_cannot_take_the_place_of_the_old_one_leaves_it(home, registry, monkeypatch):
    old = add(registry, "duo", CLIP, CLIP).voice
    monkeypatch.setattr(os, "fsync", lambda handle: refuse(errno.ENOSPC))
    with pytest.raises(StorageError, match="full"):
        add(registry, "duo", OTHER, OTHER, overwrite=True)
    assert [voice.digest for voice in VoiceLibrary(home).scan().values()] == [old.digest]
    assert [path.name for path in (home.voices / "xtts_multi_voice_sets").iterdir()] == ["duo"]


def test_a_voice_that_does_not_fit_leaves_all_of_the_old_one(home, registry, monkeypatch):
    add(registry, "me", CLIP, language="de", transcript="Alt.")
    before = {path: path.read_bytes() for path in home.voices.iterdir()}
    monkeypatch.setattr(os, "fsync", lambda handle: refuse(errno.ENOSPC))
    with pytest.raises(DiskFull, match="full"):
        add(registry, "me", OTHER, transcript="Neu.", overwrite=True)
    assert {path: path.read_bytes() for path in home.voices.iterdir()} == before


def refuse(number: int) -> None:
    raise OSError(number, os.strerror(number))


def test_renaming_a_voice_to_its_own_name_changes_nothing(home, registry):
    add(registry, "me", CLIP, transcript="Hello.")
    before = {path: path.read_bytes() for path in home.voices.iterdir()}
    assert registry.change("me.wav", to="me").transcript == "Hello."
    assert {path: path.read_bytes() for path in home.voices.iterdir()} == before


def test_what_a_crash_left_behind_long_ago_goes_with_the_next_upload(home, registry):
    sets = home.voices / "xtts_multi_voice_sets"
    old, young = sets / ".0123456789abcdef.partial", sets / ".fedcba9876543210.partial"
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / "01.wav").write_bytes(CLIP)
    draft = home.voices / ".me.wav.01234567.partial"
    draft.write_bytes(CLIP)
    for path in (old, draft):
        os.utime(path, (0, 0))
    add(registry, "me", CLIP)
    add(registry, "duo", CLIP, CLIP)
    assert not draft.exists()
    assert {path.name for path in sets.iterdir()} == {young.name, "duo"}


def test_removing_takes_all_that_belongs_to_the_voice(home, library, registry):
    add(registry, "me", CLIP, transcript="Hi.")
    add(registry, "duo", CLIP, CLIP)
    assert registry.remove("ME").name == "me.wav"
    assert registry.remove("voiceset:duo").name == "voiceset:duo"
    assert stored(home) == []
    assert dict(library.scan()) == {}


def test_a_transcript_that_two_clips_share_outlives_one(home, registry):
    add(registry, "me", CLIP, transcript="Hi.")
    (home.voices / "me.mp3").write_bytes(packed(tone(4, sample_rate=48000), "mp3", "mp3"))
    registry.remove("me.mp3")
    assert "me.reference.txt" in stored(home)


def test_renaming_moves_all_that_belongs_to_the_voice(home, registry):
    add(registry, "me", CLIP, language="de", transcript="Hi.")
    renamed = registry.change("me", to="Zoë.wav")
    assert (renamed.name, renamed.language, renamed.transcript) == ("Zoë.wav", "de", "Hi.")
    assert stored(home) == ["Zoë.json", "Zoë.reference.txt", "Zoë.wav"]
    assert add(registry, "duo", CLIP, CLIP).voice.name == "voiceset:duo"
    assert registry.change("voiceset:duo", to="trio").name == "voiceset:trio"


def test_renaming_to_another_voices_name_is_refused(registry):
    add(registry, "a", CLIP)
    add(registry, "b", CLIP)
    with pytest.raises(NameTaken):
        registry.change("a", to="B")
    assert registry.change("a", to="A").name == "A.wav"


@pytest.mark.parametrize("name", ["nobody", "../me", "", "voiceset:none"])
def test_who_is_not_there_is_not_found(registry, name):
    add(registry, "me", CLIP)
    with pytest.raises(NotFound):
        registry.remove(name)
    with pytest.raises(NotFound):
        registry.change(name, to="other")


@pytest.mark.parametrize("clips", [[CLIP], [CLIP, CLIP]])
def test_what_is_said_in_a_clip_is_told_later_changed_and_forgotten(registry, clips):
    voice = add(registry, "me", *clips, language="de").voice
    for transcript in (" Guten Tag. ", "Guten Mut.", "", ""):
        changed = registry.change("me" if len(clips) == 1 else voice.name, transcript=transcript)
        assert changed == registry.find(voice.name)
        assert (changed.transcript, changed.language) == (transcript.strip(), "de")
        assert changed.digest == voice.digest


def test_of_a_change_that_is_refused_nothing_is_done(home, registry):
    add(registry, "a", CLIP, transcript="Old.")
    add(registry, "b", CLIP)
    (home.voices / "xtts_latents").mkdir()
    (home.voices / "xtts_latents" / "me.json").write_text("{}")
    with pytest.raises(NameTaken):
        registry.change("a", to="b", transcript="New.")
    with pytest.raises(BadValue, match="10,000"):
        registry.change("a", to="c", transcript="x" * 10_001)
    with pytest.raises(BadValue, match="no recording"):
        registry.change("latent:me.json", to="you", transcript="New.")
    assert registry.find("a").transcript == "Old."
    assert registry.find("latent:me.json")


def test_a_voice_is_renamed_and_transcribed_at_once(home, registry):
    add(registry, "a", CLIP, transcript="Old.")
    changed = registry.change("a", to="b", transcript="New.")
    assert (changed.name, changed.transcript) == ("b.wav", "New.")
    assert stored(home) == ["b.json", "b.reference.txt", "b.wav"]


# voices.json


def test_voices_json_names_voices_by_path(home, library, registry):
    (home.voices / "elite").mkdir()
    (home.voices / "elite" / "y.wav").write_bytes(CLIP)
    home.voices_file.write_text('{"Alloy": "elite/y.wav", "gone": "elite/z.wav"}')
    (voice,) = library.scan().values()
    assert (voice.name, voice.clips) == ("Alloy", (home.voices / "elite" / "y.wav",))
    done = library.reload()
    assert (done.loaded, done.failed) == (("Alloy",), ("gone",))
    with pytest.raises(BadValue, match=r"voices\.json"):
        registry.remove("alloy")
    assert registry.change("alloy", transcript="Hello.").transcript == "Hello."
    home.voices_file.unlink()
    assert dict(library.scan()) == {}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '{"a": 1}',
        '{"a": "../secret.wav"}',
        '{"a": "HERE/secret.wav"}',
        '{"a": "x\\u0000"}',
    ],
)
def test_a_broken_voices_json_names_nobody(tmp_path, home, library, content):
    (tmp_path / "secret.wav").write_bytes(CLIP)
    home.voices_file.write_text(content.replace("HERE", tmp_path.as_posix()))
    assert dict(library.scan()) == {}
    assert library.reload().loaded == ()


def test_a_clip_that_is_no_sound_fails_to_reload(home, library):
    (home.voices / "bad.wav").write_bytes(b"no sound")
    (home.voices / "good.wav").write_bytes(CLIP)
    done = library.reload()
    assert (done.loaded, done.failed) == (("good.wav",), ("bad.wav",))


# Loudness


def test_uploads_are_at_the_common_loudness_and_need_no_gain(registry):
    assert add(registry, "me", wav(tone(4, level=0.01))).voice.gain_db == 0.0


def test_a_clip_put_into_the_folder_gets_its_gain_once_it_is_measured(home, library):
    (home.voices / "quiet.wav").write_bytes(wav(tone(4, level=0.05)))
    (home.voices / "whisper.wav").write_bytes(wav(tone(4, level=0.001)))
    (home.voices / "level.wav").write_bytes(wav(tone(4, level=0.155)))
    assert library.scan()["quiet.wav"].gain_db == 0.0
    library.reload()
    found = library.scan()
    assert found["quiet.wav"].gain_db == pytest.approx(9.8, abs=0.2)
    assert found["whisper.wav"].gain_db == 12.0, "no more than that"
    assert found["level.wav"].gain_db == pytest.approx(0, abs=0.1)


def test_loudness_is_measured_once_for_a_content(home, library):
    (home.voices / "a.wav").write_bytes(CLIP)
    library.reload()
    os.rename(home.voices / "a.wav", home.voices / "b.wav")
    later = VoiceLibrary(home)
    assert later.unmeasured() == []
    assert later.scan()["b.wav"].gain_db == library.scan()["b.wav"].gain_db != 0.0
