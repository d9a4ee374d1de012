"""Moving in from AllTalk V2: what is taken, what is left, and that a second run changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alltalk.adopt import Adopted, V2Folder, adopt
from alltalk.cli import app
from alltalk.config_store import ConfigStore
from alltalk.errors import BadValue, ConfigError, StorageError
from alltalk.home import Home
from alltalk.registry import Registry

LARGE = b"\0" * 1_500_000
"""A weight file: large enough to be linked."""
CONFIG = {
    "delete_output_wavs": "7 Days",
    "theme": {"file": None, "class": "gradio/soft"},
    "rvc_settings": {"rms_mix_rate": 0.5, "rvc_char_model_file": "bob\\bob.pth"},
    "api_def": {
        "api_port_number": 7999,
        "api_language": "klingon!",
        "api_narrator_enabled": "True",
        "api_allowed_filter": "[^a-z",
    },
    "proxy_settings": {"proxy_enabled": True},
    "some_plugin": {"on": 1},
}
ENGINE = {
    "model_details": {"manufacturer_name": "somebody"},
    "model_capabilties": {"streaming_capable": "nonsense"},
    "settings": {
        "def_character_voice": "mid",
        "temperature_set": "0,9",
        "pitch_set": "high",
        "engine_installed": False,
    },
    "openai_voices": {"alloy": "tone-300", "nova": 7},
}


@pytest.fixture
def v2(tmp_path: Path) -> Path:
    """A V2 folder with something of everything, whose engine is one that we have."""
    root = tmp_path / "alltalk_tts"
    engines = root / "system" / "tts_engines"
    write(root / "confignew.json", CONFIG)
    write(engines / "tts_engines.json", {"engine_loaded": "tone", "selected_model": "tone-b"})
    write(engines / "tone" / "model_settings.json", ENGINE)
    write(engines / "f5tts" / "model_settings.json", {"settings": {}})
    for name in ("a.wav", "a.reference.txt", "Zoë (1).wav", "notes.mp3", ".gitkeep"):
        write(root / "voices" / name, name.encode())
    write(root / "voices" / "xtts_latents" / "l.json", {"speaker_embedding": [1.0]})
    write(root / "voices" / "xtts_multi_voice_sets" / "choir" / "one.wav", b"one")
    write(root / "models" / "tone" / "big" / "model.pth", LARGE)
    write(root / "models" / "tone" / "big" / "config.json", {"rate": 24000})
    write(root / "models" / "rvc_voices" / "bob" / "bob.pth", b"bob")
    write(root / "models" / "rvc_base" / "rmvpe.pt", b"rmvpe")
    write(root / "models" / "whisper" / "tiny.pt", b"tiny")
    write(root / "outputs" / "old.wav", b"old")
    return root


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_voices_come_with_transcripts_latents_and_sets(v2, home):
    items = moved(v2, home)
    assert tree(home.voices) == {
        "a.wav": b"a.wav",
        "a.reference.txt": b"a.reference.txt",
        "Zoë (1).wav": "Zoë (1).wav".encode(),
        "xtts_latents/l.json": b'{"speaker_embedding": [1.0]}',
        "xtts_multi_voice_sets/choir/one.wav": b"one",
    }
    assert items["voices/a.wav"].outcome == "taken"
    assert items["voices/notes.mp3"].outcome == "left"


def test_models_go_where_their_engine_looks_for_them(v2, home):
    moved(v2, home)
    models = Registry(home).folder("tone") / "models"
    assert tree(models) == {"big/model.pth": LARGE, "big/config.json": b'{"rate": 24000}'}


def test_rvc_voices_keep_their_names_and_the_base_models_are_hidden(v2, home):
    moved(v2, home)
    assert tree(home.rvc_models) == {"bob/bob.pth": b"bob", ".base/rmvpe.pt": b"rmvpe"}


def test_large_files_are_linked_and_small_ones_copied(v2, home):
    items = moved(v2, home, link=True)
    here = home.engines / "tone" / "models" / "big"
    assert items["models/tone/big/model.pth"].detail == "linked"
    assert (here / "model.pth").samefile(v2 / "models/tone/big/model.pth")
    (here / "config.json").write_text("{}")
    assert (v2 / "models/tone/big/config.json").read_text() == '{"rate": 24000}'


def test_where_no_hard_link_is_possible_a_symbolic_one_is_made(v2, home, monkeypatch):
    monkeypatch.setattr(os, "link", refuse)
    moved(v2, home, link=True)
    model = home.engines / "tone" / "models" / "big" / "model.pth"
    assert model.is_symlink()
    assert model.read_bytes() == LARGE


def test_where_no_link_is_possible_files_are_copied(v2, home, monkeypatch):
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "symlink", refuse)
    assert moved(v2, home, link=True)["models/tone/big/model.pth"].detail == "copied"
    assert (home.engines / "tone" / "models" / "big" / "model.pth").read_bytes() == LARGE


def test_a_model_that_v2_itself_links_to_is_found(v2, home, tmp_path):
    write(tmp_path / "disk" / "far" / "model.pth", LARGE)
    (v2 / "models" / "tone" / "far").symlink_to(tmp_path / "disk" / "far")
    (v2 / "models" / "tone" / "loop").symlink_to(v2 / "models" / "tone")
    moved(v2, home, link=True)
    here = home.engines / "tone" / "models"
    assert (here / "far" / "model.pth").samefile(tmp_path / "disk" / "far" / "model.pth")
    assert not (here / "loop").exists()


def test_settings_are_taken_with_the_types_ours_have(v2, home):
    moved(v2, home)
    config = ConfigStore(home, {}).current
    assert config.delete_output_wavs == "7 Days"
    assert config.theme.class_ == "gradio/soft"
    assert config.rvc_settings.rms_mix_rate == 0.5
    assert config.api_def.api_port_number == 7999
    assert config.api_def.api_narrator_enabled == "true"


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("api_def.api_language", "language code"),
        ("api_def.api_allowed_filter", "regular expression"),
        ("proxy_settings.proxy_enabled", "reverse proxy"),
        ("some_plugin", "no such setting"),
        ("tone.settings.pitch_set", "not a number"),
        ("tone.settings.engine_installed", "V2 had"),
        ("tone.openai_voices.nova", "not a voice"),
        ("f5tts", "no engine f5tts"),
        ("outputs", "stay"),
        ("models/whisper", "transcription"),
    ],
)
def test_what_is_left_is_told_with_its_reason(v2, home, key, why):
    item = moved(v2, home)[key]
    assert item.outcome == "left"
    assert why in item.detail


def test_a_bad_value_keeps_none_of_the_others_out(v2, home):
    moved(v2, home)
    assert ConfigStore(home, {}).current.api_def.api_language == "en"
    assert ConfigStore(home, {}).current.api_def.api_port_number == 7999


def test_the_engine_of_v2_speaks_first_here_with_its_model(v2, home):
    moved(v2, home)
    speech = ConfigStore(home, {}).current.speech
    assert (speech.engine, speech.model) == ("tone", "tone-b")


def test_an_engine_that_is_not_here_leaves_ours_in_place(v2, home):
    listed = v2 / "system/tts_engines/tts_engines.json"
    write(listed, {"engine_loaded": "f5tts", "selected_model": "f5tts - x"})
    items = moved(v2, home)
    assert ConfigStore(home, {}).current.speech.engine == ""
    assert "no engine f5tts" in items["system/tts_engines/tts_engines.json: engine_loaded"].detail


def test_a_model_that_is_not_here_is_left_to_the_engine(v2, home):
    listed = v2 / "system/tts_engines/tts_engines.json"
    write(listed, {"engine_loaded": "tone", "selected_model": "tone-z"})
    items = moved(v2, home)
    assert ConfigStore(home, {}).current.speech.model == ""
    assert "tone-z" in items["system/tts_engines/tts_engines.json: selected_model"].detail


def test_engine_settings_and_openai_voices_come_along(v2, home):
    moved(v2, home)
    manifest = Registry(home).manifest("tone")
    assert manifest.settings["def_character_voice"] == "mid"
    assert manifest.settings["temperature_set"] == 0.9
    assert manifest.settings["pitch_set"] == 0
    assert manifest.openai_voices["alloy"] == "tone-300"
    assert manifest.openai_voices["nova"] == "high"


def test_a_second_run_changes_nothing(v2, home):
    moved(v2, home)
    before, stamps = tree(home.root), times(home.root)
    assert {item.outcome for item in moved(v2, home).values()} == {"same", "left"}
    assert tree(home.root) == before
    assert times(home.root) == stamps


def test_a_second_run_takes_what_is_new(v2, home):
    moved(v2, home)
    write(v2 / "voices" / "new.wav", b"new")
    write(v2 / "confignew.json", {**CONFIG, "delete_output_wavs": "3 Days"})
    items = moved(v2, home)
    taken = {name for name, item in items.items() if item.outcome == "taken"}
    assert taken == {"voices/new.wav", "delete_output_wavs"}
    assert ConfigStore(home, {}).current.delete_output_wavs == "3 Days"


def test_what_was_changed_here_since_is_kept_and_told(v2, home):
    moved(v2, home)
    (home.voices / "a.wav").write_bytes(b"mine")
    ConfigStore(home, {}).change({"api_def.api_port_number": 7851, "delete_output_wavs": "1 Day"})
    Registry(home).save_settings("tone", settings={"def_character_voice": "low"})
    before = tree(home.root)
    write(v2 / "confignew.json", {**CONFIG, "delete_output_wavs": "3 Days"})
    items = moved(v2, home)
    changed = (
        "voices/a.wav",
        "api_def.api_port_number",
        "delete_output_wavs",
        "tone.settings.def_character_voice",
    )
    assert {items[name].outcome for name in changed} == {"kept"}
    assert tree(home.root) == before


def test_settings_chosen_here_before_are_kept(v2, home):
    home.create()
    ConfigStore(home, {}).change({"api_def.api_port_number": 8000})
    items = moved(v2, home)
    assert items["api_def.api_port_number"].detail == "8000 here, 7999 in V2"
    assert ConfigStore(home, {}).current.api_def.api_port_number == 8000


def test_an_engine_whose_code_lies_in_the_home_loses_no_later_choice(v2, home):
    ours = home.engines / "own"
    write(ours / "engine.py", b"")
    write(ours / "model_settings.json", {"settings": {"def_character_voice": "shipped"}})
    theirs = v2 / "system/tts_engines/own/model_settings.json"
    write(theirs, {"settings": {"def_character_voice": "theirs"}})
    item = moved(v2, home)["own.settings.def_character_voice"]
    assert (item.outcome, item.detail) == ("taken", '"theirs", was "shipped"')
    Registry(home).save_settings("own", settings={"def_character_voice": "mine"})
    assert moved(v2, home)["own.settings.def_character_voice"].outcome == "kept"
    assert Registry(home).manifest("own").settings["def_character_voice"] == "mine"


def test_a_setting_that_the_environment_decides_is_left(v2, home, monkeypatch):
    monkeypatch.setenv("ALLTALK_API_DEF__API_PORT_NUMBER", "9000")
    item = moved(v2, home)["api_def.api_port_number"]
    assert item.outcome == "left"
    assert "ALLTALK_API_DEF__API_PORT_NUMBER" in item.detail


def test_nothing_in_the_v2_folder_is_written(v2, home):
    before, stamps = tree(v2), times(v2)
    moved(v2, home, link=True, host="0.0.0.0")
    moved(v2, home, link=False)
    assert tree(v2) == before
    assert times(v2) == stamps


def test_a_run_that_broke_off_is_finished_by_the_next(v2, home):
    steps = adopt(V2Folder.at(v2), home, link=False)
    next(steps)
    steps.close()
    assert not (home.voices / "a.wav").exists()
    (home.voices / ".a.wav.0123abcd.partial").write_bytes(b"half")
    os.utime(home.voices / ".a.wav.0123abcd.partial", (0, 0))
    moved(v2, home)
    fresh = Home(home.root.with_name("fresh"))
    moved(v2, fresh)
    assert tree(home.root) == tree(fresh.root)


def test_a_link_that_leads_nowhere_any_more_is_made_again(v2, home, tmp_path):
    model = home.engines / "tone" / "models" / "big" / "model.pth"
    model.parent.mkdir(parents=True)
    model.symlink_to(tmp_path / "gone")
    moved(v2, home)
    assert model.read_bytes() == LARGE


def test_a_broken_link_in_v2_is_left_and_told(v2, home, tmp_path):
    (v2 / "voices" / "lost.wav").symlink_to(tmp_path / "gone")
    item = moved(v2, home)["voices/lost.wav"]
    assert item.outcome == "left"
    assert "cannot be read" in item.detail


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe"])
def test_broken_settings_of_v2_keep_nothing_else_out(v2, home, content):
    (v2 / "confignew.json").write_bytes(content)
    (v2 / "system/tts_engines/tone/model_settings.json").write_bytes(content)
    items = moved(v2, home)
    assert items["confignew.json"].outcome == "left"
    assert items["system/tts_engines/tone/model_settings.json"].outcome == "left"
    assert items["voices/a.wav"].outcome == "taken"


def test_a_v2_folder_without_settings_or_models_is_one_still(tmp_path, home):
    (tmp_path / "bare" / "system" / "tts_engines").mkdir(parents=True)
    assert moved(tmp_path / "bare", home) == {}


def test_v2_cannot_open_the_server_by_itself(v2, home):
    write(v2 / "confignew.json", {"server": {"host": "0.0.0.0"}})
    moved(v2, home)
    assert ConfigStore(home, {}).current.server.host == "127.0.0.1"


def test_our_own_broken_settings_stop_the_run(v2, home):
    home.create()
    home.config_file.write_text("{")
    with pytest.raises(ConfigError, match="not JSON"):
        moved(v2, home)


def test_a_home_that_cannot_be_written_is_told(v2, home):
    home.create()
    home.voices.rmdir()
    home.voices.write_bytes(b"a file")
    with pytest.raises(StorageError, match="Could not make"):
        moved(v2, home)


def test_what_is_no_v2_folder_is_refused(tmp_path):
    with pytest.raises(BadValue, match="is no AllTalk V2 folder"):
        V2Folder.at(tmp_path)


def test_a_home_inside_the_v2_folder_is_refused(v2):
    for place in (v2, v2 / "home", v2.parent):
        with pytest.raises(BadValue, match="must not lie in one another"):
            moved(v2, Home(place))


def test_the_command_tells_what_it_took_and_what_it_left(v2, home):
    result = run("adopt", str(v2), "--home", str(home.root))
    assert result.exit_code == 0
    assert "Voices: 5 taken, 0 here already" in result.output
    assert 'delete_output_wavs: "7 Days", was "Disabled"' in result.output
    assert "outputs: finished files stay where they are" in result.output
    assert ConfigStore(home, {}).current.server.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("option", "host"), [("--listen-everywhere", "0.0.0.0"), ("--local-only", "127.0.0.1")]
)
def test_an_option_says_who_may_reach_the_server(v2, home, option, host):
    home.create()
    ConfigStore(home, {}).change({"server.host": "10.0.0.1"})
    assert run("adopt", str(v2), "--yes", option, "--home", str(home.root)).exit_code == 0
    assert ConfigStore(home, {}).current.server.host == host


def test_a_wrong_folder_is_one_sentence_and_exit_code_2(tmp_path):
    command = [sys.executable, "-m", "alltalk", "adopt", str(tmp_path), "--home", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert done.stderr.startswith("alltalk: FOLDER: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("answer", "host"), [("y", "0.0.0.0"), ("", "127.0.0.1")])
def test_on_a_terminal_the_user_is_asked_who_may_reach_the_server(v2, home, answer, host):
    pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "alltalk", "adopt", str(v2), "--home", str(home.root)]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, text=True) as process:
        os.write(ours, f"y\n{answer}\n".encode())
        output, _ = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert "Let other machines in?" in output
    assert ConfigStore(home, {}).current.server.host == host


def moved(
    v2: Path, home: Home, *, link: bool = True, host: str | None = None
) -> dict[str, Adopted]:
    """What a run reports, by name."""
    return {item.name: item for item in adopt(V2Folder.at(v2), home, link=link, host=host)}


def run(*arguments: str):
    return CliRunner().invoke(app, arguments)


def write(path: Path, content: bytes | Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` with its content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def times(folder: Path) -> dict[Path, int]:
    """When each file and folder was last changed, nanoseconds."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def refuse(*_: object) -> None:
    raise OSError(1, "no right")
