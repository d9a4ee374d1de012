"""XTTS as an engine: one utterance at a time, cloned from clips or by a studio speaker."""

from __future__ import annotations

import gc
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from alltalk.audio import Audio
from alltalk.engine import Capabilities, Chunk, Place, Utterance, Voice
from alltalk.errors import AllTalkError, OutOfMemory, SynthesisFailed, UnknownVoice
from alltalk.torch_compat.checkpoints import is_out_of_memory
from alltalk.torch_compat.draws import drawing, each_within

from .clips import SAMPLE_RATE, read_clip
from .decoder import Manner, say
from .latents import Latents, LatentStore, read_json
from .model import read_model
from .text import Reader

SPEED = (0.5, 2.0)
"""Further out, stretched latents stop sounding like speech."""


class Xtts:
    """One loaded model."""

    def __init__(
        self, folder: Path, latents_folder: Path, place: Place, settings: Mapping[str, object]
    ) -> None:
        """Raises LoadFailed, OutOfMemory."""
        torch.set_num_threads(place.threads)  # of this thread, which owns the engine
        asked = settings.get("deepspeed_enabled") is True
        loaded = read_model(folder, place.device, deepspeed=asked)
        self._model, self._studio = loaded.model, loaded.speakers
        self._device, self._settings = place.device, settings
        self._config = loaded.model.config
        self._width: int = self._config.model_args.gpt_n_model_channels
        self._sample_rate: int = self._config.audio.output_sample_rate
        most_tokens = self._config.model_args.gpt_max_text_tokens - 2
        self._reader = Reader(loaded.model.tokenizer, self._config.languages, most_tokens)
        model = f"{_stamp(folder / 'model.pth')} {self._listening()}"
        self._store = LatentStore(latents_folder, model, self._width)
        self.capabilities = Capabilities(
            streaming=True,
            cloning=True,
            languages=self._reader.languages,
            speed=SPEED,
            sampling=frozenset({"temperature", "top_k", "top_p", "repetition_penalty"}),
            seed=True,
            low_vram=True,
            deepspeed=loaded.deepspeed or not asked,
            max_chars=250,
        )

    def voices(self) -> Sequence[Voice]:
        """The model's studio speakers."""
        return [Voice(name) for name in self._studio]

    def synthesize(self, utterance: Utterance) -> Generator[Chunk | None]:
        """Chunks of about a second; None after every token in between.

        Raises UnknownVoice, UnknownLanguage, Unsupported, UnreadableClip, SynthesisFailed,
        OutOfMemory.
        """
        latents = self._latents(utterance.voice)
        language = self._reader.language(utterance.language or utterance.voice.language)
        manner = self._manner(utterance)
        draws = drawing(utterance.sampling.seed)
        for piece in self._reader.pieces(utterance.text, language):
            tokens = self._reader.tokens(piece, language)
            steps = each_within(draws, say(self._model, tokens, latents, manner))
            try:
                for sound in steps:
                    yield None if sound is None else self._chunk(sound)
            except (RuntimeError, MemoryError) as error:
                raise _spoken_error(error, piece) from error
            finally:
                steps.close()

    def rest(self) -> None:
        """Move the weights to the CPU."""
        self._model.to("cpu")
        torch.cuda.empty_cache()

    def wake(self) -> None:
        """Move them back."""
        self._model.to(self._device)

    def close(self) -> None:
        """Free the model."""
        del self._model
        gc.collect()  # coqui's models hold on to themselves
        torch.cuda.empty_cache()

    def _chunk(self, sound: torch.Tensor) -> Chunk:
        samples = np.clip(sound.float().numpy(), -1.0, 1.0)
        return Chunk(Audio(samples, self._sample_rate))

    def _latents(self, voice: Voice) -> Latents:
        """Raises UnknownVoice, UnreadableClip."""
        if voice.clips and voice.clips[0].suffix.lower() == ".json":
            return self._store.find(voice, lambda: read_json(voice.clips[0], self._width))
        if voice.clips:
            return self._store.find(voice, lambda: self._listen(voice.clips))
        if voice.name not in self._studio:
            raise UnknownVoice(voice.name, "XTTS", list(self._studio))
        return self._studio[voice.name]

    def _listen(self, clips: Sequence[Path]) -> Latents:
        """What coqui's `get_conditioning_latents` computes. Raises UnreadableClip."""
        heard = self._listening()
        longest_s = float(heard["max_ref_len"])
        sounds = [read_clip(clip, longest_s).to(self._model.device) for clip in clips]
        if heard["sound_norm_refs"]:
            sounds = [0.75 * sound / sound.abs().max() for sound in sounds]
        embeddings = [self._model.get_speaker_embedding(each, SAMPLE_RATE) for each in sounds]
        prompt = self._model.get_gpt_cond_latents(
            torch.cat(sounds, dim=-1),
            SAMPLE_RATE,
            length=heard["gpt_cond_len"],
            chunk_length=heard["gpt_cond_chunk_len"],
        )
        return Latents.of(prompt, torch.stack(embeddings).mean(dim=0), self._width)

    def _listening(self) -> dict[str, Any]:
        """How the model was trained to listen to clips."""
        names = ("max_ref_len", "gpt_cond_len", "gpt_cond_chunk_len", "sound_norm_refs")
        return {name: self._config[name] for name in names}

    def _manner(self, utterance: Utterance) -> Manner:
        """The request's wishes, else the settings', else the model's."""
        wished, settings = utterance.sampling, self._settings

        def chosen(wish: float | None, setting: str, own: float) -> float:
            value = settings.get(setting, own) if wish is None else wish
            return float(str(value))

        own = self._config
        return Manner(
            temperature=chosen(wished.temperature, "temperature_set", own.temperature),
            top_k=round(chosen(wished.top_k, "top_k_set", own.top_k)),
            top_p=chosen(wished.top_p, "top_p_set", own.top_p),
            repetition_penalty=chosen(
                wished.repetition_penalty, "repetitionpenalty_set", own.repetition_penalty
            ),
            length_penalty=own.length_penalty,
            speed=utterance.speed,
            chunk_tokens=max(1, round(chosen(None, "stream_chunk_tokens_set", 20))),
        )


def _stamp(file: Path) -> str:
    """Differs for another file in its place; reading all of it would take seconds."""
    state = file.stat()
    return f"{file} {state.st_size} {state.st_mtime_ns}"


def _spoken_error(error: BaseException, piece: str) -> AllTalkError:
    if is_out_of_memory(error):
        return OutOfMemory("There is not enough memory for this sentence.")
    return SynthesisFailed(f"XTTS could not say {piece[:60]!r}: {error}")
