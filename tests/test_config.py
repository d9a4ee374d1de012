"""The settings: what loads, what is refused, how a change is written, what the environment says."""

from __future__ import annotations

import importlib.util
import json
import os
import stat
import sys
import threading
from pathlib import Path

import pytest
from pydantic import ValidationError

from alltalk.config import V2_FILTER, Config, Section, meanings, settings, subsection
from alltalk.config_store import ConfigStore
from alltalk.errors import ConfigError, StorageError
from alltalk.home import Home

ROOT = Path(__file__).resolve().parent.parent
OURS = ("server", "speech", "admission")


@pytest.fixture
def home(tmp_path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def start(home):
    """Writes a settings file, where one is given, and starts from it."""

    def starting(content: object = None, **environ: str) -> ConfigStore:
        if content is not None:
            text = content if isinstance(content, str) else json.dumps(content)
            home.config_file.write_text(text, encoding="utf-8")
        return ConfigStore(home, environ)

    return starting


def on_disk(home: Home) -> dict:
    return json.loads(home.config_file.read_text(encoding="utf-8"))


def v2_file() -> dict:
    """A file as V2's pages leave it: without our sections, with keys of its own, in any order."""
    content = Config().model_dump(mode="json", by_alias=True)
    for section in OURS:
        del content[section]
    content["api_def"]["api_output_folder"] = ""
    content["delete_output_wavs"] = "7 Days"
    content["rvc_settings"] |= {"rms_mix_rate": 0.5, "hop_length": 128.0, "pitch": -3.0}
    content["tgwui"] |= {"tgwui_pitch_set": 0.5, "tgwui_narrator_enabled": False}
    return dict(reversed(content.items()))


# What loads


def test_the_first_start_writes_the_defaults_and_nothing_else(start, home):
    assert start().current == Config()
    assert on_disk(home)["api_def"]["api_allowed_filter"] == V2_FILTER
    assert os.listdir(home.root) == ["confignew.json"]
    assert start().current == Config()


def test_the_file_in_the_repository_holds_the_defaults():
    shipped = json.loads((ROOT / "confignew.json").read_text(encoding="utf-8"))
    assert shipped == Config().model_dump(mode="json", by_alias=True)


def test_starting_leaves_a_file_that_is_there_as_it_is(start, home):
    text = ' {"branding" : "mine"}\r\n'
    assert start(text, ALLTALK_SERVER__PORT="9000").current.branding == "mine"
    assert home.config_file.read_text(encoding="utf-8") == text.replace("\r\n", "\n")


def test_a_v2_file_loads_and_means_what_it_meant(start):
    config = start(v2_file()).current
    assert config.retention_days == 7
    assert config.rvc_settings.rms_mix_rate == 0.5
    assert (config.rvc_settings.hop_length, config.rvc_settings.pitch) == (128, -3)
    assert config.tgwui.tgwui_pitch_set == 0.5
    assert config.tgwui.tgwui_narrator_enabled == "false"
    assert config.file_format.name == "wav"
    assert config.speech.engine == ""


def test_keys_that_are_missing_take_their_defaults(start):
    config = start({"delete_output_wavs": 1, "rvc_settings": {"f0method": "rmvpe"}}).current
    assert config.retention_days == 1
    assert config.rvc_settings.f0method == "rmvpe"
    assert config.rvc_settings.index_rate == 0.75
    assert config.port == 7851


def test_a_file_with_a_byte_order_mark_loads(start):
    assert start('\ufeff{"branding": "Füße 日本"}').current.branding == "Füße 日本"


def test_the_server_port_wins_over_the_api_port(start):
    assert start({"server": {"port": 0}, "api_def": {"api_port_number": 9000}}).current.port == 0


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("Disabled", None),
        ("disabled", None),
        ("", None),
        ("7 Days", 7),
        ("1", 1),
        ("0.5 days", 0.5),
    ],
)
def test_retention_is_read_as_v2_writes_it(start, text, days):
    assert start({"delete_output_wavs": text}).current.retention_days == days


@pytest.mark.parametrize(
    ("text", "name"),
    [("Disabled", "wav"), ("disabled", "wav"), ("MP3", "mp3"), ("vorbis", "ogg"), ("m4a", "m4a")],
)
def test_the_file_format_is_read_as_v2_writes_it(start, text, name):
    assert start({"transcode_audio_format": text}).current.file_format.name == name


# What is refused


@pytest.mark.parametrize(
    ("content", "key", "problem"),
    [
        ({"api_def": {"api_port_number": 70000}}, "api_def.api_port_number", "65535, not 70000"),
        ({"api_def": {"api_port_number": "x"}}, "api_def.api_port_number", "integer"),
        ({"gradio_port_number": 7852.5}, "gradio_port_number", "must be a valid integer"),
        ({"theme": {"class": None}}, "theme.class", "must be a valid string"),
        ({"theme": 5}, "theme", "must be"),
        ({"rvc_settings": {"rms_mix_rate": 1.5}}, "rvc_settings.rms_mix_rate", "not 1.5"),
        ('{"rvc_settings": {"index_rate": NaN}}', "rvc_settings.index_rate", "finite"),
        ({"delete_output_wavs": "weekly"}, "delete_output_wavs", '"7 Days"'),
        ({"delete_output_wavs": "0 Days"}, "delete_output_wavs", "not '0 Days'"),
        ({"transcode_audio_format": "pcm"}, "transcode_audio_format", "one of wav, mp3"),
        ({"output_folder": " "}, "output_folder", "must not be empty"),
        ({"speech": {"default_format": "mp9"}}, "speech.default_format", "one of wav"),
        ({"api_def": {"api_output_file_name": "../x"}}, "api_def.api_output_file_name", "'../x'"),
        ({"api_def": {"api_language": "klingon!"}}, "api_def.api_language", "en or zh-cn"),
        ({"api_def": {"api_allowed_filter": "[a"}}, "api_def.api_allowed_filter", "regular"),
        (
            {"api_def": {"api_allowed_filter": "a{99999999999}"}},
            "api_def.api_allowed_filter",
            "large",
        ),
        ({"api_def": {"api_allowed_filter": "(a+)+$"}}, "api_def.api_allowed_filter", "group"),
        ({"api_def": {"api_allowed_filter": "a" * 2001}}, "api_def.api_allowed_filter", "2000"),
        (
            {"proxy_settings": {"api_endpoint": {"external_port": 0}}},
            "proxy_settings.api_endpoint.external_port",
            "not 0",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_its_file_and_key(start, home, content, key, problem):
    with pytest.raises(ConfigError) as refused:
        start(content)
    assert f"{home.config_file}: {key}: " in str(refused.value)
    assert problem in str(refused.value)


def test_every_wrong_value_is_named_at_once(start):
    with pytest.raises(ConfigError, match=r"gradio_port_number.*speech\.pause_s"):
        start({"gradio_port_number": -1, "speech": {"pause_s": -1}})


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"branding": "x",}'])
def test_a_file_that_is_not_one_json_object_is_refused_by_name(start, home, content):
    with pytest.raises(ConfigError, match=r"confignew\.json .*JSON"):
        start(content)


def test_a_file_that_is_not_utf8_is_refused_by_name(start, home):
    home.config_file.write_bytes('{"branding": "Füße"}'.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"confignew\.json is not JSON in UTF-8"):
        start()


@pytest.mark.parametrize("pattern", ["", "[()+*]", r"\)+", r"[^\]()]*", "[])+]", "[^a-z]|foo"])
def test_a_filter_without_repeated_groups_is_accepted(start, pattern):
    config = start({"api_def": {"api_allowed_filter": pattern}}).current
    assert config.api_def.api_allowed_filter == pattern


def test_settings_in_use_cannot_be_altered(start):
    with pytest.raises(ValidationError, match="frozen"):
        start().current.speech.pause_s = 1


# How a change is written


def test_a_change_is_used_and_written(start, home):
    store = start()
    before = store.current
    after = store.change({"speech.pause_s": 0.5, "theme": {"class": "soft"}, "branding": "B"})
    assert (after.speech.pause_s, after.theme.class_, after.branding) == (0.5, "soft", "B")
    assert store.current is after
    assert before.speech.pause_s == 0.12
    assert start().current == after
    assert not store.changed()


def test_a_change_touches_the_keys_it_names_and_keeps_all_others(start, home):
    content = {"rvc_settings": {"pitch": "2"}, "mine": [1, {"a": None}], "speech": {"later": 1}}
    start(content).change({"speech.first_chars": "80", "rvc_settings": {"autotune": "true"}})
    assert on_disk(home) == {
        "rvc_settings": {"pitch": "2", "autotune": True},
        "mine": [1, {"a": None}],
        "speech": {"later": 1, "first_chars": 80},
    }


def test_an_edit_by_hand_survives_a_change(start, home):
    store = start({"branding": "old"})
    home.config_file.write_text('{"branding": "edited", "speech": {"model": "m"}}')
    assert store.change({"speech.pause_s": 1}).branding == "edited"
    assert on_disk(home) == {"branding": "edited", "speech": {"model": "m", "pause_s": 1.0}}


@pytest.mark.parametrize(
    ("patch", "problem"),
    [
        ({"speech.pause_s": -1}, r"^speech\.pause_s: must be .*, not -1\.$"),
        ({"speech": {"pauses": 1}}, r"speech\.pauses: there is no such setting"),
        ({"speech": 1}, r"speech: there is no such setting"),
        ({"branding": {"a": 1}}, "branding: must be a valid string"),
        ({"gradio_port_number": 8000, "speech.max_chars": 1}, r"speech\.max_chars"),
    ],
)
def test_a_change_that_does_not_hold_changes_nothing(start, home, patch, problem):
    store = start()
    before, written = store.current, home.config_file.read_bytes()
    with pytest.raises(ConfigError, match=problem):
        store.change(patch)
    assert store.current is before
    assert home.config_file.read_bytes() == written


def test_a_change_does_not_overwrite_a_file_that_was_broken_by_hand(start, home):
    store = start()
    home.config_file.write_text("{ half an edit")
    with pytest.raises(ConfigError, match="is not JSON"):
        store.change({"speech.pause_s": 1})
    assert home.config_file.read_text() == "{ half an edit"


def test_a_wrong_key_in_the_file_is_blamed_on_the_file_and_can_be_mended(start, home):
    store = start()
    home.config_file.write_text('{"speech": {"pause_s": -1}}')
    with pytest.raises(ConfigError, match=r"confignew\.json: speech\.pause_s"):
        store.change({"branding": "B"})
    assert store.change({"speech.pause_s": 0.2}).speech.pause_s == 0.2


@pytest.mark.skipif(sys.platform == "win32", reason="rights and links of POSIX")
def test_the_file_keeps_its_rights_and_a_link_stays_a_link(start, home, tmp_path):
    real = tmp_path / "elsewhere" / "settings.json"
    real.parent.mkdir()
    real.write_text("{}")
    real.chmod(0o640)
    home.config_file.symlink_to(real)
    start().change({"branding": "B"})
    assert home.config_file.is_symlink()
    assert json.loads(real.read_text()) == {"branding": "B"}
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert os.listdir(real.parent) == ["settings.json"]


def test_changes_from_many_threads_all_arrive_and_no_reader_sees_half_a_file(start, home):
    store = start()
    patches = [{f"debugging.{key[1]}": True} for key, _ in settings() if key[0] == "debugging"]
    threads = [threading.Thread(target=store.change, args=(patch,)) for patch in patches]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert on_disk(home)["admission"]["max_waiting_requests"] == 256
    assert set(on_disk(home)["debugging"].values()) == {True}
    assert set(store.current.debugging.model_dump().values()) == {True}
    assert os.listdir(home.root) == ["confignew.json"]


def test_a_home_that_cannot_be_written_is_served_from_memory(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    store = ConfigStore(Home(tmp_path / "file" / "home"), {})
    assert store.current == store.reload() == Config()
    assert "Could not write" in caplog.text
    before = store.current
    with pytest.raises(StorageError, match=r"Could not write .*confignew\.json: "):
        store.change({"speech.pause_s": 1})
    assert store.current is before


# When the file changes


def test_an_edit_is_noticed_and_read(start, home):
    store = start()
    assert not store.changed()
    home.config_file.write_text('{"branding": "edited"}')
    assert store.changed()
    assert store.reload().branding == store.current.branding == "edited"
    assert not store.changed()


def test_an_invalid_edit_is_reported_once_and_the_settings_in_use_stay(start, home):
    store = start({"branding": "good"})
    home.config_file.write_text('{"branding": "bad", "gradio_port_number": 0}')
    with pytest.raises(ConfigError, match="gradio_port_number"):
        store.reload()
    assert store.current.branding == "good"
    assert not store.changed()
    home.config_file.write_text('{"branding": "mended"}')
    assert store.changed()
    assert store.reload().branding == "mended"


def test_a_file_that_went_away_leaves_the_settings_in_use(start, home):
    store = start({"branding": "good"})
    home.config_file.unlink()
    assert store.changed()
    with pytest.raises(ConfigError, match="is gone"):
        store.reload()
    assert store.current.branding == "good"
    store.change({"speech.model": "m"})
    assert on_disk(home) == {"branding": "good", "speech": {"model": "m"}}


# What the environment says


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("ALLTALK_SERVER__HOST", "0.0.0.0", "server.host", "0.0.0.0"),
        ("ALLTALK_API_DEF__API_PORT_NUMBER", "9000", "api_def.api_port_number", 9000),
        ("alltalk_speech__pause_s", "0.5", "speech.pause_s", 0.5),
        ("ALLTALK_DEBUGGING__DEBUG_GRADIO_IP", "true", "debugging.debug_gradio_IP", True),
        ("ALLTALK_OUTPUT_FOLDER", "/srv/sound", "output_folder", "/srv/sound"),
        ("ALLTALK_THEME__CLASS", "soft", "theme.class", "soft"),
        (
            "ALLTALK_PROXY_SETTINGS__API_ENDPOINT__ENABLED",
            "1",
            "proxy_settings.api_endpoint.enabled",
            True,
        ),
        ("ALLTALK_SPEECH__MAX_TEXT_CHARS", "null", "speech.max_text_chars", None),
        ("ALLTALK_SPEECH__ENGINE", '""', "speech.engine", ""),
        ("ALLTALK_SPEECH__MODEL", "2", "speech.model", "2"),
        ("ALLTALK_API_DEF__API_ALLOWED_FILTER", "[^a-z ]", "api_def.api_allowed_filter", "[^a-z ]"),
        ("ALLTALK_SERVER__PORT", "", "server.port", None),
    ],
)
def test_a_variable_sets_any_key(start, variable, text, key, value):
    found = start({}, **{variable: text}).current.model_dump(by_alias=True)
    for name in key.split("."):
        found = found[name]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("variable", "text", "problem"),
    [
        ("ALLTALK_SERVER__PORT", "http", r"^ALLTALK_SERVER__PORT: server\.port: must be"),
        ("ALLTALK_SERVER__PROT", "1", r"^ALLTALK_SERVER__PROT: there is no setting server\.prot"),
        ("ALLTALK_NOWHERE__X", "1", r"^ALLTALK_NOWHERE__X: there is no setting"),
        ("alltalk_gradio_port_number", "0", r"^alltalk_gradio_port_number: gradio_port_number"),
    ],
)
def test_a_wrong_variable_is_refused_by_its_name(start, variable, text, problem):
    with pytest.raises(ConfigError, match=problem):
        start({}, **{variable: text})


def test_variables_that_are_no_settings_are_left_alone(start):
    environ = {"ALLTALK_HOME": "/x", "ALLTALKER__X": "1", "PATH": "/bin", "ALLTALK_BUILD": "7"}
    assert start(**environ).current == Config()


def test_a_wrong_value_in_the_file_is_blamed_on_the_file_beside_variables(start):
    with pytest.raises(ConfigError, match=r"confignew\.json: speech\.pause_s"):
        start({"speech": {"pause_s": -1}}, ALLTALK_SPEECH__MODEL="m")


def test_what_a_variable_says_is_never_written(start, home):
    store = start({"server": {"port": 7000}}, ALLTALK_SERVER__PORT="9000", ALLTALK_BRANDING="env")
    assert store.overridden == {
        "server.port": "ALLTALK_SERVER__PORT",
        "branding": "ALLTALK_BRANDING",
    }
    store.change({"server.port": 9000, "speech.model": "m"})
    assert on_disk(home) == {"server": {"port": 7000}, "speech": {"model": "m"}}
    assert store.reload().server.port == 9000


def test_the_first_file_holds_the_defaults_whatever_variables_say(start, home):
    start(ALLTALK_BRANDING="env")
    assert on_disk(home)["branding"] == "AllTalk "


def test_a_change_that_a_variable_would_undo_is_refused(start, home):
    store = start({}, ALLTALK_SERVER__PORT="9000")
    with pytest.raises(ConfigError, match=r"server\.port: .* ALLTALK_SERVER__PORT decides"):
        store.change({"server.port": 8000})
    assert on_disk(home) == {}


# What is said about them


def test_every_setting_says_what_it_means():
    def silent(section: type[Section]) -> list[str]:
        said, found = meanings(section), []
        for attribute, field in section.model_fields.items():
            if (below := subsection(field)) is not None:
                found += silent(below)
            elif not said.get(field.alias or attribute):
                found.append(f"{section.__name__}.{attribute}")
        return found

    assert silent(Config) == []
    assert meanings(type(Config().theme))["class"] == "A Gradio theme by its name."


def test_the_page_about_settings_says_what_the_settings_say():
    place = ROOT / "docs" / "write_configuration.py"
    spec = importlib.util.spec_from_file_location("write_configuration", place)
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    page = writer.PAGE.read_text(encoding="utf-8")
    assert page == writer.written(page), "run python docs/write_configuration.py"
    assert all(f"| `{key[-1]}` |" in page for key, _ in settings())
