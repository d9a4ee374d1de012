"""Parler-TTS as an engine. Runs in an environment of its own (see requirements.txt)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from alltalk.engine import BatchEngine, Place

from .importable import make_importable
from .settings import Settings
from .voices import read_voices

PREFIX = "parler - "


def load(folder: Path, model: str, place: Place, settings: Mapping[str, object]) -> BatchEngine:
    """The model in `models/<name>`, listed as `parler - <name>`; `folder` may hold voices, too.

    Reads safetensors alone, and nothing from the network. Raises ConfigError.
    """
    voices, chosen = read_voices(folder), Settings.of(settings)
    make_importable()
    import torch
    from parler_tts import (  # type: ignore[import-not-found, unused-ignore]
        ParlerTTSForConditionalGeneration,
    )
    from transformers import AutoTokenizer, logging

    from .batch import ParlerBatch

    # It prints a model's whole configuration otherwise.
    logging.set_verbosity_error()  # type: ignore[no-untyped-call, unused-ignore]
    torch.set_num_threads(place.threads)
    weights = folder / "models" / model.removeprefix(PREFIX)
    dtype = torch.float32 if place.device == "cpu" else getattr(torch, place.dtype)
    loaded = ParlerTTSForConditionalGeneration.from_pretrained(
        weights, local_files_only=True, use_safetensors=True, torch_dtype=dtype
    )
    # Padded on the left, the words of a set end together, where the sound begins.
    tokenizer = AutoTokenizer.from_pretrained(weights, local_files_only=True, padding_side="left")
    return ParlerBatch(loaded.eval().to(place.device), tokenizer, voices, place.device, chosen)
