"""XTTS as an engine whose utterances share their steps, and join and leave at any of them."""

from __future__ import annotations

import gc
import itertools
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from alltalk.audio import Audio
from alltalk.engine import Chunk, Event, Place, Utterance, Voice
from alltalk.errors import AllTalkError, NoRoom, OutOfMemory, SynthesisFailed, UnreadableClip
from alltalk.torch_compat.checkpoints import building, is_out_of_memory

from .capabilities import capabilities
from .clip import Clip, Prepared, Spoken
from .decoder import MOST_CONDITIONING, Decoder
from .linear import chosen_precision
from .manner import Manner
from .model import read_model
from .settings import Settings
from .text import Reader
from .vocoder import Vocoder
from .voices import Voices

BESIDE, ALONE = 16, 512
"""Positions of a prompt that are prefilled in a step on the CPU, beside speaking rows and without.

Sixteen take about as long as a step of eight rows does.
"""
BESIDE_CUDA, WINDOWS_CUDA = 512, 32
"""Positions beside speaking rows, and windows vocoded at once, where there is more to spare."""


_log = logging.getLogger(__name__)


class BatchedXtts:
    """One loaded model, and the rows that speak with it.

    A step draws one token for each row, and then does one piece of other work: a piece of a
    prompt, or a window of sound.
    """

    def __init__(self, folder: Path, kept: Path, place: Place, settings: Mapping[str, object]):
        """Raises LoadFailed, OutOfMemory, ConfigError."""
        torch.set_num_threads(place.threads)  # of this thread, which owns the engine
        self._chosen, self._settings, self._device = Settings.of(settings), settings, place.device
        precision = chosen_precision(self._chosen.precision, place.device)
        loaded = read_model(folder, place.device, deepspeed=False)
        self.model, self._config = loaded.model, loaded.model.config
        self._voices = Voices(loaded, folder / "model.pth", kept)
        self._reader = Reader.of(loaded.model)
        self._sample_rate: int = self._config.audio.output_sample_rate
        self._on_cpu = place.device == "cpu"
        self.slots = self._chosen.slots
        with building(folder):
            self._make_runtime(precision)
        self._open: dict[Spoken, None] = {}
        self._rows: list[Spoken] = []
        """Those that decode, by row."""
        self._joining: Spoken | None = None
        """Prefilled at present, in the row behind them."""
        self._prompt_next = True
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
            raise _failure(error) from error
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
        if len(self._open) >= self.slots:
            raise NoRoom(f"XTTS speaks {self.slots} utterances at once.")
        try:
            self.decoder.reserve(len(self._open) + 1)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise NoRoom("There is no memory for one more utterance.") from error
        spoken = Spoken(prepared)
        self._open[spoken] = None
        return spoken

    @torch.inference_mode()
    def step(self) -> Sequence[Event]:
        """A token for each row, and one piece of a prompt, or of sound."""
        events = self._decode() if self._rows else []
        prompting = self._joining or next(filter(Spoken.is_waiting, self._open), None)
        due = sorted(filter(Spoken.is_due, self._open), key=Spoken.urgency)
        if prompting and (self._prompt_next or not due):
            self._prompt_next = False
            return events + self._guarded(prompting, self._prefill)
        self._prompt_next = True
        return events + self._vocode(due[: 1 if self._on_cpu else WINDOWS_CUDA])

    def close_stream(self, stream: Spoken) -> None:
        """Free its row."""
        self._free(stream)
        self._open.pop(stream, None)

    def rest(self) -> None:
        """Move the weights to the CPU, and drop the cache, and what was captured over it."""
        with self._voices.listening:
            self.decoder.release()
            self.model.to("cpu")
        _empty_cuda()

    def wake(self) -> None:
        """Move them back."""
        with self._voices.listening:
            self.model.to(self._device)
            if not self._on_cpu:
                self.decoder.reserve(self.slots)

    def close(self) -> None:
        """Free the model."""
        self._open.clear()
        self._rows.clear()
        self._joining = None
        del self.decoder, self.vocoder, self._voices, self.model
        gc.collect()  # coqui's models hold on to themselves
        _empty_cuda()

    def _decode(self) -> list[Event]:
        tokens, latents = self.decoder.step()
        events = []
        for spoken, token, latent in list(zip(self._rows, tokens, latents, strict=True)):
            events += self._guarded(spoken, self._said, token, latent)
        return events

    def _said(self, spoken: Spoken, token: int, latent: torch.Tensor) -> list[Event]:
        """`spoken` has drawn `token`. Raises BadTake."""
        clip = spoken.clip
        assert clip is not None
        clip.add(token, latent)
        ended = token == self.decoder.stop_token
        if ended or len(clip.tokens) >= self.decoder.most_tokens:
            clip.waveform.ended = True
            self._free(spoken)
        if self._chosen.guarded:
            clip.guard.check(clip.tokens, ended=ended)
        return []

    def _prefill(self, spoken: Spoken) -> list[Event]:
        """A piece of the prompt of `spoken`; behind the last, its first token."""
        clip = spoken.clip
        if clip is None:
            text, tokens = spoken.pieces.popleft()
            clip = spoken.clip = Clip.of(
                text,
                self.decoder.prompt(spoken.prepared.latents.prompt, tokens),
                self.vocoder.frames(spoken.prepared.manner.speed),
                spoken.prepared.latents.speaker,
                (self._chosen.first_chunk_tokens, self._chosen.longest_chunk_tokens),
            )
        self._joining = spoken
        beside = BESIDE if self._on_cpu else BESIDE_CUDA
        piece = clip.next_piece(beside if self._rows else ALONE)
        row = len(self._rows)
        latents = self.decoder.prefill(row, piece, clip.prefilled)
        clip.prefilled += piece.shape[1]
        if clip.prefilled < clip.prompt.shape[1]:
            return []
        self._joining = None
        self._rows.append(spoken)
        prepared = spoken.prepared
        seed = prepared.seed + spoken.said_pieces
        spoken.said_pieces += 1
        drawn = self.decoder.join(row, clip.prefilled, latents[:, -1], prepared.manner, seed)
        return self._said(spoken, *drawn)

    def _vocode(self, due: Sequence[Spoken]) -> list[Event]:
        """A window of each of `due`; the end of those that have no more to say."""
        events, windows = [], []
        for spoken in due:
            window = spoken.clip.waveform.take() if spoken.clip else None
            if window is None:
                events += self._heard(spoken, None)
            else:
                windows.append((spoken, window))
        try:
            sounds = self.vocoder([window for _, window in windows]) if windows else []
        except (RuntimeError, MemoryError) as error:
            return events + [self._failed(spoken, _failure(error)) for spoken, _ in windows]
        copies = _to_host(sounds)
        for (spoken, _), samples in zip(windows, copies, strict=True):
            events += self._heard(spoken, samples)
        return events

    def _heard(self, spoken: Spoken, samples: torch.Tensor | None) -> list[Event]:
        chunk = None
        if samples is not None and len(samples):
            chunk = Chunk(Audio(np.clip(samples.numpy(), -1.0, 1.0), self._sample_rate))
        if spoken.clip is None or spoken.clip.waveform.ended:
            spoken.clip = None
            spoken.is_done = not spoken.pieces
        if chunk is None and not spoken.is_done:
            return []
        return [Event(spoken, chunk, done=spoken.is_done)]

    def _guarded(
        self, spoken: Spoken, work: Callable[..., list[Event]], *arguments: Any
    ) -> list[Event]:
        """What `work` returns of `spoken`; where it fails, `spoken` alone does."""
        try:
            events = work(spoken, *arguments)
        except AllTalkError as error:
            return [self._failed(spoken, error)]
        except (RuntimeError, MemoryError) as error:
            return [self._failed(spoken, _failure(error))]
        return events

    def _failed(self, spoken: Spoken, error: AllTalkError) -> Event:
        self._free(spoken)
        spoken.is_done = True
        return Event(spoken, done=True, error=error)

    def _free(self, spoken: Spoken) -> None:
        """Its row, if it has one."""
        if spoken is self._joining:
            self._joining = None
        elif spoken in self._rows:
            row = self._rows.index(spoken)
            clip = self._joining.clip if self._joining else None
            last = self.decoder.leave(row, clip.prefilled if clip else 0)
            self._rows[row] = self._rows[last]
            self._rows.pop()


def _to_host(sounds: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The same in main memory, waited for once."""
    if not sounds or not sounds[0].is_cuda:
        return list(sounds)
    joined = torch.cat(list(sounds))
    pinned = torch.empty(joined.shape, dtype=joined.dtype, pin_memory=True)
    pinned.copy_(joined, non_blocking=True)
    torch.cuda.current_stream().synchronize()
    ends = list(itertools.accumulate(map(len, sounds)))
    return [pinned[end - len(sound) : end].clone() for sound, end in zip(sounds, ends, strict=True)]


def _empty_cuda() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _failure(error: BaseException) -> AllTalkError:
    if is_out_of_memory(error):
        return OutOfMemory("There is not enough memory for this sentence.")
    return SynthesisFailed(f"XTTS could not say this: {error}")
