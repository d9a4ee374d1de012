"""The loaded models that one conversion uses, and how each is loaded."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from alltalk.effects.rvc.embedder import Embedder
from alltalk.effects.rvc.index import Index
from alltalk.effects.rvc.packaged import Crepe, Fcpe
from alltalk.effects.rvc.pitch import Autocorrelation, Tracker
from alltalk.effects.rvc.rmvpe import load_rmvpe
from alltalk.effects.rvc.synthesizer import Synthesizer
from alltalk.effects.rvc.voicefile import read_voice
from alltalk.errors import RvcModelInvalid

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Voice:
    """A voice in memory."""

    name: str
    version: str
    network: Synthesizer
    index: Index | None
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Models:
    """All that a conversion uses."""

    voice: Voice
    embedder: Embedder
    tracker: Tracker | None
    """None: the voice has no pitch."""
    device: str


def load_voice(name: str, file: Path, index: Path | None, device: str, dtype: torch.dtype) -> Voice:
    """Raises RvcModelInvalid, RvcBaseMissing, OutOfMemory."""
    read = read_voice(file)
    found = Index(index, read.shape.features) if index else None
    network = read.build(device, dtype)
    size = sum(each.numel() * each.element_size() for each in network.parameters())
    return Voice(name, read.version, network, found, size + (found.memory_bytes if found else 0))


def check_embedder(voice: Voice, embedder: Embedder, name: str) -> None:
    """Raises RvcModelInvalid when the voice was trained with features of another width."""
    wanted, given = voice.network.shape.features, embedder.width(voice.version)
    if wanted != given:
        raise RvcModelInvalid(
            f"{voice.name} needs features {wanted} wide, and the embedder {name} gives {given} for "
            f"{voice.version}: the voice was trained with another one."
        )


def load_tracker(method: str, base: Path, device: str, dtype: torch.dtype) -> Tracker:
    """The tracker `method`. Raises RvcModelInvalid, RvcBaseMissing, OutOfMemory."""
    if method == "rmvpe" and (base / "rmvpe.pt").is_file():
        return load_rmvpe(base / "rmvpe.pt", device, dtype)
    if method == "rmvpe":
        logger.warning(
            "There is no rmvpe.pt in %s: pitch is found by autocorrelation. For speech in noise "
            "install it with `alltalk models install rvc`.",
            base,
        )
    if method == "fcpe":
        return Fcpe(device)
    if method.startswith("crepe"):
        return Crepe("tiny" if method == "crepe-tiny" else "full", device)
    return Autocorrelation()
