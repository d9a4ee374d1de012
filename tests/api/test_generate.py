"""`POST /api/tts-generate`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from hearing import hear

from alltalk.service import SpeechService

WORDS = "one two three"


async def speak(client: httpx.AsyncClient, **fields: str) -> httpx.Response:
    return await client.post("/api/tts-generate", data={"text_input": WORDS, **fields})


def content(path: str | Path) -> bytes:
    return Path(path).read_bytes()


def sounds_in(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.suffix in (".wav", ".partial")]


async def heard(client: httpx.AsyncClient, answer: httpx.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    file = await client.get(answer.json()["output_file_url"])
    return hear(file.content).pitches


async def test_a_text_becomes_a_file_and_its_addresses(client: httpx.AsyncClient) -> None:
    answer = await speak(client, character_voice_gen="low")
    body = answer.json()
    path = body["output_file_path"]
    assert (answer.status_code, body["status"]) == (200, "generate-success")
    assert os.path.isabs(path)
    assert body["output_file_url"] == f"/audio/{os.path.basename(path)}"
    assert body["output_cache_url"] == f"/audiocache/{os.path.basename(path)}"
    for url in (body["output_file_url"], body["output_cache_url"]):
        assert (await client.get(url)).content == content(path)
    assert hear(content(path)).pitches == [220, 220, 220]


async def test_only_the_text_is_needed_and_empty_fields_count_as_absent(
    client: httpx.AsyncClient,
) -> None:
    assert await heard(client, await speak(client, narrator_voice_gen="", language="", speed=""))


async def test_urlencoded_multipart_and_json_are_the_same(client: httpx.AsyncClient) -> None:
    fields = {"text_input": WORDS, "character_voice_gen": "high"}
    answers = [
        await client.post("/api/tts-generate", data=fields),
        await client.post("/api/tts-generate", files={k: (None, v) for k, v in fields.items()}),
        await client.post("/api/tts-generate", json=fields),
    ]
    assert [await heard(client, answer) for answer in answers] == [[880, 880, 880]] * 3


async def test_the_last_of_a_field_sent_twice_counts(client: httpx.AsyncClient) -> None:
    content = "text_input=one&character_voice_gen=low&character_voice_gen=high"
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await client.post("/api/tts-generate", content=content, headers=headers)
    assert await heard(client, answer) == [880]


async def test_the_narrator_speaks_what_stands_between_asterisks(client: httpx.AsyncClient) -> None:
    answer = await speak(
        client,
        text_input='*one two* "three"',
        character_voice_gen="high",
        narrator_enabled="true",
        narrator_voice_gen="low",
    )
    assert await heard(client, answer) == [220, 220, 880]


async def test_a_narrator_voice_that_is_not_used_is_not_looked_at(
    client: httpx.AsyncClient,
) -> None:
    answer = await speak(client, narrator_enabled="false", narrator_voice_gen="Please set a voice")
    assert answer.status_code == 200


async def test_a_fixed_name_is_written_again_and_a_stamped_one_is_new(
    client: httpx.AsyncClient,
) -> None:
    fixed = {"output_file_name": "mine", "output_file_timestamp": "false"}
    first = await speak(client, character_voice_gen="low", **fixed)
    second = await speak(client, character_voice_gen="high", **fixed)
    assert first.json() == second.json()
    assert second.json()["output_file_url"] == "/audio/mine.wav"
    assert await heard(client, second) == [880, 880, 880]
    stamped = [await speak(client, output_file_name="mine") for _ in range(2)]
    assert len({answer.json()["output_file_url"] for answer in stamped}) == 2


async def test_eight_at_once_each_hear_their_own_voice(client: httpx.AsyncClient) -> None:
    voices = ["low", "mid", "high", "low", "mid", "high", "low", "mid"]
    answers = await asyncio.gather(*(speak(client, character_voice_gen=v) for v in voices))
    pitch = {"low": 220, "mid": 440, "high": 880}
    assert [await heard(client, a) for a in answers] == [[pitch[v]] * 3 for v in voices]


BAD = {
    "no text": ({}, 422),
    "blank text": ({"text_input": "   "}, 400),
    "only emoji": ({"text_input": "😀😀"}, 400),
    "a megabyte": ({"text_input": "word " * 200_000}, 400),
    "speed is a word": ({"text_input": "a", "speed": "fast"}, 422),
    "speed is not a number": ({"text_input": "a", "speed": "nan"}, 400),
    "speed out of range": ({"text_input": "a", "speed": "2.5"}, 400),
    "pitch out of range": ({"text_input": "a", "pitch": "11"}, 400),
    "RVC pitch out of range": ({"text_input": "a", "rvccharacter_pitch": "99"}, 400),
    "unknown voice": ({"text_input": "a", "character_voice_gen": "nobody"}, 400),
    "voice outside": ({"text_input": "a", "character_voice_gen": "../../etc/passwd"}, 400),
    "voice with NUL": ({"text_input": "a", "character_voice_gen": "a\0b"}, 400),
    "unknown language": ({"text_input": "a", "language": "xx-nowhere"}, 400),
    "unknown filter": ({"text_input": "a", "text_filtering": "heavy"}, 400),
    "name outside": ({"text_input": "a", "output_file_name": "../evil"}, 400),
    "name of an absolute path": ({"text_input": "a", "output_file_name": "/etc/evil"}, 400),
    "name with NUL": ({"text_input": "a", "output_file_name": "a\0b"}, 400),
    "RVC voice": ({"text_input": "a", "rvccharacter_voice_gen": "a/b.pth"}, 400),
}


@pytest.mark.parametrize(("fields", "status"), BAD.values(), ids=BAD.keys())
async def test_bad_input_is_told_and_leaves_no_file(
    client: httpx.AsyncClient, tmp_path: Path, fields: dict[str, str], status: int
) -> None:
    answer = await client.post("/api/tts-generate", data=fields or {"x": "y"})
    body = answer.json()
    assert answer.status_code == status, body
    assert body["status"] == "generate-failure"
    assert body["error"]
    assert isinstance(body["detail"], list if status == 422 else str)
    assert sounds_in(tmp_path / "outputs") == []
    assert (await speak(client)).status_code == 200


@pytest.mark.parametrize("content", [b"{", b"[1]", b'"text"', b"\xff\xfe", b"[" * 100_000])
async def test_malformed_json_is_422(client: httpx.AsyncClient, content: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = await client.post("/api/tts-generate", content=content, headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (422, "generate-failure")


async def test_a_folder_that_cannot_be_written_is_an_error_and_the_next_request_works(
    client: httpx.AsyncClient, outputs_in_the_way: Path
) -> None:
    answer = await speak(client)
    assert (answer.status_code, answer.json()["status"]) == (500, "generate-failure")
    os.unlink(outputs_in_the_way)
    assert (await speak(client)).status_code == 200


async def test_a_part_that_calls_itself_a_file_is_its_text(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/tts-generate", files={"text_input": ("a.txt", b"one two")})
    assert len(await heard(client, answer)) == 2


async def test_a_huge_multipart_field_is_400(client: httpx.AsyncClient) -> None:
    fields = {"text_input": (None, "a" * (9 * 1024 * 1024))}
    answer = await client.post("/api/tts-generate", files=fields)
    assert (answer.status_code, answer.json()["status"]) == (400, "generate-failure")
    assert isinstance(answer.json()["detail"], str)


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("application/x-www-form-urlencoded", b"text_input=one%ff%fe+two"),
        ("application/x-www-form-urlencoded; charset=latin-1", b"text_input=one+\xe9t\xe9"),
        ("multipart/form-data; boundary=x; charset=nonsense", None),
    ],
)
async def test_other_encodings_are_read_as_well_as_may_be(
    client: httpx.AsyncClient, content_type: str, content: bytes | None
) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="text_input"\r\n\r\none \xe9\r\n--x--\r\n'
    answer = await client.post(
        "/api/tts-generate", content=content or part, headers={"content-type": content_type}
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=x"])
async def test_a_broken_multipart_body_is_refused_as_such(
    client: httpx.AsyncClient, content_type: str
) -> None:
    headers = {"content-type": content_type}
    answer = await client.post("/api/tts-generate", content=b"no parts", headers=headers)
    assert answer.status_code in (400, 422)
    assert answer.json()["status"] == "generate-failure"


@pytest.mark.parametrize("name", ["_edge_", "a-b c", "数", "42"])
async def test_a_name_with_other_characters_is_made_safe(
    client: httpx.AsyncClient, name: str
) -> None:
    answer = await speak(client, output_file_name=name, output_file_timestamp="false")
    kept = {"_edge_": "_edge_", "a-b c": "a_b_c", "数": "_", "42": "42"}[name]
    assert answer.json()["output_file_url"] == f"/audio/{kept}.wav"


async def test_streaming_answers_the_sound_itself(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    answer = await speak(client, streaming="True", character_voice_gen="low")
    assert answer.headers["content-type"] == "audio/wav"
    assert hear(answer.content).pitches == [220, 220, 220]
    assert sounds_in(tmp_path / "outputs") == []


async def test_autoplay_does_not_fail_or_delay_the_answer(
    client: httpx.AsyncClient,
    app: FastAPI,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("PATH", "")  # no player to be found
    for _ in range(3):
        assert (await speak(client, autoplay="true", autoplay_volume="0.1")).status_code == 200
    await app.state.autoplay.finished()
    assert caplog.text.count("Autoplay") == 1


async def test_autoplay_plays_at_the_volume_that_was_asked_for(
    client: httpx.AsyncClient, app: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    player = tmp_path / "bin" / "pw-play"
    player.parent.mkdir()
    player.write_text(f'#!/bin/sh\ncp "$1" {tmp_path}/played\n')
    player.chmod(0o755)
    monkeypatch.setenv("PATH", f"{player.parent}:/bin:/usr/bin")
    answer = await speak(client, autoplay="true", autoplay_volume="0.5")
    await app.state.autoplay.finished()
    loud = hear(content(answer.json()["output_file_path"])).samples
    quiet = hear(content(tmp_path / "played")).samples
    assert abs(quiet).max() == pytest.approx(abs(loud).max() / 2, rel=0.01)


@pytest.mark.parametrize("path", ["/api/previewvoice", "/api/previewvoice/"])
@pytest.mark.parametrize("encoding", ["data", "files"])
async def test_a_preview_speaks_a_sentence_in_the_voice(
    client: httpx.AsyncClient, path: str, encoding: str
) -> None:
    fields = {"voice": "low", "rvccharacter_voice_gen": "Disabled", "rvccharacter_pitch": "0"}
    sent = fields if encoding == "data" else {key: (None, value) for key, value in fields.items()}
    answer = await client.post(path, **{encoding: sent})
    assert answer.json()["status"] == "generate-success"
    assert set(await heard(client, answer)) == {220}


async def test_previews_that_meet_are_each_heard(client: httpx.AsyncClient) -> None:
    pitch = {"low": 220, "mid": 440, "high": 880}
    answers = await asyncio.gather(
        *(client.post("/api/previewvoice/", data={"voice": voice}) for voice in pitch)
    )
    assert [set(await heard(client, each)) for each in answers] == [{hz} for hz in pitch.values()]


@pytest.mark.parametrize(
    ("fields", "status"),
    [({}, 422), ({"voice": "nobody"}, 400), ({"voice": "low", "rvccharacter_pitch": "x"}, 422)],
)
async def test_a_preview_that_cannot_be_is_told(
    client: httpx.AsyncClient, fields: dict[str, str], status: int
) -> None:
    answer = await client.post("/api/previewvoice/", data=fields)
    assert (answer.status_code, answer.json()["status"]) == (status, "generate-failure")


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ('*""*', 400),
        ('*""*' * 25_000, 400),
        ('*"' * 50_000 + "word", 200),
        ('*one.* "two." ' * 5_000, 200),
    ],
    ids=["only marks", "100 kB of marks", "unbalanced marks", "10,000 segments"],
)
async def test_narration_of_any_size_and_shape_is_answered(
    client: httpx.AsyncClient, app: FastAPI, text: str, status: int
) -> None:
    await app.state.control.change_settings({"api_def.api_max_characters": 1_000_000})
    answer = await speak(client, text_input=text, narrator_enabled="true")
    assert answer.status_code == status, answer.text


async def test_a_full_disk_is_507_and_leaves_nothing_and_the_next_request_works(
    client: httpx.AsyncClient, service: SpeechService, full_disk: Path
) -> None:
    service.outputs.folder = full_disk
    answer = await speak(client, text_input="word " * 100)
    assert (answer.status_code, answer.json()["status"]) == (507, "generate-failure")
    assert answer.json()["error"].startswith("Could not write ")
    assert os.listdir(full_disk) == []
    assert await heard(client, await speak(client, character_voice_gen="low")) == [220] * 3
