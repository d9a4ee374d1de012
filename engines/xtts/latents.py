"""What XTTS knows of a voice, computed from its clips once and kept in memory and on disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import secrets
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from alltalk.engine import Voice
from alltalk.errors import UnreadableClip

EMBEDDING = 512
"""Width of a speaker embedding; fixed in coqui's vocoder."""
IN_MEMORY, ON_DISK = 64, 1000
"""Voices kept; 130 KB each."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Latents:
    """A voice, as the model takes it."""

    prompt: torch.Tensor
    """float32 [1, 32, width], what the language model continues."""
    speaker: torch.Tensor
    """float32 [1, 512, 1], what the vocoder is conditioned on."""

    @classmethod
    def of(cls, prompt: Any, speaker: Any, width: int) -> Latents:
        """From numbers of any shape that holds as many. Raises ValueError, TypeError."""
        both = [torch.as_tensor(each, dtype=torch.float32).cpu() for each in (prompt, speaker)]
        if not all(bool(each.isfinite().all()) for each in both):
            raise ValueError("not all of its numbers are finite")
        if both[0].numel() == 0 or both[0].numel() % width or both[1].numel() != EMBEDDING:
            raise ValueError("it was made for another model")
        return cls(both[0].reshape(1, -1, width), both[1].reshape(1, EMBEDDING, 1))


def read_json(file: Path, width: int) -> Latents:
    """The latents in a JSON file of V2's `xtts_latents/`. Raises UnreadableClip."""
    try:
        found = json.loads(file.read_text(encoding="utf-8-sig"))
        return Latents.of(found["gpt_cond_latent"], found["speaker_embedding"], width)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UnreadableClip(f"{file.name} holds no latents for this model: {error}") from error


class LatentStore:
    """Latents by voice, for one model with its settings.

    The least recently used leave. A folder that cannot be written costs only the next start.
    """

    def __init__(self, folder: Path, model: str, width: int) -> None:
        """`model` names all but the voice that decides them."""
        self._folder, self._model, self._width = folder, model, width
        self._recent: OrderedDict[str, Latents] = OrderedDict()

    def find(self, voice: Voice, compute: Callable[[], Latents]) -> Latents:
        """Those of `voice`, computed if they are not known. One without a digest never is."""
        if not voice.digest:
            return compute()
        key = hashlib.sha256(f"{self._model}\n{voice.digest}".encode()).hexdigest()
        latents = self._recent.pop(key, None) or self._read(key)
        if latents is None:
            latents = compute()
            self._write(key, latents)
        self._recent[key] = latents
        if len(self._recent) > IN_MEMORY:
            self._recent.popitem(last=False)
        return latents

    def _file(self, key: str) -> Path:
        return self._folder / f"{key}.npz"

    def _read(self, key: str) -> Latents | None:
        """None: not there, or damaged."""
        try:
            with (
                self._file(key).open("rb") as file,
                np.load(file, allow_pickle=False) as found,
            ):
                return Latents.of(found["prompt"], found["speaker"], self._width)
        except (OSError, KeyError, EOFError, ValueError, zipfile.BadZipFile):
            return None

    def _write(self, key: str, latents: Latents) -> None:
        """Whole or not at all: written beside its place, then renamed."""
        draft = self._folder / f".{key}.{secrets.token_hex(4)}.partial"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as file:
                np.savez(file, prompt=latents.prompt.numpy(), speaker=latents.speaker.numpy())
            os.replace(draft, self._file(key))
            self._forget_oldest()
        except OSError as error:
            _log.warning("The latents of a voice cannot be kept in %s: %s", self._folder, error)
            with contextlib.suppress(OSError):
                draft.unlink()

    def _forget_oldest(self) -> None:
        kept = sorted(self._folder.glob("*.npz"), key=lambda file: file.stat().st_mtime)
        for file in kept[: -ON_DISK or None]:
            file.unlink(missing_ok=True)
