"""Reads an XTTS model of coqui-tts from its folder, and leaves the folder as it is.

Nothing in the files is run: the original checkpoints pickle objects of coqui's configuration
beside their weights; these become empty objects (coqui itself would write the file anew instead).
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from TTS.tts.configs.xtts_config import XttsConfig  # type: ignore[import-untyped]
from TTS.tts.models.xtts import Xtts as CoquiXtts  # type: ignore[import-untyped]

from alltalk.errors import LoadFailed, OutOfMemory
from alltalk.torch_compat.checkpoints import building, read_checkpoint, weights_in
from alltalk.torch_compat.coqui import read_config

from .latents import Latents

_PICKLED = (
    "TTS.config.shared_configs.BaseDatasetConfig",
    "TTS.tts.configs.xtts_config.XttsConfig",
    *(
        f"TTS.tts.{module}.{name}"
        for module in ("models.xtts", "configs.xtts_config")
        for name in ("XttsArgs", "XttsAudioConfig")
    ),
)
_log = logging.getLogger(__name__)


class XttsModel(CoquiXtts):  # type: ignore[misc]  # coqui has no types
    """coqui's model, which reads its weights as data."""

    def _load_checkpoint(self, model_path: Path) -> dict[str, torch.Tensor]:
        return weights_in(model_path, inert=_PICKLED)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model, and what came with it."""

    model: XttsModel
    speakers: Mapping[str, Latents]
    """The studio speakers of `speakers_xtts.pth`; empty where there is no such file."""
    deepspeed: bool
    """Whether DeepSpeed runs it."""


def read_model(folder: Path, device: str, *, deepspeed: bool) -> Loaded:
    """The model in `folder` on `device`; with DeepSpeed if asked for and possible.

    Raises LoadFailed, OutOfMemory.
    """
    with building(folder):
        config = XttsConfig()
        config.from_dict(read_config(folder, "XTTS"))
        speakers = _read_speakers(folder / "speakers_xtts.pth", config)
        if deepspeed:
            deepspeed = _deepspeed_possible(device)
        try:
            return Loaded(_build(config, folder, device, deepspeed), speakers, deepspeed)
        except Exception as error:
            if not deepspeed or isinstance(error, OutOfMemory | LoadFailed):
                raise
            _log.warning("XTTS is loaded without DeepSpeed, which failed: %s", error)
        return Loaded(_build(config, folder, device, False), speakers, False)


def _build(config: Any, folder: Path, device: str, deepspeed: bool) -> XttsModel:
    missing = [each for each in ("vocab.json", "model.pth") if not (folder / each).is_file()]
    if missing:
        raise LoadFailed(f"{folder} has no {' and no '.join(missing)}.")
    with _transformers_quiet():
        model = XttsModel(config)
        model.load_checkpoint(
            config, folder, eval=True, use_deepspeed=deepspeed, speaker_file_path=""
        )
    model.to(device)
    return model


@contextmanager
def _transformers_quiet() -> Generator[None]:
    """Without its warnings of special tokens: coqui configures a GPT-2 of which it uses no text."""
    logger = logging.getLogger("transformers.configuration_utils")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _deepspeed_possible(device: str) -> bool:
    """Its kernels are CUDA's."""
    if device.startswith("cuda") and importlib.util.find_spec("deepspeed"):
        return True
    _log.warning("XTTS is loaded without DeepSpeed, which needs its package and an NVIDIA GPU.")
    return False


def _read_speakers(file: Path, config: Any) -> dict[str, Latents]:
    """Raises LoadFailed."""
    if not file.is_file():
        return {}
    speakers = read_checkpoint(file)
    try:
        return {
            name: Latents.of(
                each["gpt_cond_latent"],
                each["speaker_embedding"],
                width=config.model_args.gpt_n_model_channels,
            )
            for name, each in speakers.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise LoadFailed(f"{file} does not hold the speakers of this model: {error}") from error
