"""What is kept, what is shared, and how a caller gets neither."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from hearing import hear
from live import Live

Speak = Callable[..., httpx.Response]
Count = Callable[..., float]

OPT_OUTS = {
    "the body": ({"cache": False}, {}),
    "no-cache": ({}, {"Cache-Control": "max-age=0, No-Cache"}),
    "no-store": ({}, {"Cache-Control": "no-store"}),
}


def test_what_was_spoken_is_answered_from_the_cache(speak: Speak, speak_until_kept: Speak) -> None:
    first, second = speak(input="asked twice"), speak_until_kept(input="asked twice")
    assert route(first) == ("HOT", "MISS")
    assert route(second) == ("CACHE", "HIT")
    assert first.content[44:] == second.content[44:]


def test_what_sounds_otherwise_is_another_answer(speak: Speak) -> None:
    text = "said in many ways"
    speak(input=text)
    for other in ({"voice": "high"}, {"speed": 2.0}, {"response_format": "flac"}, {"seed": 1}):
        assert route(speak(input=text, **other)) == ("HOT", "MISS")


def test_what_sounds_the_same_is_the_same_answer(speak: Speak, speak_until_kept: Speak) -> None:
    text = "said by any name"
    speak_until_kept(input=text, voice="low")
    for same in ({"voice": {"id": "low"}}, {"voice": "echo"}, {"model": "x"}, {"cache": True}):
        assert route(speak(input=text, **same)) == ("CACHE", "HIT")


@pytest.mark.parametrize("way", OPT_OUTS)
def test_who_opts_out_leaves_nothing_and_is_given_nothing_kept(
    http: httpx.Client, server: Live, speak_until_kept: Speak, way: str
) -> None:
    fields, headers = OPT_OUTS[way]
    body = {"input": f"nobody keeps this, by {way}", "voice": "low", "response_format": "wav"}
    speak_until_kept(input=f"kept before {way}")  # what earlier tests left is on the disk then
    before = kept(server.home)
    for _ in range(2):
        answer = http.post("/v1/audio/speech", json={**body, **fields}, headers=headers)
        assert route(answer) == ("HOT", "BYPASS")
    assert kept(server.home) == before
    assert route(http.post("/v1/audio/speech", json=body)) == ("HOT", "MISS")
    speak_until_kept(**body)
    answer = http.post("/v1/audio/speech", json={**body, **fields}, headers=headers)
    assert route(answer) == ("HOT", "BYPASS")


@pytest.mark.parametrize("word", ["false", "0", "No", " OFF "])
def test_a_form_opts_out_with_any_word_for_no(http: httpx.Client, word: str) -> None:
    form = {"input": "from a form", "voice": "low", "cache": word}
    assert route(http.post("/v1/audio/speech", data=form)) == ("HOT", "BYPASS")
    assert route(http.post("/v1/audio/speech", files=parts(form))) == ("HOT", "BYPASS")


def test_events_are_never_kept(speak: Speak, speak_until_kept: Speak, server: Live) -> None:
    speak_until_kept(input="kept before the events")
    before = kept(server.home)
    assert route(speak(input="events", stream_format="sse")) == ("HOT", "BYPASS")
    assert kept(server.home) == before


def test_a_cache_that_is_off_says_so(broken: httpx.Client, faulty: Live) -> None:
    body = {"input": "one", "voice": "low"}
    for _ in range(2):
        assert route(broken.post("/v1/audio/speech", json=body)) == ("HOT", "DISABLED")
    assert kept(faulty.home) == set()
    assert route(broken.post("/v1/audio/speech", json={**body, "cache": False})) == (
        *("HOT", "BYPASS"),
    )


async def test_64_equal_requests_at_once_are_one_synthesis(server: Live, count: Count) -> None:
    text = "sixty four callers " * 4
    body = {"model": "tts-1", "input": text, "voice": "low", "response_format": "wav"}
    spoken = count(server, "alltalk_characters_total")
    async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=MANY) as http:
        asked = (http.post("/v1/audio/speech", json=body) for _ in range(64))
        answers = await asyncio.gather(*asked)
    assert {answer.content[44:] for answer in answers} == {answers[0].content[44:]}
    assert hear(answers[0].content).pitches == [220] * 12
    assert count(server, "alltalk_characters_total") - spoken == len(text.strip())


def test_kept_answers_are_neither_listed_nor_served_as_files(
    http: httpx.Client, server: Live, speak_until_kept: Speak
) -> None:
    speak_until_kept(input="kept, but no file")
    name = sorted(kept(server.home))[0]
    for path in (f"/audio/{name}", f"/audio/.cache/{name}", f"/audio/.cache%2F{name}"):
        assert http.get(path).status_code == 404


MANY = httpx.Limits(max_connections=64)


def route(answer: httpx.Response) -> tuple[str, str]:
    """How the server says that it came by an answer."""
    assert answer.status_code == 200, answer.text
    return answer.headers["x-route"], answer.headers["x-cache"]


def kept(home: Path) -> set[str]:
    """The names of the answers on the disk."""
    return {path.name for path in (home / "outputs/.cache").glob("*")}


def parts(form: dict[str, str]) -> dict[str, tuple[None, str]]:
    """`form` as a multipart body without files."""
    return {name: (None, value) for name, value in form.items()}
