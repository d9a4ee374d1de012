"""R8 to R22, R31, R32: text in, a file out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from hearing import Heard, hear
from live import Live

Speak = Callable[..., dict[str, Any]]
Listen = Callable[[dict[str, Any]], Heard]
Settings = Callable[..., AbstractContextManager[None]]

LANGUAGES = (
    *("auto", "ar", "zh-cn", "zh", "cs", "nl", "en", "fr", "de", "hu", "hi", "it", "ja", "ko"),
    *("pl", "pt", "ru", "es", "tr"),
)


def test_R08_urlencoded_and_multipart_are_the_same(http: httpx.Client) -> None:
    form = {"text_input": "one two", "output_file_name": "r8", "output_file_timestamp": "false"}
    urlencoded = http.post("/api/tts-generate", data=form)
    parts = {name: (None, value) for name, value in form.items()}
    multipart = http.post("/api/tts-generate", files=parts)
    assert urlencoded.json() == multipart.json()


def test_R09_only_the_text_is_required(speak: Speak) -> None:
    assert speak()["status"] == "generate-success"
    assert speak(narrator_voice_gen="", language="", speed="")["status"] == "generate-success"


@pytest.mark.parametrize("yes", ["True", "true", "1", "on"])
@pytest.mark.parametrize("number", ["1", "1.0"])
def test_R10_bools_and_numbers_are_read_in_every_spelling(
    speak: Speak, yes: str, number: str
) -> None:
    fields = {"speed": number, "temperature": number, "repetition_penalty": "10", "pitch": "0.0"}
    conversion = {"rvccharacter_pitch": "0.0", "rvcnarrator_pitch": "0"}
    speak(output_file_timestamp=yes, autoplay="False", autoplay_volume="1", **fields, **conversion)


@pytest.mark.parametrize("voice", ["Please set a voice", "Please Refresh Settings", "nobody", ""])
def test_R11_voices_that_are_not_used_are_not_checked(speak: Speak, voice: str) -> None:
    speak(
        narrator_enabled="false",
        narrator_voice_gen=voice,
        rvcnarrator_voice_gen=voice,
        rvccharacter_voice_gen="Disabled",
    )


def test_R11_a_client_without_settings_yet_is_served(speak: Speak) -> None:
    placeholder = "Please Refresh Settings"
    speak(character_voice_gen=placeholder, rvccharacter_voice_gen=placeholder)


def test_R11_voices_that_are_used_are_checked(http: httpx.Client) -> None:
    form = {"text_input": '*one* "two"', "narrator_enabled": "true", "narrator_voice_gen": "nobody"}
    assert http.post("/api/tts-generate", data=form).status_code == 400
    named = {"text_input": "one", "rvccharacter_voice_gen": "some/voice.pth"}
    assert http.post("/api/tts-generate", data=named).status_code in (400, 404)


@pytest.mark.parametrize(
    ("narrator", "outside", "pitches"),
    [
        ("true", "character", [220, 880, 880]),
        ("true", "narrator", [220, 880, 220]),
        ("true", "silent", [220, 880]),
        ("silent", "character", [880, 880]),
        ("silent", "narrator", [880, 220]),
        ("false", "character", [880, 880, 880]),
    ],
)
def test_R12_who_speaks_narration_speech_and_the_rest(
    speak: Speak, listen: Listen, narrator: str, outside: str, pitches: list[int]
) -> None:
    made = speak(
        '*first* "second" third',
        character_voice_gen="high",
        narrator_voice_gen="low",
        narrator_enabled=narrator,
        text_not_inside=outside,
    )
    assert listen(made).pitches == pitches


def test_R13_html_is_unescaped_before_it_is_split(speak: Speak, listen: Listen) -> None:
    made = speak(
        "*first* &quot;second&quot; third",
        text_filtering="html",
        character_voice_gen="high",
        narrator_voice_gen="low",
        narrator_enabled="true",
        text_not_inside="narrator",
    )
    assert listen(made).pitches == [220, 880, 220]


@pytest.mark.parametrize("text", [r"\"one\" two", r"one\ntwo", r"one \\ two"])
def test_R14_stray_escapes_are_not_spoken(speak: Speak, listen: Listen, text: str) -> None:
    assert len(listen(speak(text, text_filtering="standard")).beeps) == 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_R15_every_language_code_is_taken(speak: Speak, language: str) -> None:
    speak(language=language)


def test_R16_success_names_a_path_and_two_addresses_of_the_same_bytes(
    speak: Speak, http: httpx.Client
) -> None:
    made = speak()
    path = Path(made["output_file_path"])
    assert made["status"] == "generate-success"
    assert path.is_absolute()
    assert made["output_file_url"] == f"/audio/{path.name}"
    assert made["output_cache_url"] == f"/audiocache/{path.name}"
    for url in (made["output_file_url"], made["output_cache_url"]):
        assert http.get(url).content == path.read_bytes()


def test_R17_the_file_may_be_taken_away(speak: Speak, listen: Listen) -> None:
    fixed = {"output_file_name": "output", "output_file_timestamp": "false"}
    Path(speak(**fixed)["output_file_path"]).unlink()
    assert len(listen(speak(**fixed)).beeps) == 2


def test_R18_a_fixed_name_is_written_again_and_not_stale(speak: Speak, http: httpx.Client) -> None:
    fixed = {"output_file_name": "previewvoice", "output_file_timestamp": "false"}
    first = speak(character_voice_gen="low", **fixed)
    tag = http.get(first["output_file_url"]).headers["etag"]
    second = speak(character_voice_gen="high", **fixed)
    assert first == second
    fresh = http.get(second["output_file_url"], headers={"if-none-match": tag})
    assert hear(fresh.content).pitches == [880, 880]
    assert "no-cache" in fresh.headers["cache-control"]


def test_R19_files_are_audio_with_ranges_and_ignore_the_query(
    speak: Speak, http: httpx.Client
) -> None:
    made = speak()
    for url in (made["output_file_url"], made["output_cache_url"]):
        whole = http.get(f"{url}?t=1")
        assert whole.headers["content-type"].startswith("audio/")
        for asked, found in (
            ("bytes=0-99", whole.content[:100]),
            ("bytes=100-", whole.content[100:]),
            ("bytes=-7", whole.content[-7:]),
        ):
            part = http.get(url, headers={"range": asked})
            assert (part.status_code, part.content) == (206, found)
            start = whole.content.index(found) if asked == "bytes=0-99" else None
            assert start in (0, None)
            assert part.headers["content-range"].endswith(f"/{len(whole.content)}")
        beyond = http.get(url, headers={"range": "bytes=999999999-"})
        assert (beyond.status_code, beyond.content) == (416, b"")
        seen = http.get(url, headers={"if-none-match": whole.headers["etag"]})
        assert (seen.status_code, seen.content) == (304, b"")
        head = http.head(url)
        assert (head.content, int(head.headers["content-length"])) == (b"", len(whole.content))


@pytest.mark.parametrize(
    "name", ["missing.wav", "..%2f..%2fconfignew.json", "%2e%2e%2fconfignew.json", "a%00.wav"]
)
def test_R19_nothing_else_can_be_fetched(http: httpx.Client, name: str) -> None:
    for folder in ("audio", "audiocache", "api/audio"):
        assert http.get(f"/{folder}/{name}").status_code == 404


def test_R20_addresses_are_whole_only_for_clients_of_v1(
    live: Live, speak: Speak, settings: Settings
) -> None:
    with settings("api_def", api_use_legacy_api=True):
        made = speak()
    name = Path(made["output_file_path"]).name
    assert made["output_file_url"] == f"{live.url}/audio/{name}"
    assert made["output_cache_url"] == f"{live.url}/audiocache/{name}"
    assert speak()["output_file_url"].startswith("/audio/")


@pytest.mark.parametrize("voice", ["Zoë.wav", "Zoë", "Zoë.wav.wav", "zoë.WAV"])
def test_R21_a_voice_is_found_with_and_without_its_suffix(
    speak: Speak, listen: Listen, voice: str
) -> None:
    heard = listen(speak(character_voice_gen=voice))
    assert [beep.hz for beep in heard.beeps] == pytest.approx([350, 350], abs=3)


@pytest.mark.parametrize("path", ["/api/previewvoice", "/api/previewvoice/"])
@pytest.mark.parametrize("encoding", ["data", "files"])
def test_R22_a_preview_needs_no_redirect(
    http: httpx.Client, listen: Listen, path: str, encoding: str
) -> None:
    form = {"voice": "low.wav", "rvccharacter_voice_gen": "Disabled", "rvccharacter_pitch": "0"}
    sent = form if encoding == "data" else {key: (None, value) for key, value in form.items()}
    answer = http.post(path, **{encoding: sent})
    assert answer.status_code == 200
    assert answer.json()["status"] == "generate-success"
    assert set(listen(answer.json()).pitches) == {220}


def test_R31_autoplay_never_fails(speak: Speak) -> None:
    assert speak(autoplay="true", autoplay_volume="0.1")["status"] == "generate-success"


def test_R32_unknown_fields_are_ignored(http: httpx.Client, speak: Speak) -> None:
    speak(engine="x", voice_selection="y", speaker_description="z")
    body = {"model": "m", "input": "one", "voice": "nova", "autoplay": "on", "junk": {"a": [1]}}
    assert http.post("/v1/audio/speech", json=body).status_code == 200
