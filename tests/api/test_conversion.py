"""Voice conversion as clients meet it: on every endpoint that makes sound, and its own."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from hearing import hear
from rvc_home import add_rvc

from alltalk.app import create_app
from alltalk.audio import Audio
from alltalk.clips.reference import wav_bytes
from alltalk.encode import packed
from alltalk.home import Home
from alltalk.speech import AudioFormat

ANA, BOB = "Ana/ana.pth", "Bob/bob.pth"


@pytest.fixture
async def app(tmp_path: Path) -> AsyncGenerator[FastAPI]:
    """As everywhere, with two RVC voices."""
    add_rvc(tmp_path, "Ana", "Bob")
    app = create_app(Home(tmp_path), engine="tone")
    async with app.router.lifespan_context(app):
        await app.state.service.pool.ready()
        yield app


def tone(hz: float, seconds: float, sample_rate: int = 24000) -> bytes:
    """A recording of a voice at one pitch."""
    times = np.arange(round(seconds * sample_rate)) / sample_rate
    sound = sum(np.sin(2 * np.pi * hz * n * times) / n for n in range(1, 8))
    return wav_bytes(Audio((0.2 * sound).astype(np.float32), sample_rate))


def pitch_hz(samples: np.ndarray, sample_rate: int) -> float:
    """Where the spectrum has its peak."""
    windowed = (samples - samples.mean()) * np.hanning(len(samples))
    spectrum = np.abs(np.fft.rfft(windowed, 4 * len(samples)))
    return float(spectrum.argmax() * sample_rate / (4 * len(samples)))


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


async def test_voices_are_listed_after_disabled_and_base_files_never(client):
    answer = await client.get("/api/rvcvoices")
    assert answer.json()["rvcvoices"] == answer.json()["voices"] == ["Disabled", ANA, BOB]
    listed = (await client.get("/v1/rvc-voices")).json()
    assert [each["id"] for each in listed["data"]] == [ANA, BOB]


async def test_a_narrated_request_has_each_part_in_its_own_voice(client):
    fields = {
        "text_input": '*one* "two"',
        "narrator_enabled": "true",
        "character_voice_gen": "tone-500",
        "narrator_voice_gen": "tone-300",
        "rvccharacter_voice_gen": ANA,
        "rvccharacter_pitch": "12",
        "rvcnarrator_voice_gen": r"Bob\bob.pth",
        "rvcnarrator_pitch": "-12",
    }
    answer = await client.post("/api/tts-generate", data=fields)
    assert answer.json()["status"] == "generate-success"
    heard = hear((await client.get(answer.json()["output_file_url"])).content)
    half = len(heard.samples) // 2
    parts = heard.samples[:half], heard.samples[half:]
    found = [pitch_hz(part, heard.sample_rate) for part in parts]
    assert found == pytest.approx([150, 1000], rel=0.02)


SPEECH = {"model": "tts-1", "input": "one", "voice": "tone-500", "response_format": "wav"}
CONVERTED = {"rvccharacter_voice_gen": ANA, "rvccharacter_pitch": 12}


@pytest.mark.parametrize("stream_format", ["audio", "sse"])
async def test_the_openai_api_converts_streams_too(client, stream_format):
    body = {**SPEECH, **CONVERTED, "stream_format": stream_format, "cache": False}
    answer = await client.post("/v1/audio/speech", json=body)
    assert answer.status_code == 200
    if stream_format == "audio":
        heard = hear(answer.content)
        assert pitch_hz(heard.samples, heard.sample_rate) == pytest.approx(1000, rel=0.02)
    else:
        assert "speech.audio.done" in answer.text


async def test_a_narrated_stream_as_mp3_has_each_part_in_its_own_voice(client):
    body = {
        **{"model": "tts-1", "input": '*one* "two"', "voice": "tone-500"},
        **{"response_format": "mp3", "cache": False, "text_filtering": "none"},
        **{"narrator_enabled": "true", "narrator_voice_gen": "tone-300"},
        **{"rvccharacter_voice_gen": ANA, "rvccharacter_pitch": 12},
        **{"rvcnarrator_voice_gen": BOB, "rvcnarrator_pitch": -12},
    }
    answer = await client.post("/v1/audio/speech", json=body)
    assert answer.headers["content-type"] == "audio/mpeg"
    heard = hear(answer.content)
    half = len(heard.samples) // 2
    parts = heard.samples[:half], heard.samples[half:]
    found = [pitch_hz(part, heard.sample_rate) for part in parts]
    assert found == pytest.approx([150, 1000], rel=0.02)


async def test_a_cancelled_request_leaves_the_conversion_to_the_next(client, app):
    book = asyncio.ensure_future(
        client.post("/v1/audio/speech", json={**SPEECH, **CONVERTED, "input": "word " * 800})
    )
    requests = app.state.service.requests
    async with asyncio.timeout(60):
        while not len(requests) or app.state.conversions.memory_bytes == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # nothing rings for a test
    listed = (await client.get("/api/requests")).json()["requests"]
    await client.delete(f"/api/requests/{listed[0]['id']}")
    assert (await book).status_code == 499
    answer = await client.post("/v1/audio/speech", json={**SPEECH, **CONVERTED})
    assert answer.status_code == 200


async def test_freeing_memory_frees_that_of_voices_too(client, app):
    await client.post("/v1/audio/speech", json={**SPEECH, **CONVERTED})
    assert app.state.conversions.memory_bytes > 0
    await app.state.service.free()
    assert app.state.conversions.memory_bytes == 0
    again = await client.post("/v1/audio/speech", json={**SPEECH, **CONVERTED, "cache": False})
    assert again.status_code == 200


async def test_two_hundred_at_once_are_all_converted_as_asked(client):
    bodies = [
        {**SPEECH, "cache": False, "rvccharacter_voice_gen": ANA, "rvccharacter_pitch": pitch}
        for pitch in [12, -12] * 100
    ]
    answers = await asyncio.gather(*(client.post("/v1/audio/speech", json=body) for body in bodies))
    found = [hear(answer.content) for answer in answers]
    pitches = [pitch_hz(heard.samples, heard.sample_rate) for heard in found]
    assert pitches == pytest.approx([1000, 250] * 100, rel=0.02)


async def test_the_preview_is_converted(client):
    fields = {"voice": "tone-500", "rvccharacter_voice_gen": ANA, "rvccharacter_pitch": "12"}
    answer = await client.post("/api/previewvoice/", data=fields)
    heard = hear((await client.get(answer.json()["output_file_url"])).content)
    assert pitch_hz(heard.samples[: heard.sample_rate], heard.sample_rate) == pytest.approx(
        1000, rel=0.02
    )


async def test_settings_convert_where_a_request_does_not_say(tmp_path):
    add_rvc(tmp_path, "Ana")
    settings = '{"rvc_settings": {"rvc_enabled": true, "rvc_char_model_file": "%s", "pitch": 12}}'
    (tmp_path / "confignew.json").write_text(settings % ANA)
    app = create_app(Home(tmp_path), engine="tone")
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            fields = {"text_input": "one", "character_voice_gen": "tone-500"}
            answer = await client.post("/api/tts-generate", data=fields)
            saved = await client.get(answer.json()["output_file_url"])
            query = {"text": "one", "voice": "tone-500", "language": "en", "output_file": "a.wav"}
            streamed = await client.get("/api/tts-generate-streaming", params=query)
            openai = await client.post("/v1/audio/speech", json=SPEECH)
    for content in (saved.content, openai.content, streamed.content):
        heard = hear(content)
        assert pitch_hz(heard.samples, heard.sample_rate) == pytest.approx(1000, rel=0.02)


async def test_an_unknown_voice_is_an_error_in_the_shape_of_each_api(client):
    fields = {"text_input": "one", "rvccharacter_voice_gen": "Eve/eve.pth"}
    v2 = await client.post("/api/tts-generate", data=fields)
    assert (v2.status_code, v2.json()["status"]) == (400, "generate-failure")
    body = {**SPEECH, "rvccharacter_voice_gen": "../../etc/passwd"}
    openai = await client.post("/v1/audio/speech", json=body)
    assert (openai.status_code, openai.json()["error"]["code"]) == (400, "unknown_rvc_voice")


@pytest.mark.parametrize("pitch", [99, -25])
async def test_a_pitch_out_of_range_is_refused_not_clamped(client, pitch):
    body = {**SPEECH, "rvccharacter_voice_gen": ANA, "rvccharacter_pitch": pitch}
    assert (await client.post("/v1/audio/speech", json=body)).status_code in (400, 422)
    fields = {"text_input": "one", "rvccharacter_voice_gen": ANA, "rvccharacter_pitch": pitch}
    assert (await client.post("/api/tts-generate", data=fields)).status_code in (400, 422)


async def test_a_voice_that_cannot_be_loaded_is_an_error_and_no_sound(client, tmp_path):
    (tmp_path / "rvc_models" / ANA).write_bytes(b"no model")
    answer = await client.post("/v1/audio/speech", json={**SPEECH, **CONVERTED})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "rvc_model_invalid")


async def test_sound_that_is_no_number_is_an_error_and_the_next_is_converted(app, client):
    pool = app.state.service.pool
    await pool.edit(0, settings={"faults": True})
    await pool.ready()
    for streamed in (False, True):
        fields = {"text_input": "one nan", "streaming": streamed, "rvccharacter_voice_gen": ANA}
        answer = await client.post("/api/tts-generate", data=fields)
        assert (answer.status_code, answer.json()["status"]) == (500, "generate-failure")
    answer = await client.post("/v1/audio/speech", json={**SPEECH, **CONVERTED})
    assert answer.status_code == 200


async def test_without_the_base_model_an_error_says_what_to_do(client, tmp_path):
    (tmp_path / "rvc_models" / ".base" / "hubert" / "model.safetensors").unlink()
    (tmp_path / "rvc_models" / ".base" / "hubert" / "config.json").unlink()
    (tmp_path / "rvc_models" / ".base" / "hubert").rmdir()
    answer = await client.post("/v1/audio/speech", json={**SPEECH, **CONVERTED})
    assert answer.status_code == 400
    assert "alltalk models install rvc" in answer.json()["error"]["message"]


async def test_switched_off_nothing_is_listed_and_a_request_for_it_refused(tmp_path):
    add_rvc(tmp_path, "Ana", enabled=False)
    app = create_app(Home(tmp_path), engine="tone")
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            assert (await client.get("/api/rvcvoices")).json()["rvcvoices"] == ["Disabled"]
            answer = await client.post("/v1/audio/speech", json={**SPEECH, **CONVERTED})
    assert answer.status_code == 400
    assert "rvc_enabled" in answer.json()["error"]["message"]


async def test_a_replaced_voice_is_heard_though_the_answer_was_cached(client, tmp_path):
    body = {**SPEECH, **CONVERTED}
    first = await client.post("/v1/audio/speech", json=body)
    assert first.headers["x-cache"] == "MISS"
    async with asyncio.timeout(60):  # it is kept a moment after its last byte
        while (await client.post("/v1/audio/speech", json=body)).headers["x-cache"] != "HIT":  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # nothing rings for a test
    (tmp_path / "rvc_models" / "Ana" / "ana.index").unlink()
    other = await client.post("/v1/audio/speech", json=body)
    assert other.headers["x-cache"] == "MISS"
    assert other.content != first.content


async def test_a_recording_is_converted_and_keeps_its_length(client):
    fields = {"voice": BOB, "pitch": "12", "response_format": "wav"}
    files = {"file": ("me.wav", tone(150, 1.5))}
    answer = await client.post("/v1/audio/convert", data=fields, files=files)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/wav")
    heard = hear(answer.content)
    assert (len(heard.samples), heard.sample_rate) == (60000, 40000)
    assert pitch_hz(heard.samples, 40000) == pytest.approx(300, rel=0.01)


@pytest.mark.parametrize(
    ("fields", "content", "problem"),
    [
        ({"voice": BOB}, b"no sound", "cannot be read as sound"),
        ({"voice": BOB, "response_format": "midi"}, tone(150, 0.3), "no audio format"),
        ({"voice": BOB, "pitch": "30"}, tone(150, 0.3), "pitch"),
        ({"voice": "Eve/eve.pth"}, tone(150, 0.3), "no voice 'Eve/eve.pth'"),
        ({}, tone(150, 0.3), "voice"),
    ],
)
async def test_what_cannot_be_converted_is_refused_with_the_reason(
    client, fields, content, problem
):
    files = {"file": ("me.wav", content)}
    answer = await client.post("/v1/audio/convert", data=fields, files=files)
    assert answer.status_code in (400, 422)
    assert problem in answer.json()["error"]["message"]


async def test_a_recording_of_an_hour_is_refused_before_it_is_converted(client):
    hour = Audio(np.zeros(3600 * 8000, np.float32), 8000)
    files = {"file": ("hour.flac", packed(hour, AudioFormat.named("flac")))}
    answer = await client.post("/v1/audio/convert", data={"voice": ANA}, files=files)
    assert answer.status_code == 400
    assert "300 s" in answer.json()["error"]["message"]


async def test_voice2rvc_works_in_the_outputs_folder_alone(client, outputs):
    (outputs / "in.wav").write_bytes(tone(150, 0.5))
    fields = {
        "input_tts_path": "in.wav",
        "output_rvc_path": str(outputs / "out.mp3"),
        "pth_name": ANA,
        "pitch": "0",
        "method": "rmvpe",
    }
    answer = await client.post("/api/voice2rvc", data=fields)
    assert answer.json()["status"] == "success"
    assert hear((outputs / "out.mp3").read_bytes()).codec.startswith("mp3")
    for changed in ({"input_tts_path": "../confignew.json"}, {"output_rvc_path": "/etc/out.wav"}):
        refused = await client.post("/api/voice2rvc", data={**fields, **changed})
        assert refused.status_code == 400
    missing = await client.post("/api/voice2rvc", data={**fields, "input_tts_path": "no.wav"})
    assert missing.status_code == 404


def pth(tmp_path: Path) -> bytes:
    return (tmp_path / "rvc_models" / ANA).read_bytes()


async def test_a_voice_is_uploaded_used_and_deleted(client, tmp_path):
    index = (tmp_path / "rvc_models" / "Ana" / "ana.index").read_bytes()
    archive = zipped(
        {
            "Eve/readme.txt": b"mine",
            "Eve/Eve.pth": pth(tmp_path),
            "Eve/trained_Eve.index": b"half",
            "Eve/added_Eve.index": index,
        }
    )
    sent = await client.post("/v1/rvc-voices", files={"file": ("eve.zip", archive)})
    assert sent.json()["id"] == "Eve/Eve.pth"
    assert sorted(p.name for p in (tmp_path / "rvc_models/Eve").iterdir()) == [
        "Eve.index",
        "Eve.pth",
    ]
    body = {**SPEECH, "rvccharacter_voice_gen": "Eve/Eve.pth"}
    assert (await client.post("/v1/audio/speech", json=body)).status_code == 200
    taken = await client.post("/v1/rvc-voices", files={"file": ("eve.zip", archive)})
    assert taken.status_code == 400
    over = {"overwrite": "true"}
    again = await client.post("/v1/rvc-voices", data=over, files={"file": ("eve.zip", archive)})
    assert again.status_code == 200
    assert (await client.delete("/v1/rvc-voices/Eve/Eve.pth")).json()["deleted"] is True
    assert not (tmp_path / "rvc_models/Eve").exists()


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda voice: zipped({"../../up.pth": voice}), "leads out"),
        (lambda voice: zipped({"/etc/up.pth": voice}), "leads out"),
        (lambda voice: zipped({"a.pth": voice, "b.pth": voice}), "2 voices"),
        (lambda voice: zipped({"readme.txt": b""}), "no voice"),
        (lambda voice: b"PK\x03\x04 no archive", "cannot be unpacked"),
        (lambda voice: zipped({"a.pth": voice[:1000]}), "damaged"),
        (lambda voice: zipped({"a.pth": voice, "a.index": b"none"}), "index"),
    ],
)
async def test_an_upload_that_is_no_voice_leaves_nothing(client, tmp_path, make, problem):
    files = {"file": ("voice.zip", make(pth(tmp_path)))}
    answer = await client.post("/v1/rvc-voices", files=files)
    assert answer.status_code == 400
    assert problem in answer.json()["error"]["message"]
    assert sorted(p.name for p in (tmp_path / "rvc_models").iterdir()) == [
        ".base",
        "Ana",
        "Bob",
        *(["README.md"] if (tmp_path / "rvc_models/README.md").exists() else []),
    ]


async def test_an_archive_that_unpacks_to_more_than_it_may_is_refused(client, app, tmp_path):
    app.state.conversions._shelf._largest = lambda: 100_000
    files = {"file": ("bomb.zip", zipped({"a.pth": bytes(10_000_000)}))}
    answer = await client.post("/v1/rvc-voices", files=files)
    assert answer.status_code == 413
    assert sorted(p.name for p in (tmp_path / "rvc_models").iterdir())[:3] == [
        ".base",
        "Ana",
        "Bob",
    ]


async def test_an_upload_replaces_nothing_but_one_voice(client, tmp_path):
    folder, content = tmp_path / "rvc_models", pth(tmp_path)
    (folder / "Ana" / "other.pth").write_bytes(content)
    for name in (".base", "Ana"):
        fields = {"name": name, "overwrite": "true"}
        sent = await client.post("/v1/rvc-voices", data=fields, files={"file": ("a.pth", content)})
        assert sent.status_code == 400
    assert (folder / ".base" / "hubert").is_dir()
    assert (folder / "Ana" / "other.pth").is_file()


async def test_a_damaged_archive_is_refused(client, tmp_path):
    archive = bytearray(zipped({"a.pth": pth(tmp_path)}))
    archive[40:4000] = bytes(3960)
    files = {"file": ("voice.zip", bytes(archive))}
    assert (await client.post("/v1/rvc-voices", files=files)).status_code == 400


async def test_a_voice_that_is_not_there_cannot_be_deleted(client):
    assert (await client.delete("/v1/rvc-voices/Eve/eve.pth")).status_code == 404


async def test_hidden_files_and_broken_paths_are_not_voice2rvcs(client):
    fields = {"input_tts_path": "in.wav", "pth_name": ANA, "pitch": "0", "method": "rmvpe"}
    for path in (".cache/a.wav", "a\0b.wav"):
        answer = await client.post("/api/voice2rvc", data={**fields, "output_rvc_path": path})
        assert answer.status_code == 400
