"""Parler as an engine whose utterances share their steps."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from alltalk.audio import Audio
from alltalk.engine import Capabilities, Chunk, Event, Utterance, Voice
from alltalk.errors import NoRoom, OutOfMemory, UnknownVoice

from .codec import Voicing
from .generation import Generation, Line
from .settings import Settings

MAX_CHARS = 250
"""A model makes 30 s at most, some 400 characters of English."""


@dataclass(eq=False, slots=True)
class Spoken:
    """An open stream."""

    line: Line | None
    """None: there is nothing to say."""
    voicing: Voicing
    has_begun: bool = False
    is_done: bool = False


class ParlerBatch:
    """Speaks in sets: who comes while a set is spoken waits, and all who wait are the next set.

    The library's loop takes nobody in on the way. Alone, an utterance is spoken as it would be
    without sets; eight that wait take little longer than one.
    """

    def __init__(
        self, model: Any, tokenizer: Any, voices: Mapping[str, str], device: str, settings: Settings
    ) -> None:
        self._model, self._tokenizer, self._device = model, tokenizer, device
        self._voices, self._settings = voices, settings
        self._codec = model.audio_encoder
        self._sample_rate = int(self._codec.config.sampling_rate)
        self._open: list[Spoken] = []
        self._set: list[Spoken] = []
        self._generation: Generation | None = None
        self.slots = settings.slots
        self.capabilities = Capabilities(
            streaming=True,
            sampling=frozenset(("temperature", "top_k", "top_p")),
            seed=True,
            low_vram=True,
            max_chars=MAX_CHARS,
            slots=settings.slots,
            free_voices=True,
        )

    def voices(self) -> Sequence[Voice]:
        """Those with a name. What is no name is taken for a description."""
        return [Voice(name, "en") for name in self._voices]

    def prepare(self, utterance: Utterance) -> Line | None:
        """Raises UnknownVoice for a voice that is neither a name nor a description."""
        name = utterance.voice.name
        description = self._voices.get(name, name).strip()
        if not any(character.isalpha() for character in description) or "\0" in description:
            raise UnknownVoice(name, "Parler", list(self._voices))
        if not any(character.isalnum() for character in utterance.text):
            return None
        drawn, usual = utterance.sampling, self._settings
        return Line(
            utterance.text.replace("\0", " "),
            description,
            secrets.randbits(63) if drawn.seed is None else drawn.seed % 2**63,
            usual.temperature if drawn.temperature is None else drawn.temperature,
            usual.top_k if drawn.top_k is None else drawn.top_k,
            usual.top_p if drawn.top_p is None else drawn.top_p,
        )

    def open(self, prepared: Line | None) -> Spoken:
        """Join the next set. Raises NoRoom when all slots are taken."""
        if len(self._open) >= self.slots:
            raise NoRoom(f"Parler speaks {self.slots} utterances at once.")
        self._open.append(Spoken(prepared, self._voicing()))
        return self._open[-1]

    def step(self) -> Sequence[Event]:
        """One step of the set, and the sound of those that have enough for a piece."""
        silent = [each for each in self._open if each.line is None and not each.is_done]
        try:
            return [self._end(each) for each in silent] + self._step_set()
        except Exception as error:
            self._drop_set()
            if type(error).__name__ == "OutOfMemoryError":
                raise OutOfMemory("Parler does not fit into the memory of its device.") from error
            raise

    def close_stream(self, stream: Spoken) -> None:
        """Leave the set; when nobody is left in it, it ends."""
        self._open.remove(stream)
        if stream in self._set:
            stream.is_done = True
            self._end_set_if_done()

    def rest(self) -> None:
        """Move the weights to the CPU."""
        self._model.to("cpu")

    def wake(self) -> None:
        """Move them back."""
        self._model.to(self._device)

    def close(self) -> None:
        """Free the model."""
        self._drop_set()
        self._open.clear()
        self._model = self._codec = None

    def _step_set(self) -> list[Event]:
        if self._generation is None and not self._begin_set():
            return []
        assert self._generation is not None
        codes = self._generation.step()
        events = []
        for index, spoken in enumerate(self._set):
            if not spoken.is_done:
                events += self._advance(spoken, codes[index] if codes else None)
        self._end_set_if_done()
        return events

    def _begin_set(self) -> bool:
        """Those that wait become the set; False: nobody does."""
        self._set = [each for each in self._open if each.line and not each.has_begun]
        lines = [each.line for each in self._set if each.line]
        for each in self._set:
            each.has_begun = True
        if lines:
            self._generation = Generation(self._model, self._tokenizer, lines)
        return bool(lines)

    def _advance(self, spoken: Spoken, codes: Sequence[int] | None) -> list[Event]:
        """What one step, or the end of all steps, makes heard of an utterance."""
        voicing = spoken.voicing
        if codes is None:
            voicing.end()
        else:
            voicing.push(codes)
        samples = voicing.take(self._settings.chunk_frames)
        chunk = Chunk(Audio(samples, self._sample_rate)) if samples is not None else None
        if voicing.is_over:
            return [self._end(spoken, chunk)]
        return [Event(spoken, chunk)] if chunk else []

    def _end(self, spoken: Spoken, chunk: Chunk | None = None) -> Event:
        spoken.is_done = True
        return Event(spoken, chunk, done=True)

    def _end_set_if_done(self) -> None:
        if all(each.is_done for each in self._set):
            self._drop_set()

    def _drop_set(self) -> None:
        if self._generation is not None:
            self._generation.close()
        self._generation, self._set = None, []

    def _voicing(self) -> Voicing:
        decoder = self._model.decoder
        end = self._model.generation_config.eos_token_id
        return Voicing(
            self._decode, decoder.num_codebooks, int(self._codec.config.codebook_size), int(end)
        )

    @torch.inference_mode()
    def _decode(self, codes: torch.Tensor) -> NDArray[np.float32]:
        """Codes [codebooks, frames] → samples."""
        batch = codes[None].to(self._model.device)
        if self._model.use_4dim_audio_codes:
            batch = batch[None]
        scales = {"audio_scales": [None]} if self._model.use_audio_scales else {}
        decoded = self._codec.decode(audio_codes=batch, **scales).audio_values
        samples: NDArray[np.float32] = decoded.reshape(-1).float().cpu().numpy()
        return np.clip(samples, -1, 1)
