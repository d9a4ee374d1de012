"""XTTS as an engine whose utterances share their steps, and join and leave at any of them."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from alltalk.engine import Event, Place, Utterance, Voice
from alltalk.errors import NoRoom, UnreadableClip
from alltalk.torch_compat.checkpoints import building
from alltalk.torch_compat.coqui import give_memory_back
from alltalk.torch_compat.failures import is_out_of_memory, speaking_failed

from .capabilities import capabilities
from .clip import Prepared, Spoken
from .decoder import MOST_CONDITIONING, Decoder
from .linear import chosen_precision
from .manner import Manner
from .model import read_model
from .settings import Settings
from .steps import Steps
from .text import Reader
from .vocoder import Vocoder
from .voices import Voices

_log = logging.getLogger(__name__)


class BatchedXtts:
    """One loaded model, and the rows that speak with it."""

    def __init__(self, folder: Path, kept: Path, place: Place, settings: Mapping[str, object]):
        """Raises LoadFailed, OutOfMemory, ConfigError."""
        torch.set_num_threads(place.threads)  # of this thread, which owns the engine
        self._chosen, self._settings, self._device = Settings.of(settings), settings, place.device
        precision = chosen_precision(self._chosen.precision, place.device)
        loaded = read_model(folder, place.device, deepspeed=False)
        self.model, self._config = loaded.model, loaded.model.config
        self._voices = Voices(loaded, folder / "model.pth", kept)
        self._reader = Reader.of(loaded.model)
        self._on_cpu = place.device == "cpu"
        self.slots = self._chosen.slots
        with building(folder):
            self._make_runtime(precision)
        asked = settings.get("deepspeed_enabled") is True
        if asked:
            _log.warning("XTTS is loaded without DeepSpeed: only its reference runtime uses that.")
        self.capabilities = capabilities(self._reader, slots=self.slots, deepspeed=not asked)

    def _make_runtime(self, precision: str) -> None:
        gpt = self.model.gpt
        vocoder = self._chosen.vocoder_precision
        if not self._on_cpu:
            gpt.gpt.to(getattr(torch, precision))
        if vocoder == "auto":
            vocoder = "float32" if self._on_cpu else "float16"
        self.decoder = Decoder(gpt, precision, self.slots)
        self.vocoder = Vocoder(self.model.hifigan_decoder, getattr(torch, vocoder))
        self._steps = Steps(
            self.decoder,
            self.vocoder,
            self._chosen,
            self._config.audio.output_sample_rate,
            on_cpu=self._on_cpu,
        )
        if not self._on_cpu:
            self.decoder.reserve(self.slots)  # what fits now fits later

    def voices(self) -> Sequence[Voice]:
        """The model's studio speakers."""
        return [Voice(name) for name in self._voices.studio]

    def prepare(self, utterance: Utterance) -> Prepared:
        """Tokens, and the latents of the voice.

        Raises UnknownVoice, UnknownLanguage, Unsupported, UnreadableClip, OutOfMemory.
        """
        language = self._reader.language(utterance.language or utterance.voice.language)
        try:
            latents = self._voices.latents(utterance.voice)
        except (RuntimeError, MemoryError) as error:
            raise speaking_failed("XTTS", error) from error
        if latents.prompt.shape[1] > MOST_CONDITIONING:
            raise UnreadableClip(f"{utterance.voice.name} holds latents of another kind of model.")
        pieces = self._reader.pieces(utterance.text, language)
        seed = utterance.sampling.seed
        return Prepared(
            [(piece, self._reader.tokens(piece, language)) for piece in pieces],
            latents,
            Manner.of(utterance, self._settings, self._config),
            secrets.randbits(63) if seed is None else seed % 2**63,
        )

    def open(self, prepared: Prepared) -> Spoken:
        """Raises NoRoom when all slots are taken, or there is no memory for one more row."""
        if len(self._steps.open) >= self.slots:
            raise NoRoom(f"XTTS speaks {self.slots} utterances at once.")
        try:
            self.decoder.reserve(len(self._steps.open) + 1)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise NoRoom("There is no memory for one more utterance.") from error
        spoken = Spoken(prepared)
        self._steps.open[spoken] = None
        return spoken

    def step(self) -> Sequence[Event]:
        """A token for each row, and one piece of a prompt, or of sound."""
        return self._steps()

    def close_stream(self, stream: Spoken) -> None:
        """Free its row."""
        self._steps.open.pop(stream, None)
        self._steps.free(stream)

    def rest(self) -> None:
        """Move the weights to the CPU, and drop the cache, and what was captured over it."""
        with self._voices.listening:
            self.decoder.release()
            self.model.to("cpu")
        torch.cuda.empty_cache()

    def wake(self) -> None:
        """Move them back."""
        with self._voices.listening:
            self.model.to(self._device)
            if not self._on_cpu:
                self.decoder.reserve(self.slots)

    def close(self) -> None:
        """Free the model."""
        del self._steps, self.decoder, self.vocoder, self._voices, self.model
        give_memory_back()
