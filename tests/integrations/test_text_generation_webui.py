"""The extension for text-generation-webui, under the rules of its host."""

from __future__ import annotations

import json
import os
import socket
import sys

import httpx
import pytest

from alltalk.keys import hashed, new_key
from tests.support.live import live_server

STATE = {"character_menu": "Ann Lee", "mode": "chat", "stream": True}
NO_PLAYER = ["", "   ", "&lt;think&gt;hm", "<img src='x'>"]


def test_an_answer_comes_with_a_player_before_its_text(load, server):
    host = load(server.address)
    said = host.text("output_modifier", "Hello there.", STATE, True)
    player = f'<audio src="http://{server.address}/audio/x.wav" controls autoplay></audio>'
    assert said == f"{player}\n\nHello there."


def test_the_server_gets_every_field_in_its_own_words(load, server):
    host = load(server.address, tgwui_language="German", tgwui_narrator_enabled="silent")
    host.text("output_modifier", "&quot;Ja&quot; &amp; *nein*", STATE, True)
    assert server.asked_for("/api/tts-generate") == [
        {
            "text_input": "&quot;Ja&quot; &amp; *nein*",
            "text_filtering": "html",
            "character_voice_gen": "female_01.wav",
            "rvccharacter_voice_gen": "Disabled",
            "rvccharacter_pitch": "0",
            "narrator_enabled": "silent",
            "narrator_voice_gen": "female_01.wav",
            "rvcnarrator_voice_gen": "Disabled",
            "rvcnarrator_pitch": "0",
            "text_not_inside": "character",
            "language": "de",
            "output_file_name": "AnnLee",
            "output_file_timestamp": "true",
            "autoplay": "false",
            "autoplay_volume": "0.8",
            "speed": "1.0",
            "pitch": "0",
            "temperature": "0.75",
            "repetition_penalty": "10.0",
        }
    ]


def test_a_name_without_latin_letters_still_names_a_file(load, server):
    host = load(server.address)
    host.text("output_modifier", "Hi", {**STATE, "character_menu": "愛"}, True)
    assert server.asked_for("/api/tts-generate")[0]["output_file_name"] == "TTSOUT"


def test_an_old_value_out_of_range_is_sent_at_its_limit(load, server):
    host = load(server.address, tgwui_temperature_set=0.05, tgwui_repetitionpenalty_set=0.5)
    host.text("output_modifier", "Hi", STATE, True)
    sent = server.asked_for("/api/tts-generate")[0]
    assert (sent["temperature"], sent["repetition_penalty"]) == ("0.1", "1.0")


def test_a_whole_address_is_not_put_behind_another(load, server, answer):
    server.answers["/api/tts-generate"] = answer({"output_file_url": "http://else:1/a.wav"})
    host = load(server.address)
    assert 'src="http://else:1/a.wav"' in host.text("output_modifier", "Hi", STATE, True)


def test_an_address_cannot_break_out_of_its_attribute(load, server, answer):
    server.answers["/api/tts-generate"] = answer({"output_file_url": '/a"><script>'})
    assert "<script>" not in load(server.address).text("output_modifier", "Hi", STATE, True)


def test_a_continued_answer_gets_one_player(load, server):
    host = load(server.address)
    once = host.text("output_modifier", "One.", STATE, True)
    twice = host.text("output_modifier", f"{once} Two.", STATE, True)
    assert twice.count("<audio") == 1
    assert server.asked_for("/api/tts-generate")[1]["text_input"] == "One. Two."


def test_thoughts_and_pictures_are_shown_and_not_spoken(load, server):
    host = load(server.address)
    answer = '&lt;think&gt;so\nso&lt;/think&gt;\nYes, 1 &lt; 2.<img src="a.png">'
    assert host.text("output_modifier", answer, STATE, True).endswith(f"\n\n{answer}")
    assert server.asked_for("/api/tts-generate")[0]["text_input"] == "Yes, 1 &lt; 2."


def test_without_its_text_an_answer_is_its_player(load, server):
    host = load(server.address, tgwui_show_text=False, tgwui_autoplay_tts=False)
    said = host.text("output_modifier", "Hi", STATE, True)
    assert said == f'<audio src="http://{server.address}/audio/x.wav" controls></audio>'


@pytest.mark.parametrize("text", NO_PLAYER)
def test_what_holds_nothing_to_say_stays_as_it_is(load, server, text):
    assert load(server.address).text("output_modifier", text, STATE, True) == text
    assert server.asked == []


@pytest.mark.parametrize(
    ("state", "is_chat"),
    [(STATE, False), ({**STATE, "character_menu": None}, True), ({"stream": True}, True)],
)
def test_outside_a_characters_chat_nothing_is_spoken(load, server, state, is_chat):
    assert load(server.address).text("output_modifier", "Hi", state, is_chat) == "Hi"
    assert server.asked == []


def test_switched_off_it_touches_nothing(load, server):
    host = load(server.address, tgwui_activate_tts=False)
    assert host.text("output_modifier", "Hi", STATE, True) == "Hi"
    assert host.extension.state_modifier(dict(STATE)) == STATE
    assert server.asked == []


@pytest.mark.parametrize(
    ("path", "reply"),
    [
        ("/api/ready", (200, b"Unloaded")),
        ("/api/ready", (503, b"")),
        ("/api/tts-generate", (500, b"oops")),
        ("/api/tts-generate", (400, b'{"status": "generate-failure", "error": "no voice"}')),
        ("/api/tts-generate", (200, b"not JSON")),
        ("/api/tts-generate", (200, b"[]")),
        ("/api/tts-generate", (200, b'{"status": "generate-success"}')),
        ("/api/tts-generate", (200, b'{"output_file_url": null}')),
    ],
)
def test_a_server_that_fails_leaves_the_text(load, server, path, reply):
    server.answers[path] = reply
    assert load(server.address).text("output_modifier", "Hi", STATE, True) == "Hi"


@pytest.mark.parametrize("address", ["", "not a host", "127.0.0.1:port", "ä" * 80, "127.0.0.1:1"])
def test_a_wrong_address_leaves_the_text_and_the_controls(load, address):
    host = load(address or " ")
    assert host.text("output_modifier", "Hi", STATE, True) == "Hi"
    host.extension.ui()
    assert host.gradio.labelled("Character").values["value"] == "female_01.wav"


def test_a_server_that_never_answers_is_given_up_soon(load, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = load(f"127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(host.extension, "PROBE_S", 0.05)
        assert host.text("output_modifier", "Hi", STATE, True) == "Hi"


def test_streaming_is_off_where_an_answer_will_be_spoken(load, server):
    host = load(server.address)
    assert host.extension.state_modifier(dict(STATE))["stream"] is False
    no_character = {**STATE, "character_menu": None}
    assert host.extension.state_modifier(no_character)["stream"] is True


def test_the_chat_says_that_a_voice_is_coming_until_it_is_there(load, server):
    host = load(server.address)
    assert host.text("input_modifier", "Hi?", STATE, True) == "Hi?"
    assert "voice" in host.shared.processing_message
    host.text("output_modifier", "Hi!", STATE, True)
    assert host.shared.processing_message == "*Is typing...*"


def test_old_players_wait_to_be_asked_and_the_rest_of_the_history_stays(load, server):
    player = '<audio src="u" controls autoplay></audio>\n\nHi'
    metadata = {"assistant_0": {"versions": [{"visible_content": player}]}}
    history = {
        "internal": [["a", "Hi"]],
        "visible": [["a", player]],
        "metadata": metadata,
        "x": 1,
    }
    before = json.dumps(history)
    changed = load(server.address).extension.history_modifier(history)
    assert changed["visible"] == [["a", player.replace(" autoplay", "")]]
    assert changed["metadata"] is metadata
    assert {**changed, "visible": 0} == {**json.loads(before), "visible": 0}
    assert json.dumps(history) == before


def test_an_empty_history_stays_empty(load, server):
    extension = load(server.address).extension
    assert extension.history_modifier({"internal": [], "visible": []}) == {
        "internal": [],
        "visible": [],
    }


def test_players_can_be_taken_out_of_a_chat(load, server):
    host = load(server.address)
    host.extension.ui()
    player = '<audio src="u" controls></audio>'
    history = {
        "internal": [["a", "Hi"], ["b", "1 < 2"]],
        "visible": [["a", f"{player}\n\nHi"], ["b", player]],
    }
    button = host.gradio.labelled("Remove the players from this chat")
    assert button.fire("click", history)["visible"] == [["a", "Hi"], ["b", "1 &lt; 2"]]


def test_the_controls_offer_what_the_server_lists(load, server):
    host = load(server.address)
    host.extension.ui()
    voices = ["Zoë.wav", "female_01.wav", "male_01.wav"]
    assert host.gradio.labelled("Character").values["choices"] == voices
    assert host.gradio.labelled("Narrator's RVC voice").values["choices"][0] == "Disabled"
    assert host.gradio.labelled("Model").values["value"] == "xtts - v2"


def test_every_list_takes_a_value_that_is_not_in_it(load, server):
    host = load(server.address)
    host.extension.ui()
    lists = [each for each in host.gradio.made if type(each).__name__ == "Dropdown"]
    assert len(lists) > 5
    assert all(each.values["allow_custom_value"] for each in lists)


def test_the_controls_stand_without_a_server_and_fill_when_it_is_there(load, server, answer):
    good = server.answers.pop("/api/rvcvoices")
    host = load(server.address)
    host.extension.ui()
    assert host.gradio.labelled("Character").values["choices"] == ["female_01.wav"]
    server.answers["/api/rvcvoices"] = good
    updates = host.gradio.labelled("Refresh").fire("click")
    assert "male_01.wav" in updates[0]["choices"]
    assert updates[-1] == f"Connected to http://{server.address}"


def test_a_web_ui_without_chat_functions_still_gets_the_controls(load, server, monkeypatch):
    host = load(server.address)
    monkeypatch.setitem(sys.modules, "modules.utils", None)
    host.extension.ui()
    assert host.gradio.labelled("Listen")


def test_the_buttons_tell_the_server_and_show_what_it_says(load, server):
    host = load(server.address)
    host.extension.ui()
    assert host.gradio.labelled("Stop speaking").fire("click") == "Cancelling"
    assert host.gradio.labelled("Load the model").fire("click", "xtts - ä") == "model-success"
    assert host.gradio.labelled("DeepSpeed").fire("input", True) == "deepspeed-success"
    assert host.gradio.labelled("Low VRAM").fire("input", False).startswith("Failed")
    assert ("PUT", "/api/stop-generation", {}) in server.asked
    assert server.asked_for("/api/reload") == [{"tts_method": "xtts - ä"}]
    assert server.asked_for("/api/deepspeed") == [{"new_deepspeed_value": "True"}]


def test_a_player_gets_a_signed_address_where_the_server_wants_a_key(load, tmp_path):
    key = new_key()
    keys = json.dumps([{"name": "chat", "hash": hashed(key)}])
    with live_server(tmp_path / "home", environ={"ALLTALK_SERVER__API_KEYS": keys}) as server:
        host = load(f"127.0.0.1:{server.port}")
        assert host.text("output_modifier", "Hello", STATE, True) == "Hello"
        host.extension.ui()
        host.gradio.labelled("API key").fire("change", key)
        said = host.text("output_modifier", "Hello", STATE, True)
        assert httpx.get(said.split('"')[1], timeout=60).content[:4] == b"RIFF"


def test_an_api_key_goes_with_every_request_once_it_is_entered(load, server, answer):
    host = load(server.address)
    host.extension.ui()
    assert {headers["Authorization"] for headers in server.headers} == {None}
    host.gradio.labelled("API key").fire("change", " secret ")
    server.answers["/api/tokens"] = answer({"url": "/audio/x.wav?token=t"})
    server.headers.clear()
    host.text("output_modifier", "Hi", STATE, True)
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer secret"}


def test_voices_can_be_tried(load, server):
    host = load(server.address)
    host.extension.ui()
    player, status = host.gradio.labelled("Listen").fire("click", "Try me")
    assert f"{server.address}/audio/x.wav?" in player
    assert status == "Spoken"
    sent = server.asked_for("/api/tts-generate")[0]
    assert (sent["output_file_name"], sent["output_file_timestamp"]) == ("previewvoice", "false")
    assert sent["text_filtering"] == "standard"


def test_a_choice_is_kept_for_the_next_start(load, server, install):
    host = load(server.address)
    host.extension.ui()
    host.gradio.labelled("Character").fire("change", "Zoë.wav")
    again = load()
    again.text("output_modifier", "Hi", STATE, True)
    assert server.asked_for("/api/tts-generate")[0]["character_voice_gen"] == "Zoë.wav"
    assert sorted(path.name for path in install.iterdir() if path.is_file()) == [
        "README.md",
        "script.py",
        "tgwui_remote_config.json",
    ]


def test_the_settings_of_v2s_extension_are_read_and_kept(load, server, install):
    host = load(server.address)
    stored = {
        "branding": "AllTalk ",
        "tgwui": {"tgwui_character_voice": "male_01.wav", "tgwui_pitch_set": "high"},
        "remote_connection": {"server_address": server.address, "use_legacy_api": False},
    }
    file = install / "tgwui_remote_config.json"
    file.write_text(json.dumps(stored))
    host = load()
    host.text("output_modifier", "Hi", STATE, True)
    sent = server.asked_for("/api/tts-generate")[0]
    assert (sent["character_voice_gen"], sent["pitch"]) == ("male_01.wav", "0")
    host.extension.ui()
    host.gradio.labelled("Character").fire("change", "Zoë.wav")
    kept = json.loads(file.read_text(encoding="utf-8"))
    assert kept["branding"] == "AllTalk "
    assert kept["remote_connection"]["use_legacy_api"] is False


@pytest.mark.parametrize("content", ["{", "[]", '{"tgwui": 5}', "\0"])
def test_a_broken_settings_file_means_the_defaults(load, install, content):
    (install / "tgwui_remote_config.json").write_text(content)
    assert load().extension._settings["tgwui_character_voice"] == "female_01.wav"


@pytest.mark.skipif(os.name == "nt", reason="a folder's rights are not kept there")
def test_a_folder_that_cannot_be_written_keeps_the_choice_in_memory(load, server, monkeypatch):
    host = load(server.address)
    monkeypatch.setattr(os, "replace", refuse)
    host.extension.ui()
    host.gradio.labelled("Character").fire("change", "Zoë.wav")
    host.text("output_modifier", "Hi", STATE, True)
    assert server.asked_for("/api/tts-generate")[0]["character_voice_gen"] == "Zoë.wav"


def test_a_real_server_speaks_what_the_chat_says(load, tmp_path):
    with live_server(tmp_path / "home") as server:
        host = load(f"127.0.0.1:{server.port}")
        said = host.text("output_modifier", "&quot;Hello&quot; &amp; goodbye.", STATE, True)
        assert said.startswith("<audio")
        sound = httpx.get(said.split('"')[1], timeout=60)
    assert sound.content[:4] == b"RIFF"


def refuse(*_: object) -> None:
    raise OSError("no right")
