"""XTTS as coqui's own code loads it, for ours to be held to."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def coqui_model(folder: Path) -> Any:
    """The model in `folder`."""
    from alltalk.torch_compat import prepare

    prepare()
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    config = XttsConfig()
    config.load_json(str(folder / "config.json"))
    model = Xtts(config)
    model.load_checkpoint(config, checkpoint_dir=folder, eval=True)
    return model
