"""Runs of XTTS by the clock: coqui's own code, and ours as the server loads it.

The work is the same whatever the weights are: the stop token is switched off, so that a clip is as
many tokens as asked for, and the voice is random numbers, on which no time depends.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from alltalk.engine import Place
from alltalk.torch_compat.coqui import give_memory_back

from .batch import BatchedXtts
from .clip import Prepared
from .latents import EMBEDDING, Latents
from .manner import Manner
from .model import read_model
from .text import Reader

TOKEN_S = 1024 / 22050
"""Sound of a token."""
TEXT = "The quick brown fox jumps over the lazy dog, and then looks back."
WARM_UP = 8
"""Tokens spoken first: what a first run sets up is not its speed."""
_NEVER = -1e4
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Timed:
    """What one way of speaking took."""

    total_s: float
    first_s: float
    """Until the first sound, of all clips."""
    audio_s: float
    steps: tuple[float, ...] = ()
    """Seconds of the decoder's steps."""


@dataclass(frozen=True, slots=True)
class Runs:
    """A model, and where and how it is timed."""

    folder: Path
    """The model's."""
    place: Place
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The engine's."""
    clock: Callable[[], float] = time.perf_counter

    @contextmanager
    def coqui(self) -> Generator[Any]:
        """coqui's model; who keeps no name for it frees it. Raises LoadFailed, OutOfMemory."""
        torch.set_num_threads(self.place.threads)
        model = read_model(self.folder, self.place.device, deepspeed=False).model
        _never_stop(model)
        yield model

    def whole(self, model: Any, tokens: int) -> Timed:
        """One clip by coqui's `inference`."""
        voice = random_voice(model)
        for most in (WARM_UP, tokens):
            model.gpt.max_gen_mel_tokens = most
            began = self.clock()
            model.inference(TEXT, "en", voice.prompt, voice.speaker, top_k=50)
        took_s = self.clock() - began
        return Timed(took_s, took_s, tokens * TOKEN_S)

    def stream(self, model: Any, tokens: int) -> Timed | None:
        """One by its `inference_stream`, in chunks of its own size; None where it does not run."""
        voice = random_voice(model)
        try:
            for most in (WARM_UP, tokens):
                model.gpt.max_gen_mel_tokens = most
                began, first_s = self.clock(), 0.0
                for _ in model.inference_stream(TEXT, "en", voice.prompt, voice.speaker):
                    first_s = first_s or self.clock() - began
        except Exception as error:  # of a version of transformers that it was not made for
            _log.warning("coqui's inference_stream does not run here: %s", error)
            return None
        return Timed(self.clock() - began, first_s, tokens * TOKEN_S)

    @contextmanager
    def ours(self, precision: str, slots: int) -> Generator[BatchedXtts]:
        """Our engine, with memory for all its rows. Raises LoadFailed, OutOfMemory, ConfigError."""
        give_memory_back()  # of coqui's model
        settings = {"precision": precision, "slots": slots, "guard_enabled": False}
        with tempfile.TemporaryDirectory() as kept:
            engine = BatchedXtts(self.folder, Path(kept), self.place, {**self.settings, **settings})
            try:
                _never_stop(engine.model)
                engine.decoder.reserve(slots)
                self.speak(engine, min(2, slots), WARM_UP)
                yield engine
            finally:
                engine.close()

    def speak(self, engine: BatchedXtts, together: int, tokens: int) -> Timed:
        """So many clips at once, each of so many tokens; first sound: of the last to have some."""
        decoder, voice = engine.decoder, random_voice(engine.model)
        pieces = [(TEXT, Reader.of(engine.model).tokens(TEXT, "en"))]
        decoder.most_tokens = tokens
        step, steps = decoder.step, list[float]()

        def timed() -> Any:
            at = self.clock()
            result = step()
            steps.append(self.clock() - at)
            return result

        decoder.step = timed  # type: ignore[method-assign]
        began, samples = self.clock(), 0
        said = [Prepared(pieces, voice, Manner(), seed) for seed in range(together)]
        running, firsts = {engine.open(each) for each in said}, dict[Any, float]()
        while running:
            for event in engine.step():
                if event.error is not None:
                    raise event.error
                if event.chunk is not None:
                    samples += len(event.chunk.audio)
                    firsts.setdefault(event.stream, self.clock() - began)
                if event.done:
                    running.remove(event.stream)
                    engine.close_stream(event.stream)
        took_s = self.clock() - began
        del decoder.step
        audio_s = samples / engine.model.config.audio.output_sample_rate
        return Timed(took_s, max(firsts.values()), audio_s, tuple(steps))

    def best(self, work: Callable[[], Any], times: int = 3) -> float:
        """Seconds of the fastest of some runs."""
        found = []
        for _ in range(times):
            began = self.clock()
            work()
            if self.place.device != "cpu":
                torch.cuda.synchronize()
            found.append(self.clock() - began)
        return min(found)


def random_voice(model: Any) -> Latents:
    """A voice of numbers, on the model's device."""
    draws = torch.Generator().manual_seed(0)
    prompt = torch.randn(1, 32, int(model.gpt.model_dim), generator=draws) * 0.5
    speaker = torch.nn.functional.normalize(torch.randn(1, EMBEDDING, 1, generator=draws), dim=1)
    device = model.gpt.mel_head.weight.device
    return Latents(prompt.to(device), speaker.to(device))


def _never_stop(model: Any) -> None:
    with torch.no_grad():
        model.gpt.mel_head.bias[model.gpt.stop_audio_token] = _NEVER
