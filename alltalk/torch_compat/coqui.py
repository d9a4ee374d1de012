"""What all models of coqui-tts have in common: a folder with a `config.json`, and their end."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import torch

from alltalk.errors import LoadFailed


def read_config(folder: Path, kind: str) -> dict[str, Any]:
    """`config.json` of the model in `folder`. Raises LoadFailed unless it is of a `kind` of model.

    `kind`: as people write it, `VITS`.
    """
    file = folder / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise LoadFailed(f"{file} cannot be read: {error}") from error
    found = config.get("model") if isinstance(config, dict) else None
    if not isinstance(config, dict) or str(found).lower() != kind.lower():
        raise LoadFailed(f"{file} does not describe a model of {kind}, but {found!r}.")
    return config


def give_memory_back() -> None:
    """To be called once a model is let go of: coqui's hold on to themselves."""
    gc.collect()
    torch.cuda.empty_cache()
