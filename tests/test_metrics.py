"""What the metrics count, and that no caller can blow them up."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from alltalk import __version__
from alltalk.errors import UnknownVoice
from alltalk.metrics import Metrics
from alltalk.serving.admission import Admission
from alltalk.serving.backend_store import BackendSpec, BackendStore
from alltalk.serving.pool import BackendPool
from alltalk.serving.requests import Requests
from alltalk.speech import Ticket


class Clock:
    """Says what it is told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Server:
    """The parts that metrics look at, and a clock."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.requests = Requests()
        self.admission = Admission(4, 1000)
        store = BackendStore(None, [BackendSpec(id=0, type="tone")])
        self.pool = BackendPool(self._make_host, store)
        self.metrics = Metrics(self.pool, self.requests, self.admission, clock=self.clock)

    def value(self, sample: str, **labels: str) -> float | None:
        """The value that Prometheus would read; None: there is no such sample."""
        for family in text_string_to_metric_families(self.metrics.text().decode()):
            for each in family.samples:
                if each.name == sample and each.labels == labels:
                    return each.value
        return None

    @staticmethod
    def _make_host(spec: BackendSpec):
        raise UnknownVoice("", spec.type, ())  # any failure: this test loads nothing


@pytest.fixture
def server() -> Server:
    return Server()


def test_requests_are_counted_by_route_method_and_status(server):
    for status in (200, 200, 400):
        server.metrics.answered("/v1/audio/speech", "POST", status, 0.2)
    labels = {"endpoint": "/v1/audio/speech", "method": "POST"}
    assert server.value("alltalk_requests_total", status="200", **labels) == 2
    assert server.value("alltalk_requests_total", status="400", **labels) == 1
    assert server.value("alltalk_request_duration_seconds_count", **labels) == 3
    assert server.value("alltalk_request_duration_seconds_bucket", le="0.1", **labels) == 0
    assert server.value("alltalk_request_duration_seconds_bucket", le="0.25", **labels) == 3


def test_unknown_paths_and_methods_share_one_label(server):
    for number in range(50):
        server.metrics.answered("", f"BREW{number}", 404, 0.0)
    assert server.value("alltalk_requests_total", endpoint="other", method="other", status="404")


def test_requests_in_flight_come_and_go(server):
    with server.metrics.answering():
        assert server.value("alltalk_requests_in_flight") == 1
    assert server.value("alltalk_requests_in_flight") == 0


def test_a_spoken_request_tells_first_audio_speed_and_amount(server):
    meter = server.metrics.speaking("tone", "mp3")
    server.clock.now = 0.03
    meter.heard()
    server.clock.now = 0.5
    meter.heard()
    meter.finished(characters=40, audio_s=2.0)
    assert server.value("alltalk_time_to_first_audio_seconds_sum", engine="tone") == 0.03
    assert server.value("alltalk_time_to_first_audio_seconds_count", engine="tone") == 1
    assert server.value("alltalk_real_time_factor_sum", engine="tone") == 0.25
    assert server.value("alltalk_characters_total", engine="tone") == 40
    assert server.value("alltalk_audio_seconds_total", engine="tone", format="mp3") == 2.0
    assert server.metrics.vitals().completed == 1


def test_errors_are_counted_by_kind_and_ours_apart_from_bugs(server):
    server.metrics.failed(UnknownVoice("a", "tone", ()))
    server.metrics.failed(ZeroDivisionError())
    server.metrics.failed(type("Made up by nobody", (Exception,), {})())
    assert server.value("alltalk_errors_total", type="UnknownVoice") == 1
    assert server.value("alltalk_errors_total", type="Unexpected") == 2
    assert server.metrics.vitals().errors == 3


def test_cache_outcomes_are_counted(server):
    for outcome in ("HIT", "HIT", "MISS"):
        server.metrics.cached(outcome)
    assert server.value("alltalk_cache_total", outcome="HIT") == 2


async def test_the_waiting_line_is_seen_as_it_is(server):
    with (
        server.admission.admit(500),
        server.requests.open(Ticket("a"), voice="", characters=500, engine=""),
        server.requests.open(Ticket("b"), voice="", characters=500, engine="") as second,
    ):
        second.state = "speaking"
        assert server.value("alltalk_speech_requests", state="waiting") == 1
        assert server.value("alltalk_speech_requests", state="speaking") == 1
        assert server.value("alltalk_waiting_characters") == 500
        assert server.value("alltalk_load") == 0.5
        vitals = server.metrics.vitals()
        assert (vitals.in_flight, vitals.waiting, vitals.waiting_characters) == (2, 1, 500)
    assert server.value("alltalk_speech_requests", state="waiting") == 0


async def test_each_backend_is_in_exactly_one_state(server):
    await server.pool.start()
    try:
        states = {
            each.labels["state"]: each.value
            for family in text_string_to_metric_families(server.metrics.text().decode())
            for each in family.samples
            if each.name == "alltalk_backend_state" and each.labels["id"] == "0"
        }
        assert sum(states.values()) == 1
        assert len(states) > 3
        assert not server.metrics.vitals().accepts_requests
    finally:
        await server.pool.close()


def test_the_build_is_named(server):
    assert server.value("alltalk_build_info", version=__version__) == 1


def test_two_servers_in_one_process_count_apart(server):
    other = Server()
    server.metrics.cached("HIT")
    assert other.value("alltalk_cache_total", outcome="HIT") is None
