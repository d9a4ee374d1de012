"""The pages beside the API: who may read them, where they listen, what they keep."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import closing
from pathlib import Path

import httpx
from live import live_server

from alltalk.app import create_app
from alltalk.home import Home
from alltalk.ui.pages import Pages

ELSEWHERE = {"Origin": "https://elsewhere.example"}


def get(url, **more):
    """The first visitor waits until the pages are loaded."""
    return httpx.get(url, timeout=300, **more)


def test_pages_of_other_sites_read_no_more_than_from_the_rest_of_the_server(server):
    answer = get(f"{server.url}/ui/config", headers=ELSEWHERE)
    assert answer.status_code == 200
    rest = get(f"{server.url}/v1/models", headers=ELSEWHERE)
    for name in ("access-control-allow-origin", "access-control-allow-credentials"):
        assert answer.headers.get(name) == rest.headers.get(name) != ELSEWHERE["Origin"]


def test_the_pages_listen_at_their_port_of_v2_too_when_told(tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as held:
        port = held.getsockname()[1]
    environ = {
        "ALLTALK_SERVER__LISTEN_GRADIO_PORT": "true",
        "ALLTALK_GRADIO_PORT_NUMBER": str(port),
    }
    with live_server(tmp_path, environ=environ) as server:
        own = get(f"http://127.0.0.1:{port}/", follow_redirects=True)
        assert (own.url.path, own.status_code) == ("/ui/", 200)
        assert "<gradio-app>" in own.text or "gradio_config" in own.text
        landing = get(f"{server.url}/")
        assert landing.status_code == 200
        assert "/ui" in landing.text


def test_another_server_s_files_are_not_fetched_for_anybody(server):
    for path in ("file=https://example.com/a", "file/HTTP:/example.com", "file= http://a"):
        answer = get(f"{server.url}/ui/gradio_api/{path}")
        assert (answer.status_code, "other servers" in answer.text) == (404, True), path


async def test_the_pages_are_loaded_before_anybody_comes_unless_told_otherwise(tmp_path):
    app = create_app(Home(tmp_path), engine="tone")
    async with app.router.lifespan_context(app):
        await app.state.control.change_settings({"launch_gradio": False})
        await app.state.pages.prepare()
        assert "GRADIO_TEMP_DIR" not in os.environ
        await app.state.control.change_settings({"launch_gradio": True})
        await app.state.pages.prepare()
        assert "GRADIO_TEMP_DIR" in os.environ
    assert "GRADIO_TEMP_DIR" not in os.environ


async def test_old_uploads_go_while_the_server_runs(tmp_path):
    app = create_app(Home(tmp_path), engine="tone")
    async with app.router.lifespan_context(app):
        pages = app.state.pages = Pages(app.state.pages.product, uploads_s=1)
        transport = httpx.ASGITransport(pages)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            sent = await client.post("/gradio_api/upload", files={"files": ("clip.wav", b"RIFF")})
            path = Path(sent.json()[0])
            assert path.is_relative_to(os.environ["GRADIO_TEMP_DIR"])
            await asyncio.to_thread(_wait_until_gone, path)
    assert "GRADIO_TEMP_DIR" not in os.environ
    assert not path.parent.parent.exists()


def _wait_until_gone(path: Path) -> None:
    deadline = time.monotonic() + 300
    while path.exists():
        assert time.monotonic() < deadline, "still there after five minutes"
        time.sleep(0.05)
