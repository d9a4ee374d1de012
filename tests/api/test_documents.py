"""Long texts over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from books import epub
from hearing import hear

PATIENCE_S = 60.0
TEXT = "one two.\n\nthree.\n\nfour five."


async def made(client: httpx.AsyncClient, text: str = TEXT, **fields: Any) -> dict[str, Any]:
    body = {"text": text, "voice": "tone-300", **fields}
    answer = await client.post("/v1/documents", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def spoken(client: httpx.AsyncClient, id: str) -> dict[str, Any]:
    answer = await client.post(f"/v1/documents/{id}/speak")
    assert answer.status_code == 202
    for _ in range(int(PATIENCE_S / 0.01)):
        document = (await client.get(f"/v1/documents/{id}")).json()
        if document["progress"]["state"] == "idle":
            return document
        await asyncio.sleep(0.01)
    raise AssertionError("it did not end")


async def test_a_text_is_kept_spoken_and_heard(client):
    document = await made(client, title="My text")
    assert [line["text"] for line in document["lines"]] == ["one two.", "three.", "four five."]
    assert [line["state"] for line in document["lines"]] == ["new"] * 3
    document = await spoken(client, document["id"])
    assert [line["state"] for line in document["lines"]] == ["spoken"] * 3
    heard = await client.get(f"/v1/documents/{document['id']}/audio")
    assert hear(heard.content).pitches == [300] * 5
    part = await client.get(
        f"/v1/documents/{document['id']}/audio", headers={"Range": "bytes=1000-1999"}
    )
    assert (part.status_code, part.content) == (206, heard.content[1000:2000])
    later = await client.get(f"/v1/documents/{document['id']}/audio?start=2")
    assert len(hear(later.content).pitches) == 3
    one = await client.get(f"/v1/documents/{document['id']}/lines/2/audio")
    assert len(hear(one.content).pitches) == 1
    assert document["progress"]["lines_done"] == 3


async def test_a_file_is_read_with_its_title_and_its_chapters(client):
    book = epub({"a.xhtml": "<h1>Chapter One</h1><p>Some. Words.</p>"}, title="The Book")
    answer = await client.post(
        "/v1/documents", files={"file": ("b.epub", book)}, data={"split": "sentences"}
    )
    document = answer.json()
    assert document["title"] == "The Book"
    assert [(each["text"], each["begins_chapter"]) for each in document["lines"]] == [
        ("Chapter One", True),
        ("Some.", False),
        ("Words.", False),
    ]


async def test_lines_can_be_changed_moved_added_and_removed(client):
    id = (await made(client))["id"]
    url = f"/v1/documents/{id}/lines"
    await spoken(client, id)
    await client.patch(f"{url}/1", json={"text": "six seven eight", "manner": {"voice": "low"}})
    await client.patch(f"{url}/3", json={"position": 1, "begins_chapter": True})
    await client.post(url, json={"texts": ["nine"], "position": 2})
    document = (await client.delete(f"{url}/2")).json()
    assert [(each["id"], each["text"], each["state"]) for each in document["lines"]] == [
        (3, "four five.", "spoken"),
        (4, "nine", "new"),
        (1, "six seven eight", "changed"),
    ]
    document = await spoken(client, id)
    heard = await client.get(f"/v1/documents/{id}/audio")
    assert hear(heard.content).pitches == [300] * 3 + [220] * 3
    changed = await client.patch(f"/v1/documents/{id}", json={"title": "T", "manner": {}})
    assert (changed.json()["title"], changed.json()["manner"]) == ("T", {})


@pytest.mark.parametrize(
    ("format", "content_type"),
    [
        ("wav", "audio/wav"),
        ("mp3", "audio/mpeg"),
        ("flac", "audio/flac"),
        ("m4b", "audio/mp4"),
    ],
)
async def test_a_document_is_taken_away_under_its_title(client, format, content_type):
    id = (await made(client, title="Ein „Titel“/x"))["id"]
    missing = await client.get(f"/v1/documents/{id}/export/{format}")
    assert missing.status_code == 400
    assert "line 1" in missing.json()["error"]["message"]
    await spoken(client, id)
    answer = await client.get(f"/v1/documents/{id}/export/{format}")
    assert answer.headers["content-type"] == content_type
    assert f"_x.{format}" in answer.headers["content-disposition"]
    assert hear(answer.content).pitches == [300] * 5


async def test_subtitles_are_taken_away(client):
    id = (await made(client))["id"]
    await spoken(client, id)
    srt = await client.get(f"/v1/documents/{id}/export/srt")
    vtt = await client.get(f"/v1/documents/{id}/export/vtt")
    assert srt.text.startswith("1\n00:00:00,")
    assert vtt.text.startswith("WEBVTT")
    assert vtt.headers["content-type"].startswith("text/vtt")


async def test_a_deleted_document_is_gone(client):
    id = (await made(client))["id"]
    assert (await client.delete(f"/v1/documents/{id}")).json()["deleted"] is True
    assert (await client.get(f"/v1/documents/{id}")).status_code == 404
    assert (await client.get("/v1/documents")).status_code == 405  # there is no list


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"text": "* * *"}, "empty"),
        ({"text": "a", "speed": 9}, "speed"),
        ({"text": "a", "split": "words"}, "split"),
        ({"text": "a", "voise": "x"}, "voise"),
        ({"text": "a", "sample_rate": 1}, "sample_rate"),
        ({"text": "a " * 2_000_000}, "characters"),
    ],
)
async def test_what_cannot_be_kept_is_refused(client, body, problem):
    answer = await client.post("/v1/documents", json=body)
    assert answer.status_code == 400
    assert problem in answer.json()["error"]["message"]


async def test_unknown_lines_formats_and_files_are_told(client):
    id = (await made(client))["id"]
    url = f"/v1/documents/{id}"
    await spoken(client, id)
    assert (await client.get(f"{url}/lines/99/audio")).status_code == 404
    assert (await client.get(f"{url}/audio?start=99")).status_code == 404
    assert (await client.post(f"{url}/speak", json={"lines": [99]})).status_code == 404
    assert (await client.get(f"{url}/export/docx")).status_code == 400
    files = {"file": ("a.docx", b"PK")}
    refused = await client.post("/v1/documents", files=files)
    assert (refused.status_code, ".epub" in refused.text) == (400, True)


async def test_pages_of_other_sites_change_no_document(client):
    id = (await made(client))["id"]
    for method, path in (("POST", f"/{id}/speak"), ("POST", ""), ("DELETE", f"/{id}")):
        answer = await client.request(
            method, f"/v1/documents{path}", headers={"Origin": "http://evil.example"}
        )
        assert answer.status_code == 403
