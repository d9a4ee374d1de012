"""What the server counts and measures, for Prometheus and for /health."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from alltalk import __version__
from alltalk.errors import AllTalkError
from alltalk.recent import Recent
from alltalk.serving.admission import Admission
from alltalk.serving.backend import State
from alltalk.serving.pool import BackendPool
from alltalk.serving.requests import Requests

CONTENT_TYPE = CONTENT_TYPE_LATEST
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_DURATIONS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_FIRST_AUDIO_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 30)
_REAL_TIME_FACTORS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 3, 10)


@dataclass(frozen=True, slots=True)
class Vitals:
    """What a router in front of several servers wants to know."""

    ready: bool
    """The current engine can speak."""
    load_score: float
    """0 idle, 1 the next request is refused."""
    in_flight: int
    """Requests for speech admitted and not finished."""
    waiting: int
    """Those of them that no engine has begun."""
    waiting_characters: int
    slots: int
    """Utterances that the loaded backends take at once."""
    completed: int
    """Requests spoken to their end since the start; answers from the cache are not counted."""
    errors: int
    """Requests that failed since the start."""

    @property
    def accepts_requests(self) -> bool:
        """A request sent now would be admitted."""
        return self.ready and self.load_score < 1.0


class Metrics:
    """One server's numbers. Lives on the event loop. No label takes a value from a caller."""

    def __init__(
        self,
        pool: BackendPool,
        requests: Requests,
        admission: Admission,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._pool, self._requests, self._admission = pool, requests, admission
        self._clock = clock
        self._completed = 0
        self._failures: Tally[str] = Tally()
        self.recent = Recent()
        self.registry = CollectorRegistry(auto_describe=False)
        self._define(self.registry)
        self.registry.register(_Now(pool, requests, admission))
        ProcessCollector(registry=self.registry)

    def text(self) -> bytes:
        """Everything in Prometheus' text format, as `CONTENT_TYPE` says."""
        return generate_latest(self.registry)

    def vitals(self) -> Vitals:
        """How the server is doing now."""
        current = self._pool.current
        return Vitals(
            ready=current is not None and current.offer is not None,
            load_score=self._admission.load_score,
            in_flight=len(self._requests),
            waiting=sum(each.state == "waiting" for each in self._requests),
            waiting_characters=self._admission.characters,
            slots=sum(each.max_usages for each in self._pool.backends if each.current_model),
            completed=self._completed,
            errors=self._failures.total(),
        )

    # HTTP

    @contextmanager
    def answering(self) -> Generator[None]:
        """Count an HTTP request as in flight while inside."""
        with self._http_in_flight.track_inprogress():
            yield

    def answered(self, endpoint: str, method: str, status: int, seconds: float) -> None:
        """Count an HTTP request. `endpoint`: the route's template; empty: no route of ours."""
        endpoint = endpoint or "other"
        method = method if method in _METHODS else "other"
        self._http_requests.labels(endpoint, method, str(status)).inc()
        self._http_durations.labels(endpoint, method).observe(seconds)

    def failed(self, error: BaseException) -> None:
        """Count a request that failed, by the kind of error."""
        kind = type(error).__name__ if isinstance(error, AllTalkError) else "Unexpected"
        self._failures[kind] += 1
        self._errors.labels(kind).inc()
        self.recent.failed(error)

    # Speech

    @contextmanager
    def remembering(self) -> Generator[None]:
        """Remember what keeps the request inside from being spoken, whoever asked for it."""
        try:
            yield
        except AllTalkError as error:
            self.recent.failed(error)
            raise

    def speaking(self, engine: str, format: str) -> SpeechMeter:
        """A meter for a request that is planned: its clock runs from now."""
        return SpeechMeter(self, engine, format, self._clock)

    def cached(self, outcome: str) -> None:
        """Count how the cache answered: HIT, MISS, BYPASS, DISABLED or ADHOC."""
        self._cache.labels(outcome).inc()

    def _first_audio(self, engine: str, seconds: float) -> None:
        self._to_first_audio.labels(engine).observe(seconds)
        self.recent.began_to_sound(seconds)

    def _spoken(
        self, engine: str, format: str, characters: int, audio_s: float, seconds: float
    ) -> None:
        self._completed += 1
        self._characters.labels(engine).inc(characters)
        self._audio.labels(engine, format).inc(audio_s)
        if audio_s > 0:
            self._factors.labels(engine).observe(seconds / audio_s)
            self.recent.spoke(audio_s, seconds)

    def _define(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"alltalk_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"alltalk_{name}", text, labels, buckets=buckets, registry=registry)

        self._http_requests = counter(
            "requests", "HTTP requests answered.", "endpoint", "method", "status"
        )
        self._http_durations = histogram(
            "request_duration_seconds",
            "From a request's head to the last byte of its answer.",
            _DURATIONS_S,
            "endpoint",
            "method",
        )
        self._http_in_flight = Gauge(
            "alltalk_requests_in_flight", "HTTP requests being answered.", registry=registry
        )
        self._to_first_audio = histogram(
            "time_to_first_audio_seconds",
            "From a planned request to its first sound; waiting for the engine included.",
            _FIRST_AUDIO_S,
            "engine",
        )
        self._factors = histogram(
            "real_time_factor",
            "Seconds taken for a second of sound; waiting for engine and reader included.",
            _REAL_TIME_FACTORS,
            "engine",
        )
        self._characters = counter("characters", "Characters spoken.", "engine")
        self._audio = counter("audio_seconds", "Seconds of sound made.", "engine", "format")
        self._cache = counter("cache", "How the cache answered.", "outcome")
        self._errors = counter("errors", "Requests that failed.", "type")
        build = Gauge("alltalk_build_info", "Which AllTalk.", ["version"], registry=registry)
        build.labels(__version__).set(1)


class SpeechMeter:
    """Measures one request for speech."""

    def __init__(
        self, metrics: Metrics, engine: str, format: str, clock: Callable[[], float]
    ) -> None:
        self._metrics, self._clock = metrics, clock
        self._engine, self._format = engine, format
        self._began, self._heard = clock(), False

    def heard(self) -> None:
        """There is sound. Only the first call counts."""
        if not self._heard:
            self._heard = True
            self._metrics._first_audio(self._engine, self._clock() - self._began)

    def finished(self, characters: int, audio_s: float) -> None:
        """All `characters` are spoken, in `audio_s` seconds of sound."""
        self.heard()
        seconds = self._clock() - self._began
        self._metrics._spoken(self._engine, self._format, characters, audio_s, seconds)


class _Now(Collector):
    """What is looked at when asked, rather than counted."""

    def __init__(self, pool: BackendPool, requests: Requests, admission: Admission) -> None:
        self._pool, self._requests, self._admission = pool, requests, admission

    def collect(self) -> Iterable[Metric]:
        """Requests, the waiting line, backends."""
        states = Tally(each.state for each in self._requests)
        speech = GaugeMetricFamily(
            "alltalk_speech_requests", "Requests for speech by state.", labels=["state"]
        )
        for state in ("waiting", "speaking"):
            speech.add_metric([state], states[state])
        yield speech
        yield GaugeMetricFamily(
            "alltalk_waiting_characters",
            "Characters admitted and not spoken yet.",
            value=self._admission.characters,
        )
        yield GaugeMetricFamily(
            "alltalk_load", "0 idle, 1 the next is refused.", value=self._admission.load_score
        )
        takes = CounterMetricFamily(
            "alltalk_bad_takes", "Takes that could not be their text.", labels=["engine"]
        )
        for engine, count in self._pool.bad_takes.items():
            takes.add_metric([engine], count)
        yield takes
        yield from self._backends()

    def _backends(self) -> Iterable[Metric]:
        labels = ["id", "type"]
        state = GaugeMetricFamily(
            "alltalk_backend_state", "1 for the state it is in.", labels=[*labels, "state"]
        )
        usages = GaugeMetricFamily(
            "alltalk_backend_utterances", "Utterances in it, waiting and running.", labels=labels
        )
        slots = GaugeMetricFamily(
            "alltalk_backend_slots", "Utterances it takes at once.", labels=labels
        )
        for view in self._pool.backends:
            who = [str(view.id), view.type]
            for each in State:
                state.add_metric([*who, each.value], float(view.status is each))
            usages.add_metric(who, view.usages)
            slots.add_metric(who, view.max_usages)
        return state, usages, slots
