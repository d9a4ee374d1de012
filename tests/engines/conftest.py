"""Drives engines as the server does: every call from the one thread that loaded the engine."""

from __future__ import annotations

import os
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import PLACES, add_tiny

from alltalk.audio import Audio, join
from alltalk.engine import BatchEngine, Chunk, Engine, Manifest, Place, Utterance, Voice
from alltalk.home import Home
from alltalk.loading import missing_imports
from alltalk.registry import Registry


@dataclass(frozen=True)
class Case:
    """An engine, a model of it, and settings that differ from its manifest's."""

    engine: str
    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        settings = self.settings if self.settings != BRISK.get(self.engine) else {}
        return "-".join([self.engine, self.model, *settings])


BRISK = {"xtts": {"first_chunk_tokens": 24, "longest_chunk_tokens": 96}}
"""Settings with which an engine has less to do for the same: here a vocoder with fewer windows."""
RUNTIMES = {"runtime": "reference", "stream_chunk_tokens_set": 40}
"""XTTS's plain way beside its own."""


def all_cases(registry: Registry) -> list[Case]:
    """Each engine with its first model, and what is particular to Tone.

    An engine without a model gets a tiny one when its turn comes, or is seen to be skipped.
    """
    names = registry.names(hidden=True)
    cases = [
        Case(name, next(iter(registry.models(name)), ""), BRISK.get(name, {})) for name in names
    ]
    others = [Case(each.engine, each.model, RUNTIMES) for each in cases if each.engine == "xtts"]
    return [*cases, *others, Case("tone", "tone-b"), Case("tone", "tone-a", {"slots": 3})]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        cases = all_cases(Registry(Home.find()))
        metafunc.parametrize("case", cases, ids=str, indirect=True, scope="module")


class Owner:
    """An engine and the thread that owns it."""

    def __init__(self, load: Callable[[], Engine | BatchEngine], manifest: Manifest) -> None:
        self._thread = ThreadPoolExecutor(1)
        self.manifest = manifest
        try:
            self.engine: Any = self.call(load)
        except BaseException:
            self._thread.shutdown()
            raise
        self.capabilities = self.engine.capabilities

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What the function returns or raises in the owning thread."""
        return self._thread.submit(function, *arguments).result()

    def chunks(self, utterance: Utterance) -> list[Chunk]:
        """Everything the engine says."""
        if isinstance(self.engine, BatchEngine):
            prepared = self.engine.prepare(utterance)  # a helper thread's work: not the owner's
            return self.call(self._batched, prepared)
        spoken = self.call(list, self.engine.synthesize(utterance))
        return [chunk for chunk in spoken if chunk is not None]

    def audio(self, utterance: Utterance) -> Audio:
        """Everything the engine says, as one sound."""
        return join([chunk.audio for chunk in self.chunks(utterance)])

    def close(self) -> None:
        """Free the engine, in its thread."""
        self.call(self.engine.close)
        self._thread.shutdown()

    def _batched(self, prepared: Any) -> list[Chunk]:
        stream = self.engine.open(prepared)
        try:
            return list(self._stepped(stream))
        finally:
            self.engine.close_stream(stream)

    def _stepped(self, stream: Any) -> Iterator[Chunk]:
        while True:
            for event in self.engine.step():
                if event.stream is not stream:
                    continue
                if event.error is not None:
                    raise event.error
                if event.chunk is not None:
                    yield event.chunk
                if event.done:
                    return


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The engines of the home that this runs in: the checkout, or $ALLTALK_HOME."""
    return Registry(Home.find())


@pytest.fixture(scope="module")
def needs_xtts(registry: Registry) -> None:
    """Skips without coqui-tts; in CI it fails."""
    if missing := registry.missing("xtts"):
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse(f"XTTS needs {', '.join(missing)}: pip install 'alltalk[xtts]'")


@pytest.fixture(scope="module")
def case(request: pytest.FixtureRequest) -> Case:
    """Which engine a test is about: one test for each of `all_cases`."""
    return request.param


@pytest.fixture(scope="module")
def owner(
    case: Case, registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Owner]:
    """The engine of the case, loaded. Skips what is not installed; in CI, only extras."""
    manifest = registry.manifest(case.engine)
    if manifest.environment == "own" and missing_imports(manifest):
        pytest.skip(f"{case.engine} runs in an environment of its own: see its own tests")
    if missing := registry.missing(case.engine):
        sentence = f"the engine {case.engine} needs {', '.join(missing)}"
        if os.environ.get("CI", "").lower() in ("1", "true") and not manifest.extra:
            pytest.fail(sentence)
        pytest.skip(sentence)
    model = case.model
    if not model and case.engine in PLACES:
        home = tmp_path_factory.mktemp("home")
        add_tiny(home, case.engine)
        registry = Registry(Home(home))
        model = next(iter(registry.models(case.engine)), "")
    if not model:
        pytest.skip(f"the engine {case.engine} has no model here")

    def load() -> Engine | BatchEngine:
        return registry.load(case.engine, model, Place(threads=1), case.settings)

    loaded = Owner(load, manifest)
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def voice(owner: Owner, tmp_path_factory: pytest.TempPathFactory) -> Voice:
    """The engine's default voice, else its first, else one cloned from a clip."""
    voices: Sequence[Voice] = owner.engine.voices()
    default = owner.manifest.settings.get("def_character_voice")
    found = next((v for v in voices if v.name == default), next(iter(voices), None))
    return found or Voice("clip.wav", clips=(hum(tmp_path_factory.mktemp("clips") / "clip.wav"),))


def hum(file: Path, hz: float = 150.0, seconds: float = 3.0) -> Path:
    """A clip of 24 kHz that is voiced as speech is: twenty harmonics that come and go."""
    t = np.arange(round(24000 * seconds)) / 24000
    voiced = sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 21))
    samples = voiced * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t)) * 0.2
    with wave.open(str(file), "wb") as clip:
        clip.setnchannels(1)
        clip.setsampwidth(2)
        clip.setframerate(24000)
        clip.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return file


@pytest.fixture
def f0() -> Callable[[Audio], float]:
    """`f0(audio)` is the median fundamental frequency of what is voiced in it, Hz."""
    return f0_hz


def f0_hz(audio: Audio, lowest: float = 50.0, highest: float = 2000.0) -> float:
    """Normalised autocorrelation over 50 ms frames; the first of the near-best lags wins."""
    n, rate = audio.sample_rate // 20, audio.sample_rate
    window = np.hanning(n)
    fade = _autocorrelation(window)
    found = []
    for start in range(0, len(audio) - n, n // 4):
        frame = audio.samples[start : start + n] * window
        if np.sqrt(np.mean(frame**2)) < 0.02:
            continue
        likeness = _autocorrelation(frame) / (fade + 1e-3)
        lags = np.arange(max(2, int(rate / highest)), int(rate / lowest))
        best = likeness[lags].max()
        peaks = [k for k in lags if likeness[k] >= max(likeness[k - 1], likeness[k + 1])]
        if best > 0.6 and (near := [k for k in peaks if likeness[k] > 0.9 * best]):
            found.append(rate / _summit(likeness, near[0]))
    return float(np.median(found))


def _autocorrelation(frame: np.ndarray) -> np.ndarray:
    result = np.fft.irfft(np.abs(np.fft.rfft(frame, 2 * len(frame))) ** 2)[: len(frame)]
    return result / result[0]


def _summit(values: np.ndarray, k: int) -> float:
    """Where the parabola through three points has its top."""
    before, at, after = values[k - 1 : k + 2]
    return k + 0.5 * (before - after) / (before - 2 * at + after)
