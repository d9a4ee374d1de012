"""How a server stops that has open pages: a real browser, a live server."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import httpx
from hearing import hear
from held import HeldHome
from live import live_server
from playwright.sync_api import expect


def test_a_stop_waits_for_speech_and_for_no_open_page(browser, tmp_path, open_page):
    home, temporary = HeldHome(tmp_path / "home"), tmp_path / "temporary"
    temporary.mkdir()
    environ = {"ALLTALK_SERVER__DRAIN_S": "3600", "TMPDIR": str(temporary)}
    visitor = browser.new_context()
    with live_server(home.path, "held", environ) as server:
        open_page(visitor.new_page(), server)
        page = open_page(visitor.new_page(), server)
        clip = {"files": ("clip.wav", b"RIFF")}
        sent = httpx.post(f"{server.url}/ui/gradio_api/upload", files=clip, timeout=300)
        (folder,) = temporary.glob("alltalk-*")
        assert Path(sent.json()[0]).is_relative_to(folder)
        page.get_by_label("Text to speak").fill("one hold two three.")
        page.get_by_role("button", name="Speak", exact=True).click()
        expect(page.locator("#speak-message")).to_contain_text("Speaking")
        server.process.terminate()
        while not _refuses(server.port):
            assert server.process.poll() is None
            time.sleep(0.05)
        home.let_speak()
        assert server.process.wait(300) == 0
    (file,) = home.path.glob("outputs/speak_*")
    assert len(hear(file.read_bytes()).pitches) == 4
    assert list(temporary.glob("alltalk-*")) == []
    visitor.close()


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 60).close()
    except OSError:
        return True
    return False
