"""What monitors and routers are told."""

from __future__ import annotations

import json
import threading

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from alltalk import __version__
from alltalk.app import create_app
from alltalk.config import Config
from alltalk.engines.tone.plain import Tone
from alltalk.home import Home

KEYS = {
    *("status", "version", "engine", "model", "served_as", "engine_ready", "engine_error"),
    *("voices_loaded", "default_voice", "routing", "metrics"),
}


@pytest.fixture
async def http(tmp_path):
    """A client of the whole application with the tone engine, before and while it starts."""
    app = create_app(Home(tmp_path), engine="tone")
    transport = httpx.ASGITransport(app)
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://localhost:7851") as client,
    ):
        client.app = app
        yield client


@pytest.fixture
async def ready(http):
    """The client once the engine can speak."""
    async with http.app.router.lifespan_context(http.app):
        await http.app.state.service.pool.ready()
        yield http


async def test_health_is_503_with_every_key_until_an_engine_can_speak(http, monkeypatch):
    app, may_load = http.app, threading.Event()

    def load(*arguments):
        assert may_load.wait(60)
        return Tone(*arguments)

    monkeypatch.setattr("alltalk.engines.tone.engine.Tone", load)
    await app.state.service.pool.start()
    try:
        answer = await http.get("/health")
        assert answer.status_code == 503
        report = answer.json()
        assert report.keys() == KEYS
        assert (report["status"], report["engine_ready"]) == ("starting", False)
        assert report["routing"]["accepts_requests"] is False
    finally:
        may_load.set()
        await app.state.service.pool.close()


async def test_health_says_what_speaks_and_as_whom(ready):
    answer = await ready.get("/health")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    report = answer.json()
    assert report.keys() == KEYS
    assert report["status"] == "ok"
    assert report["version"] == __version__
    assert report["engine"] == "tone"
    assert report["served_as"] == "tts-1"
    assert report["engine_ready"] is True
    assert report["engine_error"] is None
    assert report["voices_loaded"] == sorted(report["voices_loaded"]) != []
    assert report["routing"] == {"load_score": 0.0, "accepts_requests": True}
    metrics = report["metrics"]
    assert (metrics["in_flight"], metrics["total_errors"]) == (0, 0)
    assert metrics["max_num_seqs"] >= 1


async def test_head_answers_as_get_without_the_body(ready):
    got, head = await ready.get("/health"), await ready.head("/health")
    assert head.status_code == got.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == str(len(got.content))


async def test_no_other_servers_marks_are_worn(ready):
    assert (await ready.get("/v1/readyz")).status_code == 404
    assert (await ready.get("/v1/test")).status_code == 404
    assert (await ready.get("/health")).text != "OK"


async def test_a_refused_request_shows_in_health_and_metrics(ready):
    body = {"input": "hello", "voice": "nobody at all"}
    assert (await ready.post("/v1/audio/speech", json=body)).status_code == 400
    assert (await ready.get("/health")).json()["metrics"]["total_errors"] == 1
    assert samples(await ready.get("/metrics"))["alltalk_errors_total", "UnknownVoice"] == 1


async def test_metrics_are_what_prometheus_reads_and_do_not_count_themselves(ready):
    await ready.get("/metrics")
    answer = await ready.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = samples(answer)
    assert found["alltalk_backend_state", "0", "running", "tone"] == 1
    assert found["alltalk_build_info", __version__] == 1
    assert not any("/metrics" in labels for labels in found)


async def test_ready_stays_the_bare_word(ready):
    assert (await ready.get("/api/ready")).text == "Ready"


async def test_health_tells_the_configured_names(tmp_path):
    settings = {"speech": {"served_model_name": "uttera", "default_voice": "low"}}
    (tmp_path / "confignew.json").write_text(json.dumps(settings))
    app = create_app(Home(tmp_path), engine="tone")
    assert app.state.service.config == Config.model_validate(settings)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as http,
    ):
        report = (await http.get("/health")).json()
    assert (report["served_as"], report["default_voice"]) == ("uttera", "low")


def samples(answer: httpx.Response) -> dict[tuple[str, ...], float]:
    """Sample name and label values (by label's name) → value."""
    return {
        (each.name, *(value for _, value in sorted(each.labels.items()))): each.value
        for family in text_string_to_metric_families(answer.text)
        for each in family.samples
    }
