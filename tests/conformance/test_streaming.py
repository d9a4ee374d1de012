"""R23 to R26, R50, R51: sound while it is being spoken."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager

import httpx
import pytest
from hearing import hear_pcm
from held import HeldHome
from live import Live, live_server

PATH = "/api/tts-generate-streaming"
QUERY = {"text": "one two", "voice": "low", "language": "en", "output_file": "stream_output.wav"}
STEP_S = 0.05
"""What a word takes the slow server."""


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Generator[Live]:
    """A server whose engine takes its time."""
    home = tmp_path_factory.mktemp("slow")
    (home / "engines" / "tone").mkdir(parents=True)
    settings = json.dumps({"settings": {"step_s": STEP_S}})
    (home / "engines" / "tone" / "model_settings.json").write_text(settings)
    with live_server(home) as live:
        yield live


@pytest.mark.parametrize("name", ["stream_output.wav", "stream_output", "ignoreme.wav"])
def test_R23_get_streams_a_wav(http: httpx.Client, name: str) -> None:
    answer = http.get(PATH, params={**QUERY, "output_file": name})
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.content[:4] == b"RIFF"
    assert hear_pcm(answer.content[44:]).pitches == [220, 220]


def test_R23_post_writes_a_file_and_answers_json(http: httpx.Client) -> None:
    form = {**QUERY, "output_file": "r23_posted.wav"}
    answer = http.post(PATH, data=form)
    assert answer.json()["output_file_path"] == "r23_posted.wav"
    assert hear_pcm(http.get("/audio/r23_posted.wav").content[44:]).pitches == [220, 220]


def test_R24_headers_come_before_any_sound(held: tuple[Live, HeldHome]) -> None:
    live, home = held
    with streamed(live, "hold one") as answer:
        assert answer.status_code == 200
        home.let_speak()
        assert len(hear_pcm(answer.read()[44:]).beeps) == 2


def test_R24_sound_comes_before_its_end(held: tuple[Live, HeldHome]) -> None:
    live, home = held
    with streamed(live, "one two three hold four") as answer:
        pieces, content = answer.iter_raw(), b""
        while len(content) <= 44:
            content += next(pieces)
        home.let_speak()
        content += b"".join(pieces)
    assert len(hear_pcm(content[44:]).beeps) == 5


def test_R24_headers_do_not_wait_for_an_engine_that_is_busy(held: tuple[Live, HeldHome]) -> None:
    live, home = held
    with streamed(live, "hold one") as ahead, streamed(live, "one two") as answer:
        assert answer.status_code == 200
        home.let_speak()
        assert len(hear_pcm(ahead.read()[44:]).beeps) == 2
        assert len(hear_pcm(answer.read()[44:]).beeps) == 2


def test_R25_every_engine_streams_unless_the_setting_is_strict(
    http: httpx.Client, settings: Callable[..., AbstractContextManager[None]]
) -> None:
    assert http.get("/api/currentsettings").json()["streaming_capable"] is True
    with settings("speech", strict_streaming=True):
        can = http.get("/api/currentsettings").json()["streaming_capable"]
        answer = http.get(PATH, params=QUERY)
    assert (answer.status_code == 200) == can


def test_R25_strict_refuses_an_engine_that_cannot(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("whole")
    folder = home / "engines" / "whole"
    folder.mkdir(parents=True)
    (folder / "engine.py").write_text(WHOLE_ENGINE)
    (folder / "model_settings.json").write_text("{}")
    with live_server(home, "whole") as live:
        query = {**QUERY, "voice": "only"}
        streamed = httpx.get(live.url + PATH, params=query, timeout=60)
        assert len(hear_pcm(streamed.content[44:]).beeps) == 1
        (home / "confignew.json").write_text('{"speech": {"strict_streaming": true}}')
        assert httpx.get(f"{live.url}/api/reload_config", timeout=60).status_code == 200
        refused = httpx.get(live.url + PATH, params=query, timeout=60)
        assert refused.status_code == 400
        assert "Streaming not supported by current TTS engine" in refused.json()["error"]
        current = httpx.get(f"{live.url}/api/currentsettings", timeout=60).json()
        assert current["streaming_capable"] is False


WHOLE_ENGINE = """
import numpy as np
from alltalk.audio import Audio
from alltalk.engine import Capabilities, Chunk, Voice

class Whole:
    capabilities = Capabilities(streaming=False)
    def voices(self):
        return [Voice("only")]
    def synthesize(self, utterance):
        yield Chunk(Audio(np.sin(np.arange(12000) / 10).astype(np.float32) / 2, 24000))
    def close(self):
        pass

def load(folder, model, place, settings):
    return Whole()
"""


def test_R26_a_form_content_type_on_a_get_is_no_matter(http: httpx.Client) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert http.get(PATH, params=QUERY, headers=headers).content[:4] == b"RIFF"


def test_R50_a_long_request_is_not_cut(slow: Live) -> None:
    words = 60
    answer = httpx.get(slow.url + PATH, params={**QUERY, "text": "word " * words}, timeout=60)
    assert len(hear_pcm(answer.content[44:]).beeps) == words


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_R50_a_client_that_leaves_frees_the_engine(
    held: tuple[Live, HeldHome], until: Callable[[Callable[[], object]], None], method: str
) -> None:
    live, _ = held
    with socket.create_connection(("127.0.0.1", live.port)) as leaver:
        if method == "GET":
            target = httpx.URL(PATH, params={**QUERY, "text": "hold one"}).raw_path
            leaver.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % target)
        else:
            body = b"text_input=hold+one"
            head = b"POST /api/tts-generate HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"
            kind = b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
            leaver.sendall(head % len(body) + kind + body)
        until(lambda: requests_in(live))
    # What was left would hold the engine for ever.
    with streamed(live, "one two") as answer:
        assert len(hear_pcm(answer.read()[44:]).beeps) == 2
    until(lambda: not requests_in(live))


def test_R50_a_stream_that_was_left_leaves_no_file(
    held: tuple[Live, HeldHome], until: Callable[[Callable[[], object]], None]
) -> None:
    live, _ = held
    with streamed(live, "one two three hold", output_file="left") as answer:
        next(answer.iter_raw())
    until(lambda: not requests_in(live))
    assert not list((live.home / "outputs").glob("*left*"))


def test_R51_the_demo_path_is_the_stream(http: httpx.Client) -> None:
    answer = http.get("/tts-demo-request", params={**QUERY, "streaming": "true"})
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.content[:4] == b"RIFF"


def streamed(live: Live, text: str, **more: str) -> AbstractContextManager[httpx.Response]:
    """`text` as it is being spoken."""
    query = {**QUERY, "text": text, **more}
    return httpx.stream("GET", live.url + PATH, params=query, timeout=60)


def requests_in(live: Live) -> int:
    return len(httpx.get(f"{live.url}/api/requests", timeout=60).json()["requests"])
