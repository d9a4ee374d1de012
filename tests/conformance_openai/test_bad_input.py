"""What is wrong with a request is said with its status; the server goes on as before."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from live import Live

Count = Callable[..., float]

SPEECH = {"model": "tts-1", "input": "one two three", "voice": "low"}
PART = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
FORM = PART % (b"input", b"one two three") + PART % (b"voice", b"low")


@pytest.fixture(autouse=True)
def _still_speaks(http: httpx.Client) -> Generator[None]:
    """After every test, the server answers as if nothing had been."""
    yield
    assert http.post("/v1/audio/speech", json=SPEECH).status_code == 200


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data; boundary=x", FORM + b"--x--\r\n"),
        ("application/x-www-form-urlencoded", b"input=one+two+three&voice=low"),
        ("application/x-www-form-urlencoded", b"input=one&input=one+two+three&voice=low&model="),
        ("application/json; charset=utf-8", json.dumps(SPEECH).encode()),
        ("application/json", json.dumps({**SPEECH, "input": "ä 🎉 b"}).encode()),
    ],
)
def test_every_encoding_of_the_fields_is_read(
    http: httpx.Client, content_type: str, body: bytes
) -> None:
    answer = http.post("/v1/audio/speech", content=body, headers={"content-type": content_type})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", FORM + b"--x--\r\n"),
        ("multipart/form-data; boundary=", FORM + b"--x--\r\n"),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"no parts at all"),
        ("multipart/form-data; boundary=x", b"--y\r\n" + FORM),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition\r\n\r\na\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\nwithout a name\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", (PART % (b"a", b"1")) * 2000 + b"--x--\r\n"),
        ("application/x-www-form-urlencoded", b"\xff\xfe=%zz&&&="),
        ("application/x-www-form-urlencoded", b""),
        ("text/plain", b"one two three"),
        ("", b"one two three"),
        ("application/json", b"\xff\xfe{}"),
        ("application/json", b'{"input": "one", "voice": "low", "speed": 1e999}'),
        ("application/json", b'{"input": "one", "voice": "low", "seed": 1' + b"0" * 5000 + b"}"),
        ("application/json", b'{"input": "\\ud800"}'),
    ],
)
def test_a_malformed_body_is_400(http: httpx.Client, content_type: str, body: bytes) -> None:
    answer = http.post("/v1/audio/speech", content=body, headers={"content-type": content_type})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("end", [20, 60, 90, len(FORM) - 1])
def test_a_truncated_multipart_body_is_400(http: httpx.Client, end: int) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = http.post("/v1/audio/speech", content=FORM[:end], headers=headers)
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
def test_a_body_that_is_cut_off_by_leaving_harms_nobody(
    server: Live, count: Count, kind: str
) -> None:
    bugs = count(server, "alltalk_errors_total", type="Unexpected")
    for _ in range(8):
        with connected(server) as connection:
            connection.sendall(head(kind, "Content-Length: 1000") + FORM[:50])
    assert count(server, "alltalk_errors_total", type="Unexpected") == bugs


def test_a_2_gb_upload_is_refused_before_it_is_sent(server: Live) -> None:
    kind = "multipart/form-data; boundary=x"
    with connected(server) as connection:
        connection.sendall(head(kind, "Content-Length: 2000000000", "Connection: close"))
        status, error = answered(connection)
    assert status == 413
    assert error["type"] == "invalid_request_error"
    assert "limit" in error["message"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads the server's memory from /proc")
def test_an_endless_upload_is_cut_off_and_memory_stays_flat(server: Live) -> None:
    kind = "multipart/form-data; boundary=x"
    opening = b'--x\r\nContent-Disposition: form-data; name="a"; filename="a.wav"\r\n\r\n'
    before = resident_mb(server)
    sent = 0
    with connected(server) as connection:
        connection.sendall(head(kind, "Transfer-Encoding: chunked", "Connection: close"))
        chunk = b"%x\r\n%s\r\n" % (1 << 20, bytes(1 << 20))
        try:
            connection.sendall(b"%x\r\n%s\r\n" % (len(opening), opening))
            for sent in range(2000):  # noqa: B007
                connection.sendall(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert sent < 400, "MB were taken before the server refused"
    assert resident_mb(server) - before < 100


def test_bytes_after_the_json_are_no_second_request(http: httpx.Client) -> None:
    body = json.dumps(SPEECH).encode() + b'{"input": "two"}'
    headers = {"content-type": "application/json"}
    assert http.post("/v1/audio/speech", content=body, headers=headers).status_code == 400


def test_a_failure_before_the_first_sound_has_its_status(broken: httpx.Client) -> None:
    for format in ("wav", "mp3", "opus", "pcm"):
        body = {"input": "boom", "voice": "low", "response_format": format}
        answer = broken.post("/v1/audio/speech", json=body)
        assert (answer.status_code, answer.json()["error"]["type"]) == (500, "server_error")


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/audio/speech/stream"])
def test_a_failure_after_the_first_byte_cuts_the_answer_and_is_counted(
    faulty: Live, broken: httpx.Client, count: Count, path: str
) -> None:
    before = count(faulty, "alltalk_errors_total")
    body = {"input": "one two boom", "voice": "low", "response_format": "wav"}
    with broken.stream("POST", path, json=body) as answer:
        assert answer.status_code == 200
        assert b"".join(until_cut(answer)).startswith(b"RIFF")
    assert count(faulty, "alltalk_errors_total") == before + 1


def test_a_failure_amid_events_is_an_event_and_then_a_cut(broken: httpx.Client) -> None:
    body = {"input": "one two boom", "voice": "low", "stream_format": "sse"}
    body["response_format"] = "pcm"
    with broken.stream("POST", "/v1/audio/speech", json=body) as answer:
        events = b"".join(until_cut(answer)).decode().split("\n\n")
    *deltas, last, rest = [event.removeprefix("data: ") for event in events]
    assert {json.loads(delta)["type"] for delta in deltas} == {"speech.audio.delta"}
    assert json.loads(last)["error"].keys() == {"message", "type", "param", "code"}
    assert json.loads(last)["error"]["type"] == "server_error"
    assert rest == ""


def until_cut(answer: httpx.Response) -> list[bytes]:
    """What came before the connection was cut, which it must be."""
    pieces: list[bytes] = []
    with pytest.raises(httpx.RemoteProtocolError):
        pieces.extend(answer.iter_raw())
    return pieces


def connected(server: Live) -> closing[socket.socket]:
    """A connection that is closed at the end."""
    return closing(socket.create_connection(("127.0.0.1", server.port), 60))


def head(content_type: str, *lines: str) -> bytes:
    """The beginning of a request for speech."""
    fields = ("Host: localhost", f"Content-Type: {content_type}", *lines)
    return "\r\n".join(("POST /v1/audio/speech HTTP/1.1", *fields, "", "")).encode()


def answered(connection: socket.socket) -> tuple[int, dict[str, str]]:
    """Status and error of the answer on a connection that the server then closes."""
    content = b"".join(iter(lambda: connection.recv(65536), b""))
    start, _, body = content.partition(b"\r\n\r\n")
    return int(start.split()[1]), json.loads(body)["error"]


def resident_mb(server: Live) -> float:
    """The server's memory, MB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
