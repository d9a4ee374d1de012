"""Who an XTTS model can speak as: its studio speakers, clips that it hears, latents in a file."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from alltalk.engine import Voice
from alltalk.errors import UnknownVoice

from .clips import SAMPLE_RATE, read_clip
from .latents import Latents, LatentStore, read_json
from .model import Loaded


class Voices:
    """The latents of voices. May be asked by several threads."""

    def __init__(self, loaded: Loaded, model_file: Path, kept: Path) -> None:
        """`kept`: the folder in which the latents of clips are kept."""
        self.studio = loaded.speakers
        self._model = loaded.model
        self._width: int = loaded.model.config.model_args.gpt_n_model_channels
        self._store = LatentStore(kept, f"{_stamp(model_file)} {self._listening()}", self._width)
        self.listening = threading.RLock()
        """Held while clips are heard: the model must not be moved meanwhile."""

    def latents(self, voice: Voice) -> Latents:
        """Raises UnknownVoice, UnreadableClip."""
        with self.listening:
            if voice.clips and voice.clips[0].suffix.lower() == ".json":
                return self._store.find(voice, lambda: read_json(voice.clips[0], self._width))
            if voice.clips:
                return self._store.find(voice, lambda: self._listen(voice.clips))
        if voice.name not in self.studio:
            raise UnknownVoice(voice.name, "XTTS", list(self.studio))
        return self.studio[voice.name]

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
        return {name: self._model.config[name] for name in names}


def _stamp(file: Path) -> str:
    """Differs for another file in its place; reading all of it would take seconds."""
    state = file.stat()
    return f"{file} {state.st_size} {state.st_mtime_ns}"
