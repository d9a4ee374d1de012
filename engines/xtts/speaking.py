"""XTTS as an engine, the reference: one utterance at a time, spoken by coqui's own loop."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from alltalk.audio import Audio
from alltalk.engine import Chunk, Place, Utterance, Voice
from alltalk.torch_compat.coqui import give_memory_back
from alltalk.torch_compat.draws import drawing, each_within
from alltalk.torch_compat.failures import speaking_failed

from .capabilities import capabilities
from .manner import Manner
from .model import read_model
from .reference import say
from .text import Reader
from .voices import Voices


class Xtts:
    """One loaded model."""

    def __init__(
        self, folder: Path, kept: Path, place: Place, settings: Mapping[str, object]
    ) -> None:
        """Raises LoadFailed, OutOfMemory."""
        torch.set_num_threads(place.threads)  # of this thread, which owns the engine
        asked = settings.get("deepspeed_enabled") is True
        loaded = read_model(folder, place.device, deepspeed=asked)
        self.model, self._device, self._settings = loaded.model, place.device, settings
        self._voices = Voices(loaded, folder / "model.pth", kept)
        self._reader = Reader.of(loaded.model)
        self._sample_rate: int = loaded.model.config.audio.output_sample_rate
        self._chunk_tokens = max(1, round(float(str(settings.get("stream_chunk_tokens_set", 20)))))
        self.capabilities = capabilities(self._reader, deepspeed=loaded.deepspeed or not asked)

    def voices(self) -> Sequence[Voice]:
        """The model's studio speakers."""
        return [Voice(name) for name in self._voices.studio]

    def synthesize(self, utterance: Utterance) -> Generator[Chunk | None]:
        """Chunks of about a second; None after every token in between.

        Raises UnknownVoice, UnknownLanguage, Unsupported, UnreadableClip, SynthesisFailed,
        OutOfMemory.
        """
        latents = self._voices.latents(utterance.voice)
        language = self._reader.language(utterance.language or utterance.voice.language)
        manner = Manner.of(utterance, self._settings, self.model.config)
        draws = drawing(utterance.sampling.seed)
        for piece in self._reader.pieces(utterance.text, language):
            tokens = self._reader.tokens(piece, language)
            steps = each_within(draws, say(self.model, tokens, latents, manner, self._chunk_tokens))
            try:
                for sound in steps:
                    yield None if sound is None else self._chunk(sound)
            except (RuntimeError, MemoryError) as error:
                raise speaking_failed("XTTS", error, piece) from error
            finally:
                steps.close()

    def rest(self) -> None:
        """Move the weights to the CPU."""
        self.model.to("cpu")
        torch.cuda.empty_cache()

    def wake(self) -> None:
        """Move them back."""
        self.model.to(self._device)

    def close(self) -> None:
        """Free the model."""
        del self.model, self._voices
        give_memory_back()

    def _chunk(self, sound: torch.Tensor) -> Chunk:
        samples = np.clip(sound.float().numpy(), -1.0, 1.0)
        return Chunk(Audio(samples, self._sample_rate))
