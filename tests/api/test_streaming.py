"""`/api/tts-generate-streaming`."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from hearing import hear, hear_pcm

from alltalk.service import SpeechService
from alltalk.speech import FORMATS, SpeechRequest, Ticket
from alltalk.tail import Tail

QUERY = {"text": "one two three", "voice": "low", "language": "en", "output_file": "x.wav"}
PATH = "/api/tts-generate-streaming"


async def test_a_wav_of_unknown_length_at_24_khz(client: httpx.AsyncClient) -> None:
    answer = await client.get(PATH, params=QUERY)
    header, samples = answer.content[:44], answer.content[44:]
    assert answer.headers["content-type"] == "audio/wav"
    assert "content-length" not in answer.headers
    assert header[:4] == b"RIFF"
    assert header[4:8] == header[40:44] == b"\xff\xff\xff\xff"
    assert int.from_bytes(header[24:28], "little") == 24000
    assert hear_pcm(samples).pitches == [220, 220, 220]


async def test_a_form_content_type_on_a_get_without_body_is_no_matter(
    client: httpx.AsyncClient,
) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert (await client.get(PATH, params=QUERY, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"text": ""}, 400),
        ({"text": "😀"}, 400),
        ({"voice": "nobody"}, 400),
        ({"language": "xx-nowhere"}, 400),
    ],
)
async def test_what_is_wrong_is_told_before_the_stream_begins(
    client: httpx.AsyncClient, change: dict[str, str], status: int
) -> None:
    answer = await client.get(PATH, params={**QUERY, **change})
    assert answer.status_code == status
    assert answer.json()["error"]


async def test_a_missing_field_is_422(client: httpx.AsyncClient) -> None:
    answer = await client.get(PATH, params={"text": "one"})
    assert answer.status_code == 422
    assert {problem["loc"][1] for problem in answer.json()["detail"]} == {
        "voice",
        "language",
        "output_file",
    }


@pytest.mark.parametrize(
    ("format", "content_type", "codec"),
    [
        ("mp3", "audio/mpeg", "mp3float"),
        ("flac", "audio/flac", "flac"),
        ("opus", "audio/ogg", "opus"),
    ],
)
async def test_other_formats_stream_as_well(
    client: httpx.AsyncClient, format: str, content_type: str, codec: str
) -> None:
    answer = await client.get(PATH, params={**QUERY, "format": format})
    heard = hear(answer.content)
    assert (answer.headers["content-type"], heard.codec) == (content_type, codec)
    assert heard.pitches == [220, 220, 220]


async def test_a_stream_takes_a_narrator_and_a_filter(client: httpx.AsyncClient) -> None:
    narrated = {"narrator_enabled": "true", "narrator_voice_gen": "high", "text_filtering": "html"}
    text = "*one two* &quot;three&quot;"
    answer = await client.get(PATH, params={**QUERY, "text": text, **narrated})
    assert hear_pcm(answer.content[44:]).pitches == [880, 880, 220]


async def test_a_stream_that_was_heard_whole_is_kept_with_its_true_length(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    answer = await client.get(PATH, params={**QUERY, "output_file": "../my stream.wav"})
    kept = (tmp_path / "outputs" / "my_stream.wav").read_bytes()
    assert kept[44:] == answer.content[44:]
    assert int.from_bytes(kept[40:44], "little") == len(kept) - 44
    assert (await client.get("/audio/my_stream.wav")).content == kept


async def test_a_disk_that_refuses_keeps_nobody_from_hearing(
    client: httpx.AsyncClient, outputs_in_the_way: Path, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await client.get(PATH, params=QUERY)
    assert hear_pcm(answer.content[44:]).pitches == [220, 220, 220]
    assert "not kept" in caplog.text


async def test_a_post_answers_when_the_file_is_complete(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    answer = await client.post(PATH, data={**QUERY, "output_file": "../../posted.wav"})
    assert answer.json()["output_file_path"] == "../../posted.wav"
    file = await client.get("/audio/posted.wav")
    assert hear(file.content).pitches == [220, 220, 220]
    assert os.listdir(tmp_path / "outputs") == ["posted.wav"]


async def test_a_post_that_accepts_sound_gets_it(client: httpx.AsyncClient) -> None:
    answer = await client.post(PATH, data=QUERY, headers={"accept": "audio/wav"})
    assert answer.headers["content-type"] == "audio/wav"
    assert hear_pcm(answer.content[44:]).pitches == [220, 220, 220]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_demo_path_of_v1_is_the_same(client: httpx.AsyncClient, method: str) -> None:
    sent = {**QUERY, "streaming": "true"}
    if method == "GET":
        answer = await client.get("/tts-demo-request", params=sent)
        assert answer.content[:4] == b"RIFF"
    else:
        answer = await client.post("/tts-demo-request", data=sent)
        assert answer.json()["output_file_path"] == "x.wav"


async def test_v2s_refusal_is_back_where_the_setting_asks_for_it(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    await client.post("/api/enginereload?engine=espeak")
    can = app.state.service.status().capabilities.streaming
    await app.state.control.change_settings({"speech.strict_streaming": True})
    answer = await client.get(PATH, params={**QUERY, "voice": ""})
    told = (await client.get("/api/currentsettings")).json()["streaming_capable"]
    assert (told, answer.status_code == 200) == (can, can)


@pytest.mark.parametrize(
    "change",
    [{"output_file": "a/"}, {"output_file": "/"}, {"output_file": "con"}, {"format": "exe"},
     {"speed": "9"}, {"narrator_enabled": "perhaps"}, {"narrator_enabled": "true",
     "narrator_voice_gen": "nobody"}, {"rvccharacter_voice_gen": "a/b.pth"}],
)  # fmt: skip
async def test_bad_fields_of_a_stream_are_400(
    client: httpx.AsyncClient, change: dict[str, str]
) -> None:
    answer = await client.get(PATH, params={**QUERY, **change})
    assert (answer.status_code, answer.json()["status"]) == (400, "generate-failure")


async def test_who_leaves_frees_the_effects_that_are_under_way(
    service: SpeechService, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[tuple[bool, bool]] = []

    def close(tail: Tail) -> None:
        under_way = tail._stage is not None
        closing(tail)
        closed.append((under_way, tail._stage is not None))

    closing = Tail.close
    monkeypatch.setattr(Tail, "close", close)
    await service.pool.edit(0, settings={"native_speed": False})
    await service.pool.ready()
    request = SpeechRequest(text="word " * 40, voice="low", speed=1.5, format=FORMATS["wav"])
    sound = service.encoded(request, Ticket("r"))
    assert (await anext(sound))[:4] == b"RIFF"
    await sound.aclose()
    assert closed == [(True, False)]
    assert len(service.requests) == 0
