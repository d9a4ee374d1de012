"""`alltalk` in a child process: pipes, and being told to leave while it speaks."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from hearing import hear
from held import HeldHome

MEGABYTE = b"The quick brown fox jumps over the lazy dog. " * 23_000
posix = pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")


def test_sound_goes_down_a_pipe_as_wav(start):
    child = start("say", "one two three", "-e", "tone", "-o", "-")
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, b"")
    assert len(hear(out).beeps) == 3


def test_sound_goes_down_a_pipe_in_the_format_named(start):
    out, _ = start("say", "one two", "-e", "tone", "-o", "-", "-f", "mp3").communicate(timeout=60)
    assert hear(out).codec.startswith("mp3")


def test_a_text_comes_and_its_sound_goes_through_pipes(start):
    out, _ = start("say", "-", "-e", "tone", "-o", "-").communicate(b"one two three\n", timeout=60)
    assert len(hear(out).beeps) == 3


def test_a_megabyte_is_heard_from_its_first_sentence_and_stops_with_its_reader(start):
    child = start("say", "-", "-o", "-")
    child.stdin.write(MEGABYTE)
    child.stdin.close()
    assert child.stdout.read(4) == b"RIFF"
    assert len(child.stdout.read(100_000)) == 100_000
    child.stdout.close()  # `| head`
    assert child.wait(timeout=60) == 1
    assert child.stderr.read() == b""


@posix
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["book.wav", "book.mp3"])
def test_a_signal_while_speaking_leaves_no_file(start, tmp_path, sent, name):
    """It grows on the disk meanwhile, not in memory."""
    child = start("say", "-", "-o", tmp_path / name)
    child.stdin.write(MEGABYTE)
    child.stdin.close()
    eventually(lambda: any(path.stat().st_size > 50_000 for path in tmp_path.iterdir()))
    assert child.poll() is None
    child.send_signal(sent)
    assert child.wait(timeout=60) == 130
    assert child.stderr.read() == b""
    assert list(tmp_path.iterdir()) == []


@posix
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_the_server_lets_a_running_answer_end_and_leaves(start, tmp_path, sent):
    environ = {"ALLTALK_SPEECH__ENGINE": "tone", "ALLTALK_SERVER__DRAIN_S": "3600"}
    slow = tmp_path / "engines" / "tone"
    slow.mkdir(parents=True)
    (slow / "model_settings.json").write_text('{"settings": {"step_s": 0.3}}')
    child = start("serve", "--port", "0", home=tmp_path, environ=environ)
    url = told_url(child)
    eventually(lambda: asked(url, "ready").text == "Ready")
    body = {"model": "tts-1", "input": "one two three four", "voice": "nova"}
    body["response_format"] = "wav"
    with httpx.stream("POST", f"{url}/v1/audio/speech", json=body, timeout=60) as answer:
        pieces = answer.iter_bytes()
        content = next(pieces)
        child.send_signal(sent)
        content += b"".join(pieces)
    assert len(hear(content).beeps) == 4
    assert child.wait(timeout=60) == 0
    assert b"Traceback" not in child.stderr.read()


@posix
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_stops_what_the_server_waits_for(start, tmp_path, sent):
    home = HeldHome(tmp_path)
    environ = {"ALLTALK_SPEECH__ENGINE": "held", "ALLTALK_SERVER__DRAIN_S": "3600"}
    child = start("serve", "--port", "0", home=tmp_path, environ=environ)
    url = told_url(child)
    eventually(lambda: asked(url, "ready").text == "Ready")
    with ThreadPoolExecutor(1) as caller:
        form = {"text_input": "one hold two"}
        spoken = caller.submit(httpx.post, f"{url}/api/tts-generate", data=form, timeout=60)
        eventually(lambda: asked(url, "requests").json()["requests"])
        child.send_signal(sent)
        while b"a second signal" not in child.stderr.readline():
            assert child.poll() is None
        child.send_signal(sent)
        assert spoken.result().status_code == 503
    assert spoken.result().json()["error"] == "The server is shutting down."
    assert child.wait(timeout=60) == 0
    assert b"Traceback" not in child.stderr.read()
    assert list(home.path.glob("outputs/*")) == []


@posix
def test_a_server_that_leaves_hangs_up_on_who_reads_too_slowly(start, tmp_path):
    environ = {"ALLTALK_SPEECH__ENGINE": "espeak", "ALLTALK_SERVER__DRAIN_S": "1"}
    child = start("serve", "--port", "0", home=tmp_path, environ=environ)
    url = told_url(child)
    eventually(lambda: asked(url, "ready").text == "Ready")
    ten_megabytes = json.dumps({"input": "one two three. " * 270, "response_format": "wav"})
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that it is soon full
        client.connect(("127.0.0.1", int(url.rpartition(":")[2])))
        head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Length: {len(ten_megabytes)}"
        client.sendall(f"{head}\r\nContent-Type: application/json\r\n\r\n{ten_megabytes}".encode())
        assert client.recv(12) == b"HTTP/1.1 200"
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=60) == 0
    assert b"Traceback" not in child.stderr.read()


@posix
def test_a_taken_port_is_told_and_the_server_does_not_start(start, tmp_path):
    first = start("serve", "--port", "0", home=tmp_path)
    port = told_url(first).rpartition(":")[2]
    second = start("serve", "--port", port, home=tmp_path)
    out, err = second.communicate(timeout=60)
    assert (second.returncode, out) == (1, b"")
    last = err.decode().splitlines()[-1]
    assert last.startswith(f"alltalk: Cannot listen on 127.0.0.1:{port}")
    assert "--port" in last
    assert b"Traceback" not in err


@pytest.mark.parametrize("name", ["backends.json", "confignew.json"])
def test_a_settings_file_that_does_not_hold_is_told_in_a_sentence_and_stays(start, tmp_path, name):
    (tmp_path / name).write_text('{"backends": [')
    child = start("serve", "--port", "0", home=tmp_path)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (1, b"")
    assert len(err.splitlines()) == 1
    assert err.decode().startswith(f"alltalk: {tmp_path / name} is not ")
    assert (tmp_path / name).read_text() == '{"backends": ['


def test_the_module_is_the_command(shared_home):
    done = subprocess.run(
        [sys.executable, "-m", "alltalk", "--version"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout.startswith("alltalk 3.")


def told_url(child):
    """Where the server says it listens."""
    for line in child.stderr:
        if b"listens on " in line:
            return line.decode().split()[-1]
    raise AssertionError("the server ended before it listened")


def asked(url, path):
    """The answer of a server that may be slow, on a busy machine."""
    return httpx.get(f"{url}/api/{path}", timeout=60)


def eventually(condition, patience_s=60.0):
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
