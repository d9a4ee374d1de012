"""An engine behind another server's speech API, over real connections."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import uvicorn
from waiting import PATIENCE_S, until

from alltalk.engine import Sampling, Utterance, Voice
from alltalk.errors import (
    BadValue,
    LoadFailed,
    NotReady,
    QueueFull,
    ShuttingDown,
    SynthesisFailed,
    WorkerLost,
)
from alltalk.serving.loop import Job
from alltalk.serving.openai_client import OPENAI_VOICES
from alltalk.serving.remote import Remote

PCM = np.arange(-300, 300, dtype="<i2")
"""What the server says, whatever it is asked to."""


@dataclass
class Peer:
    """A speech server that does what the voice's name tells it to."""

    listings: dict[str, Any] = field(default_factory=dict)
    """Path → what it answers there."""
    key: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    """The bodies it was sent."""
    speaking: int = 0
    most_speaking: int = 0
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    """Without it nothing follows the first piece of a sound."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """A caller went away in the middle."""
    url: str = ""

    async def __call__(self, scope, receive, send):
        path, headers = scope["path"], dict(scope["headers"])
        if path not in self.listings and path != "/v1/audio/speech":
            await self.answer(send, 404, {"detail": "Not Found"})
        elif self.key and headers.get(b"authorization") != f"Bearer {self.key}".encode():
            await self.answer(send, 401, {"error": {"message": "No such key."}})
        elif path in self.listings:
            await self.answer(send, 200, self.listings[path])
        else:
            await self.speak(receive, send)

    async def answer(self, send, status, content, **headers):
        pairs = [(b"content-type", b"application/json")]
        pairs += [
            (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
        ]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": json.dumps(content).encode()})

    async def speak(self, receive, send):
        asked = json.loads((await receive())["body"])
        self.asked.append(asked)
        self.speaking += 1
        self.most_speaking = max(self.most_speaking, self.speaking)
        try:
            await self.sound(asked["voice"], receive, send)
        finally:
            self.speaking -= 1

    async def sound(self, voice, receive, send):
        if voice.isdigit():
            error = {"error": {"message": "That is wrong.", "param": "voice"}}
            return await self.answer(send, int(voice), error, retry_after="7")
        kind = {"page": b"text/html", "rate": b"audio/pcm;rate=16000"}.get(voice, b"audio/pcm")
        headers = [(b"content-type", kind)]
        if voice == "cut":
            headers.append((b"content-length", b"99999"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        pcm = b"" if voice == "mute" else PCM.tobytes()
        for start in range(0, len(pcm), 333):  # odd: samples are cut in two
            piece = pcm[start : start + 333]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await self.goes_on.wait()
            await asyncio.sleep(0.002)
        if voice == "endless":
            while (await receive())["type"] != "http.disconnect":
                pass
            self.left.set()
        if voice == "cut":
            raise ConnectionAbortedError
        await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def serving(peer: Peer) -> AsyncIterator[Peer]:
    """Inside, `peer` answers at `peer.url`."""
    peer.goes_on.set()
    config = uvicorn.Config(
        peer, port=0, lifespan="off", ws="none", log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    socket = config.bind_socket()
    peer.url = f"http://127.0.0.1:{socket.getsockname()[1]}"
    task = asyncio.create_task(server.serve([socket]))
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    try:
        yield peer
    finally:
        server.should_exit = True
        await task


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with serving(Peer({"/v1/audio/voices": {"voices": ["anna", "ben"]}})) as each:
        yield each


Remotes = Callable[..., Remote]


@pytest.fixture
async def remote() -> AsyncIterator[Remotes]:
    """`remote(url, …)` makes a Remote that is stopped after the test."""
    made = []

    def make(url: str, **options) -> Remote:
        made.append(Remote(url, **options))
        return made[-1]

    yield make
    await asyncio.gather(*(each.stop(0.0) for each in made))


ids = iter(range(1_000_000))


def job(voice: str, **of_utterance) -> Job:
    said = Utterance(**{"text": "Hello.", "voice": Voice(voice), "language": ""} | of_utterance)
    return Job(str(next(ids)), said, "flow", 0, 6.0)


async def hear(remote: Remote, voice: str = "anna", **of_utterance) -> np.ndarray:
    """int16 [n]: all that was said."""
    async with aclosing(remote.stream(job(voice, **of_utterance))) as chunks:
        pieces = [chunk.audio.samples async for chunk in chunks]
    return np.rint(np.concatenate(pieces) * 32768).astype(np.int16)


@pytest.mark.parametrize(
    "listings",
    [
        {"/v1/audio/voices": {"voices": ["anna", "ben"]}},
        {"/v1/audio/voices": {"voices": [{"id": "anna", "name": "Anna B."}, {"name": "ben"}]}},
        {"/v1/voices": {"object": "list", "data": [{"id": "anna"}, {"id": "ben"}]}},
        {"/v1/audio/voices": ["anna", "ben", "anna"]},
        {"/v1/audio/voices": {"voices": []}, "/v1/voices": ["anna", "ben"]},
    ],
    ids=str,
)
async def test_it_offers_the_voices_that_the_server_lists(remote: Remotes, listings):
    async with serving(Peer(listings)) as peer:
        offer = await remote(peer.url, engine="far", model="m").start()
    assert (offer.engine, offer.model) == ("far", "m")
    assert [voice.name for voice in offer.voices] == ["anna", "ben"]
    assert offer.settings["def_character_voice"] == "anna"
    assert set(offer.openai_voices) == set(OPENAI_VOICES)
    assert set(offer.openai_voices.values()) == {"anna", "ben"}


async def test_a_server_that_lists_none_has_openais_voices(remote: Remotes):
    async with serving(Peer({"/v1/models": {"data": []}})) as peer:
        offer = await remote(peer.url).start()
    assert tuple(voice.name for voice in offer.voices) == OPENAI_VOICES
    assert offer.openai_voices == {name: name for name in OPENAI_VOICES}


async def test_the_address_may_end_in_v1(remote: Remotes, peer: Peer):
    here = remote(peer.url + "/v1/")
    await here.start()
    assert np.array_equal(await hear(here), PCM)


async def test_nobody_at_the_address_is_a_failed_load(remote: Remotes):
    with pytest.raises(LoadFailed, match="does not answer"):
        await remote("http://127.0.0.1:9").start()
    with pytest.raises(LoadFailed):
        await remote("no address").start()


@pytest.mark.parametrize("path", ["/v1/voices", "/v1/models"])
async def test_a_wrong_key_is_a_failed_load(remote: Remotes, path):
    async with serving(Peer({path: []}, key="secret")) as peer:
        with pytest.raises(LoadFailed, match="refuses the API key"):
            await remote(peer.url, api_key="guess").start()
        await remote(peer.url, api_key="secret").start()


async def test_sound_arrives_sample_for_sample_and_piece_by_piece(remote: Remotes, peer: Peer):
    here = remote(peer.url)
    await here.start()
    peer.goes_on.clear()
    async with aclosing(here.stream(job("anna"))) as stream:
        chunks = [await anext(stream)]
        peer.goes_on.set()
        chunks += [chunk async for chunk in stream]
    assert len(chunks) > 1
    assert {chunk.audio.sample_rate for chunk in chunks} == {24000}
    assert sum(len(chunk.audio) for chunk in chunks) == len(PCM)
    assert np.array_equal(await hear(here), PCM)


async def test_the_rate_that_the_server_states_is_believed(remote: Remotes, peer: Peer):
    here = remote(peer.url)
    await here.start()
    async with aclosing(here.stream(job("rate"))) as stream:
        assert {chunk.audio.sample_rate async for chunk in stream} == {16000}


async def test_the_server_is_asked_for_all_that_the_utterance_says(remote: Remotes, peer: Peer):
    here = remote(peer.url, model="big")
    await here.start()
    sampling = Sampling(seed=7, temperature=0.5, top_k=3)
    await hear(here, language="de", speed=1.5, sampling=sampling, instructions="Calm.")
    assert peer.asked == [
        {
            "model": "big",
            "input": "Hello.",
            "voice": "anna",
            "response_format": "pcm",
            "speed": 1.5,
            "instructions": "Calm.",
            "language": "de",
            "seed": 7,
            "temperature": 0.5,
            "top_k": 3,
        }
    ]


async def test_a_server_that_may_be_openais_is_sent_only_openais_fields(remote: Remotes):
    async with serving(Peer()) as peer:
        here = remote(peer.url)
        await here.start()
        await hear(here, "alloy", language="de", sampling=Sampling(seed=7))
    assert peer.asked[0].keys() == {"model", "input", "voice", "response_format", "speed"}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, BadValue),
        (404, BadValue),
        (403, LoadFailed),
        (429, QueueFull),
        (500, SynthesisFailed),
        (502, WorkerLost),
        (503, NotReady),
    ],
)
async def test_what_the_server_refuses_is_told_in_its_words(remote, peer, status, error):
    here = remote(peer.url)
    await here.start()
    with pytest.raises(error, match=r"That is wrong\.") as raised:
        await hear(here, str(status))
    assert type(raised.value) is error
    if isinstance(raised.value, QueueFull | NotReady):
        assert raised.value.retry_after_s == 7.0
    if isinstance(raised.value, BadValue):
        assert raised.value.name == "voice"


async def test_a_page_instead_of_sound_is_an_error(remote: Remotes, peer: Peer):
    here = remote(peer.url)
    await here.start()
    with pytest.raises(SynthesisFailed, match="text/html"):
        await hear(here, "page")


async def test_an_answer_without_sound_is_an_error(remote: Remotes, peer: Peer):
    here = remote(peer.url)
    await here.start()
    with pytest.raises(SynthesisFailed, match="without any sound"):
        await hear(here, "mute")


async def test_a_connection_that_breaks_off_is_no_end(remote: Remotes, peer: Peer):
    here = remote(peer.url)
    await here.start()
    with pytest.raises(WorkerLost):
        await hear(here, "cut")


async def test_a_server_that_falls_silent_is_given_up(remote: Remotes, peer: Peer):
    here = remote(peer.url, silence_s=2.0)
    await here.start()
    with pytest.raises(WorkerLost):
        await hear(here, "endless")


async def test_the_server_notices_who_leaves(remote: Remotes, peer: Peer):
    here = remote(peer.url)
    await here.start()
    async with aclosing(here.stream(job("endless"))) as stream:
        await anext(stream)
    await asyncio.wait_for(peer.left.wait(), PATIENCE_S)


async def test_it_asks_for_no_more_at_a_time_than_it_may(remote: Remotes, peer: Peer):
    here = remote(peer.url, slots=2)
    offer = await here.start()
    assert offer.capabilities.slots == 2
    peer.goes_on.clear()
    hearing = [asyncio.create_task(hear(here)) for _ in range(12)]
    await until(lambda: peer.speaking == 2)
    await asyncio.sleep(0.05)  # in which a third could come
    peer.goes_on.set()
    assert all(np.array_equal(each, PCM) for each in await asyncio.gather(*hearing))
    assert peer.most_speaking == 2


async def test_who_leaves_the_line_is_passed_over(remote: Remotes, peer: Peer):
    here = remote(peer.url, slots=1)
    await here.start()
    first, second = (asyncio.create_task(hear(here, "endless")) for _ in range(2))
    await until(lambda: peer.speaking)
    last = asyncio.create_task(hear(here))
    second.cancel()
    first.cancel()
    assert np.array_equal(await asyncio.wait_for(last, PATIENCE_S), PCM)


async def test_who_leaves_as_the_turn_comes_passes_it_on(remote: Remotes, peer: Peer):
    here = remote(peer.url, slots=1)
    await here.start()
    async with aclosing(here.stream(job("endless"))) as stream:
        await anext(stream)
        second, last = (asyncio.create_task(hear(here)) for _ in range(2))
        await asyncio.sleep(0)  # both are in line
    second.cancel()  # the first one's end has just given it the turn
    assert np.array_equal(await asyncio.wait_for(last, PATIENCE_S), PCM)
    assert second.cancelled()


async def test_stop_ends_what_is_spoken_and_what_waits(remote: Remotes, peer: Peer):
    here = remote(peer.url, slots=1)
    await here.start()
    tasks = [asyncio.create_task(hear(here, "endless")) for _ in range(2)]
    await until(lambda: peer.speaking)
    await here.stop(0.05)
    for task in tasks:
        with pytest.raises(ShuttingDown):
            await asyncio.wait_for(task, PATIENCE_S)
    with pytest.raises(ShuttingDown):
        await hear(here)


@pytest.mark.parametrize("steps", range(15))
async def test_stop_ends_a_request_however_far_it_is(remote: Remotes, peer: Peer, steps: int):
    here = remote(peer.url)
    await here.start()
    task = asyncio.create_task(hear(here, "endless"))
    for _ in range(steps):  # it connects, is sent, is answered
        await asyncio.sleep(0)
    await here.stop(0.0)
    with pytest.raises(ShuttingDown):
        await asyncio.wait_for(task, PATIENCE_S)


async def test_stop_waits_for_what_ends_in_time(remote: Remotes, peer: Peer):
    here = remote(peer.url)
    await here.start()
    async with aclosing(here.stream(job("anna"))) as stream:
        await anext(stream)
        stopping = asyncio.create_task(here.stop(PATIENCE_S))
        assert [chunk async for chunk in stream]
    await stopping


async def test_it_is_lost_when_the_server_answers_no_more(remote: Remotes):
    async with serving(Peer({"/v1/voices": ["anna"]})) as peer:
        here = remote(peer.url, probe_s=0.02)
        await here.start()
        lost = asyncio.create_task(here.lost())
        await asyncio.wait({lost}, timeout=0.5)
        assert not lost.done()
    await asyncio.wait_for(lost, PATIENCE_S)
