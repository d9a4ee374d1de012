"""Helpers of the generator page: its list, subtitles, checking by ear; and voice2rvc."""

from __future__ import annotations

import re

import httpx
import pytest
from hearing import hear


async def made(client: httpx.AsyncClient, text: str) -> tuple[str, float]:
    answer = (await client.post("/api/tts-generate", data={"text_input": text})).json()
    url = answer["output_file_url"]
    return url, hear((await client.get(url)).content).seconds


def seconds(timecode: str) -> float:
    hours, minutes, rest = timecode.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest.replace(",", "."))


async def test_subtitles_have_the_true_times_of_the_files(client: httpx.AsyncClient) -> None:
    texts = ["one", "one two three\n\nfour", "Zoë — ok"]
    files = [await made(client, text) for text in texts]
    items = [
        {
            "id": number,
            "fileUrl": host + url,
            "text": text,
            "characterVoice": "low",
            "language": "en",
        }
        for number, (host, (url, _), text) in enumerate(
            zip(("", "http://127.0.0.1:7851", ""), files, texts, strict=True)
        )
    ]
    saved = await client.post("/api/save-tts-data", json=items)
    assert saved.json() == {"message": "Data saved successfully"}
    answer = await client.get("/api/srt-generation")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert 'filename="subtitles.srt"' in answer.headers["content-disposition"]
    entries = answer.text.strip().split("\n\n")
    assert [entry.split("\n", 2)[0] for entry in entries] == ["1", "2", "3"]
    assert [entry.split("\n", 2)[2] for entry in entries] == [
        "one", "one two three\nfour", "Zoë — ok"
    ]  # fmt: skip
    times = [seconds(each) for each in re.findall(r"\d\d:\d\d:\d\d,\d{3}", answer.text)]
    lengths = [length for _, length in files]
    ends = [sum(lengths[: count + 1]) for count in range(3)]
    assert times[1::2] == pytest.approx(ends, abs=0.001)
    assert times[0::2] == pytest.approx([0.0, *ends[:2]], abs=0.001)


async def test_a_list_that_is_not_there_and_a_file_that_is_gone_are_404(
    client: httpx.AsyncClient,
) -> None:
    assert (await client.get("/api/srt-generation")).status_code == 404
    assert (await client.get("/api/trigger-analysis")).status_code == 404
    for url in ("/audio/gone.wav", "/audio/../../etc/passwd", "nonsense", ""):
        item = {"id": 1, "fileUrl": url, "text": "x", "characterVoice": "", "language": ""}
        await client.post("/api/save-tts-data", json=[item])
        assert (await client.get("/api/srt-generation")).status_code == 404


@pytest.mark.parametrize("body", [{}, [{}], [{"id": "x", "fileUrl": "", "text": ""}], "text"])
async def test_a_list_of_another_shape_is_422(client: httpx.AsyncClient, body: object) -> None:
    answer = await client.post("/api/save-tts-data", json=body)
    assert (answer.status_code, answer.json()["status"]) == (422, "error")


async def test_checking_by_ear_says_what_it_lacks(client: httpx.AsyncClient) -> None:
    await client.post("/api/save-tts-data", json=[])
    answer = await client.get("/api/trigger-analysis?threshold=98&whisper_model=large-v3")
    assert answer.status_code == 400
    assert "recogniser" in answer.json()["message"]
    assert (await client.get("/api/trigger-analysis?threshold=much")).status_code == 422


async def test_no_rvc_voice_is_listed_while_none_can_be_used(client: httpx.AsyncClient) -> None:
    body = (await client.get("/api/rvcvoices")).json()
    assert body == {"status": "success", "rvcvoices": ["Disabled"], "voices": ["Disabled"]}


async def test_converting_to_disabled_is_answered_as_in_v2(client: httpx.AsyncClient) -> None:
    form = {
        "input_tts_path": "outputs/a.wav",
        "output_rvc_path": "outputs/b.wav",
        "pitch": "0",
        "method": "rmvpe",
    }
    answer = await client.post("/api/voice2rvc", data={**form, "pth_name": "Disabled"})
    assert (answer.status_code, answer.json()["status"]) == (200, "error")
    named = await client.post("/api/voice2rvc", data={**form, "pth_name": "a/b.pth"})
    assert (named.status_code, named.json()["status"]) == (400, "error")
    assert (await client.post("/api/voice2rvc", data=form)).status_code == 422
