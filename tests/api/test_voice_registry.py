"""`/v1/voices`: uploading, listing, hearing, changing and deleting voices."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hearing import hear, hear_pcm
from recordings import packed, quiet, tone, wav

from alltalk.api.uploads import Form, read_clip, while_spoken
from alltalk.app import create_app
from alltalk.clips import OneOffVoice
from alltalk.errors import BadInput, BadValue, CannotClone, TooLarge
from alltalk.home import Home
from alltalk.service import SpeechService
from alltalk.speech import FORMATS, SpeechRequest, Ticket
from alltalk.studio import Studio

CLIP = wav(tone(4, 330))


async def upload(client: httpx.AsyncClient, *clips: bytes, **fields: str) -> httpx.Response:
    files = [("clip", (f"take {n}.wav", clip)) for n, clip in enumerate(clips)]
    none = [("ignored", (None, b""))]  # httpx sends a multipart form only where it has parts
    return await client.post("/v1/voices", data=fields, files=files or none)


async def say(client: httpx.AsyncClient, voice: str) -> list[int]:
    """The pitches heard when `voice` speaks."""
    body = {"input": "one two", "voice": voice, "response_format": "wav"}
    answer = await client.post("/v1/audio/speech", json=body)
    assert answer.status_code == 200, answer.text
    return hear(answer.content).pitches


def multipart(*parts: tuple[str, bytes]) -> tuple[bytes, dict[str, str]]:
    """A body by hand: each part's Content-Disposition parameters, and its content."""
    body = b"".join(
        b"--B\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (head.encode(), content)
        for head, content in parts
    )
    return body + b"--B--\r\n", {"Content-Type": "multipart/form-data; boundary=B"}


# Uploading


async def test_an_uploaded_voice_is_described_listed_and_spoken_with(
    client: httpx.AsyncClient,
) -> None:
    answer = await upload(client, CLIP, name="Zoë", language="de-DE", transcript="Hallo.")
    assert answer.status_code == 200
    voice = answer.json()
    assert voice.pop("warnings") == []
    assert voice == {
        "id": "Zoë.wav",
        "object": "voice",
        "name": "Zoë.wav",
        "language": "de-de",
        "wav_path": "Zoë.wav",
        "transcript": "Hallo.",
    }
    listed = (await client.get("/v1/voices")).json()
    assert listed["object"] == "list"
    assert listed["data"] == sorted(listed["data"], key=lambda each: each["name"])
    assert voice in listed["data"]
    assert listed["default"] in {each["id"] for each in listed["data"]}
    assert (await client.get("/v1/voices/Zoë.wav")).json() == voice
    assert await say(client, "Zoë") == await say(client, "Zoë.wav") == [330, 330]


async def test_every_listed_id_can_be_asked_for(client: httpx.AsyncClient) -> None:
    await upload(client, CLIP, name="me")
    await upload(client, CLIP, CLIP, name="duo")
    listed = (await client.get("/v1/voices")).json()["data"]
    assert {"me.wav", "voiceset:duo", "low"} <= {each["id"] for each in listed}
    for each in listed:
        assert await say(client, each["id"])


async def test_without_a_name_the_files_own_counts(client: httpx.AsyncClient) -> None:
    assert (await upload(client, CLIP)).json()["id"] == "take 0.wav"


async def test_a_voice_of_an_openai_name_is_meant_by_it(client: httpx.AsyncClient) -> None:
    before = await say(client, "alloy")
    await upload(client, CLIP, name="alloy")
    assert await say(client, "alloy") == [330, 330] != before


async def test_what_better_clips_would_not_have_is_told(client: httpx.AsyncClient) -> None:
    (warning,) = (await upload(client, wav(tone(1)), name="me")).json()["warnings"]
    assert "3 to 30 s" in warning


@pytest.mark.parametrize(
    ("clips", "fields", "param", "message"),
    [
        ((), {"name": "me"}, "clip", "at least one recording"),
        ((b"",), {"name": "me"}, "clip", "cannot be read as sound"),
        ((b"Dear Sir or Madam, " * 99,), {"name": "me"}, "clip", "cannot be read as sound"),
        ((wav(quiet(5)),), {"name": "me"}, "clip", "is silent"),
        ((wav(tone(301, sample_rate=8000), 8000),), {"name": "me"}, "clip", "longer than 300 s"),
        ((CLIP,), {"name": "../me"}, "name", "cannot be a file name"),
        ((CLIP,), {"name": "me", "language": "../de"}, "language", "pattern"),
        ((CLIP,), {"name": "me", "overwrite": "perhaps"}, "overwrite", "boolean"),
        ((CLIP,), {"name": "there"}, "name", "already"),
    ],
)
async def test_what_cannot_be_a_voice_is_a_400_that_says_why(
    client: httpx.AsyncClient, clips: Any, fields: Any, param: str, message: str
) -> None:
    await upload(client, CLIP, name="there")
    answer = await upload(client, *clips, **fields, other="x")
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param)
    assert message in error["message"]


async def test_overwriting_is_asked_for(client: httpx.AsyncClient) -> None:
    await upload(client, CLIP, name="me")
    answer = await upload(client, wav(tone(4, 550)), name="me", overwrite="true")
    assert answer.status_code == 200
    assert await say(client, "me") == [550, 550]


# Bad bodies


async def test_a_body_that_is_cut_off_or_no_form_is_a_400(client: httpx.AsyncClient) -> None:
    body, headers = multipart(('name="name"', b"me"), ('name="clip"; filename="a.wav"', CLIP))
    for content, type in [
        (body[: len(body) // 2], headers),
        (body[:-4], headers),
        (b"", headers),
        (b"no form at all", headers),
        (body, {"Content-Type": "multipart/form-data"}),
        (body, {"Content-Type": "multipart/form-data; boundary=" + "x" * 500}),
        (b"{}", {"Content-Type": "application/json"}),
        (b"name=me", {"Content-Type": "application/x-www-form-urlencoded"}),
        (b"--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--\r\n", headers),
    ]:
        answer = await client.post("/v1/voices", content=content, headers=type)
        assert answer.status_code == 400, content[:50]
        assert answer.json()["error"]["message"]
    assert "me.wav" not in (await client.get("/v1/voices")).text


async def test_an_upload_of_2_gb_is_refused_by_its_announced_length(
    client: httpx.AsyncClient,
) -> None:
    read = 0

    async def body() -> AsyncGenerator[bytes]:
        nonlocal read
        while read < 4_000_000:
            read += 65536
            yield bytes(65536)

    headers = {"Content-Type": "multipart/form-data; boundary=B", "Content-Length": str(2 << 30)}
    answer = await client.post("/v1/voices", content=body(), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


async def test_a_file_without_end_is_refused_as_it_arrives(client: httpx.AsyncClient) -> None:
    sent = 0

    async def body() -> AsyncGenerator[bytes]:
        nonlocal sent
        yield b'--B\r\nContent-Disposition: form-data; name="clip"; filename="a.wav"\r\n\r\n'
        while sent < 2 << 30:
            sent += 1 << 20
            yield bytes(1 << 20)

    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    answer = await client.post("/v1/voices", content=body(), headers=headers)
    assert answer.status_code == 413


def test_a_large_file_is_not_held_in_memory() -> None:
    form = Form(b"B", 64 << 20)
    form.feed(b'--B\r\nContent-Disposition: form-data; name="clip"; filename="a.wav"\r\n\r\n')
    tracemalloc.start()
    for _ in range(32):
        form.feed(bytes(1 << 20))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    form.feed(b"\r\n--B--\r\n")
    (sent,) = form.uploads
    assert (len(sent.file.read()), form.is_complete) == (32 << 20, True)
    assert peak < 8 << 20
    form.close()
    assert sent.file.closed


def test_the_pieces_that_a_form_arrives_in_do_not_matter() -> None:
    body, _ = multipart(
        ('name="name"', "Zoë\r\n--C".encode()),
        ('name="custom_voice_file"; filename=""', b""),
        ('name="speaker_wav"; filename="Zoë.wav"', b"\r\n--" * 9),
    )
    for size in (1, 2, 7, 64, len(body)):
        form = Form(b"B", 1000)
        for start in range(0, len(body), size):
            form.feed(body[start : start + size])
        assert form.fields == {"name": "Zoë\r\n--C"}
        sent = form.upload("custom_voice_file", "speaker_wav")
        assert sent is not None
        assert (sent.name, sent.file.read()) == ("Zoë.wav", b"\r\n--" * 9)
        form.close()


def test_a_form_has_bounds() -> None:
    head = 'name="clip"; filename="a"'
    with pytest.raises(TooLarge):
        feed(Form(b"B", 10), multipart((head, bytes(11)))[0])
    with pytest.raises(BadInput, match="more than 200 parts"):
        feed(Form(b"B", 10), multipart(*[(f'name="{n}"', b"") for n in range(201)])[0])


def feed(form: Form, body: bytes) -> None:
    try:
        form.feed(body)
    finally:
        form.close()


# Hearing, changing, deleting


async def test_a_preview_speaks_with_the_voice(client: httpx.AsyncClient) -> None:
    await upload(client, CLIP, name="me")
    for id, hz in (("me", 330), ("low", 220)):
        answer = await client.get(f"/v1/voices/{id}/preview")
        heard = hear(answer.content)
        assert (answer.headers["content-type"], heard.codec) == ("audio/wav", "pcm_s16le")
        assert set(heard.pitches) == {hz}


async def test_a_renamed_voice_is_found_under_its_new_name_alone(
    client: httpx.AsyncClient,
) -> None:
    await upload(client, CLIP, name="me", language="en")
    renamed = await client.patch("/v1/voices/me.wav", json={"name": "you"})
    assert (renamed.json()["id"], renamed.json()["language"]) == ("you.wav", "en")
    assert await say(client, "you") == [330, 330]
    assert (await client.get("/v1/voices/me.wav")).status_code == 404


@pytest.mark.parametrize("sent", ["json", "data", "files"])
async def test_a_transcript_is_changed_and_emptied(client: httpx.AsyncClient, sent: str) -> None:
    await upload(client, CLIP, name="me", language="en", transcript="Old.")
    for transcript in ("New.", ""):
        part = (None, transcript) if sent == "files" else transcript
        answer = await client.patch("/v1/voices/me", **{sent: {"transcript": part}})  # type: ignore[arg-type]
        assert answer.status_code == 200
        assert answer.json() == (await client.get("/v1/voices/me.wav")).json()
        assert (answer.json()["transcript"], answer.json()["language"]) == (transcript, "en")
    both = {"name": "you", "transcript": "Both."}
    changed = (await client.patch("/v1/voices/me", json=both)).json()
    assert (changed["id"], changed["transcript"]) == ("you.wav", "Both.")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "nothing to change"),
        ({"name": ""}, "nothing to change"),
        ({"transcript": "x" * 10_001}, "10000 characters"),
        ({"transcript": ["x"]}, "string"),
        ({"name": "../x", "transcript": "New."}, "cannot be a file name"),
    ],
)
async def test_a_change_that_cannot_be_is_a_400_and_changes_nothing(
    client: httpx.AsyncClient, body: dict[str, Any], message: str
) -> None:
    await upload(client, CLIP, name="me", transcript="Old.")
    answer = await client.patch("/v1/voices/me", json=body)
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]
    assert (await client.get("/v1/voices/me.wav")).json()["transcript"] == "Old."


async def test_a_deleted_voice_is_gone(client: httpx.AsyncClient, tmp_path: Path) -> None:
    await upload(client, CLIP, CLIP, name="duo")
    answer = await client.delete("/v1/voices/voiceset:duo")
    assert answer.json() == {"id": "voiceset:duo", "object": "voice", "deleted": True}
    assert (await client.delete("/v1/voices/voiceset:duo")).status_code == 404
    assert list((tmp_path / "voices" / "xtts_multi_voice_sets").iterdir()) == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/voices/nobody"),
        ("GET", "/v1/voices/nobody/preview"),
        ("PATCH", "/v1/voices/nobody"),
        ("DELETE", "/v1/voices/nobody"),
        ("DELETE", "/v1/voices/..%2Fconfignew.json"),
    ],
)
async def test_an_unknown_voice_is_a_404(client: httpx.AsyncClient, method: str, path: str) -> None:
    body = {"json": {"name": "x"}} if method == "PATCH" else {}
    answer = await client.request(method, path, **body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("method", ["DELETE", "PATCH"])
async def test_an_engines_own_voices_stay(client: httpx.AsyncClient, method: str) -> None:
    await upload(client, CLIP, name="low")
    answer = await client.request(method, "/v1/voices/low", json={"name": "x"})
    assert answer.status_code == 400
    assert "part of its engine" in answer.json()["error"]["message"]
    assert (await client.delete("/v1/voices/low.wav")).status_code == 200


async def test_other_sites_pages_change_no_voices(client: httpx.AsyncClient) -> None:
    await upload(client, CLIP, name="me")
    foreign = {"Origin": "https://elsewhere.example"}
    assert (await client.post("/v1/voices", headers=foreign)).status_code == 403
    assert (await client.patch("/v1/voices/me", headers=foreign)).status_code == 403
    assert (await client.delete("/v1/voices/me", headers=foreign)).status_code == 403
    assert (await client.post("/admin/reload-voices", headers=foreign)).status_code == 403
    assert (await client.get("/v1/voices", headers=foreign)).status_code == 200


# One-off clips


async def test_a_one_off_clip_speaks_and_is_gone_when_the_sound_ends_or_is_left(
    service: SpeechService, studio: Studio
) -> None:
    for heard_whole in (True, False):
        clip = await one_off(studio, ("custom_voice_file", CLIP), ("speaker_wav", b"not read"))
        assert clip is not None
        request = SpeechRequest("one two three", voice=clip.voice, format=FORMATS["pcm"])
        sound = while_spoken(clip, service.encoded(request, Ticket("a")))
        first = await anext(sound)
        assert clip.voice.clips[0].exists()
        if heard_whole:
            pcm = first + b"".join([piece async for piece in sound])
            assert hear_pcm(pcm, 24000).pitches == [330, 330, 330]
        await sound.aclose()
        assert not clip.voice.clips[0].parent.exists()


async def test_the_alias_serves_where_the_first_field_is_not_sent(studio: Studio) -> None:
    clip = await one_off(studio, ("speaker_wav", CLIP))
    assert clip is not None
    clip.close()
    assert await one_off(studio, ("another", CLIP)) is None


async def test_a_one_off_clip_that_is_no_sound_is_refused(studio: Studio) -> None:
    with pytest.raises(BadValue, match=r"speaker_wav: 'a\.wav' cannot be read as sound"):
        await one_off(studio, ("speaker_wav", b"Dear Sir or Madam"))


async def one_off(studio: Studio, *files: tuple[str, bytes]) -> OneOffVoice | None:
    """The voice of a form with `files`."""
    form = Form(b"B", 1 << 20)
    try:
        form.feed(multipart(*[(f'name="{name}"; filename="a.wav"', c) for name, c in files])[0])
        return await read_clip(form, studio)
    finally:
        form.close()


@pytest.fixture
def studio(app: FastAPI) -> Studio:
    """Where voices are made."""
    studio: Studio = app.state.studio
    return studio


# voices.json


async def test_reloading_tells_who_is_there_and_who_is_not(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    (tmp_path / "voices" / "standard").mkdir()
    clip = packed(tone(4, 330, sample_rate=48000), "flac", "flac")
    (tmp_path / "voices" / "standard" / "x.flac").write_bytes(clip)
    (tmp_path / "voices" / "bad.wav").write_bytes(b"no sound")
    (tmp_path / "voices.json").write_text('{"nova": "standard/x.flac", "gone": "no.wav"}')
    answer = await client.post("/admin/reload-voices")
    assert answer.json() == {
        "status": "ok",
        "loaded": ["nova"],
        "failed": ["bad.wav", "gone"],
        "total": 1,
    }
    listed = (await client.get("/v1/voices")).json()["data"]
    assert next(each for each in listed if each["id"] == "nova")["wav_path"] == "standard/x.flac"


async def test_an_engine_that_does_not_clone_is_told_of(tmp_path: Path) -> None:
    app: FastAPI = create_app(Home(tmp_path), engine="espeak")
    async with app.router.lifespan_context(app):
        await app.state.service.pool.ready()
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            (warning,) = (await upload(client, CLIP, name="me")).json()["warnings"]
            assert "does not speak as recorded voices" in warning
            assert (await client.delete("/v1/voices/me")).status_code == 200
        clip = await one_off(app.state.studio, ("speaker_wav", CLIP))
        assert clip is not None
        request = SpeechRequest("one", voice=clip.voice)
        with closing(clip), pytest.raises(CannotClone, match="espeak cannot"):
            await app.state.service.whole(request, Ticket("a"))
