"""How a server stops that has open pages: a real browser, a live server."""

from __future__ import annotations

from pathlib import Path

import httpx
from hearing import hear
from live import live_server
from playwright.sync_api import expect

WORDS = 200


def test_a_stop_waits_for_speech_and_for_no_open_page(browser, home, tmp_path, open_page):
    environ = {"ALLTALK_SERVER__DRAIN_S": "3600", "TMPDIR": str(tmp_path)}
    visitor = browser.new_context()
    with live_server(home, environ=environ) as server:
        open_page(visitor.new_page(), server)
        page = open_page(visitor.new_page(), server)
        clip = {"files": ("clip.wav", b"RIFF")}
        sent = httpx.post(f"{server.url}/ui/gradio_api/upload", files=clip, timeout=60)
        (folder,) = tmp_path.glob("alltalk-*")
        assert Path(sent.json()[0]).is_relative_to(folder)
        page.get_by_label("Text to speak").fill("one two three four, " * (WORDS // 4) + "end.")
        page.get_by_role("button", name="Speak", exact=True).click()
        expect(page.locator("#speak-message")).to_contain_text("Speaking")
        server.process.terminate()
        assert server.process.wait(60) == 0
    (file,) = (home / "outputs").glob("speak_*")
    assert len(hear(file.read_bytes()).pitches) == WORDS + 1
    assert list(tmp_path.glob("alltalk-*")) == []
    visitor.close()
