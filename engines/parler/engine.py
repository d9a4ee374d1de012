"""Parler-TTS as an engine. Runs in an environment of its own (see requirements.txt)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from alltalk.engine import BatchEngine, Place
from alltalk.errors import LoadFailed
from alltalk.torch_compat import prepare_torchaudio

from .settings import Settings
from .voices import read_voices

PREFIX = "parler - "
MOST_MISSING = 0.1
"""Share of a model's weights that its file may lack; transformers draws those at random."""


def load(folder: Path, model: str, place: Place, settings: Mapping[str, object]) -> BatchEngine:
    """The model in `models/<name>`, listed as `parler - <name>`; `folder` may hold voices, too.

    Reads safetensors alone, and nothing from the network. Raises ConfigError, LoadFailed.
    """
    voices, chosen = read_voices(folder), Settings.of(settings)
    prepare_torchaudio()
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
    loaded, report = ParlerTTSForConditionalGeneration.from_pretrained(
        weights,
        local_files_only=True,
        use_safetensors=True,
        torch_dtype=dtype,
        output_loading_info=True,
    )
    _refuse_foreign(weights, len(report["missing_keys"]), len(loaded.state_dict()))
    # Padded on the left, the words of a set end together, where the sound begins.
    tokenizer = AutoTokenizer.from_pretrained(weights, local_files_only=True, padding_side="left")
    return ParlerBatch(loaded.eval().to(place.device), tokenizer, voices, place.device, chosen)


def _refuse_foreign(folder: Path, missing: int, needed: int) -> None:
    """Weights of something else would speak as noise. Raises LoadFailed."""
    if missing > MOST_MISSING * needed:
        raise LoadFailed(
            f"The weights in {folder} are of another kind of model: of the {needed} that "
            f"config.json beside them tells of, {missing} are not there. Install it again."
        )
