"""Loads XTTS."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from alltalk.engine import BatchEngine, Engine, Place
from alltalk.torch_compat import prepare

LOADERS = ("xtts - ", "apitts - ")
"""What V2 puts before a model's name: its two ways of loading one. Here they are the same."""


def load(
    folder: Path, model: str, place: Place, settings: Mapping[str, object]
) -> Engine | BatchEngine:
    """The engine with the model `xtts - <name>`, which lies in `models/<name>`.

    The setting `runtime` says which: `batched`, or `reference`, which is coqui's own loop. What is
    computed of voices is kept in `folder`/.latents. Raises LoadFailed, OutOfMemory, ConfigError.
    """
    prepare()
    from .batch import BatchedXtts  # these import coqui
    from .settings import Settings
    from .speaking import Xtts

    runs_as = BatchedXtts if Settings.of(settings).runtime == "batched" else Xtts
    return runs_as(model_folder(folder, model), folder / ".latents", place, settings)


def model_folder(folder: Path, model: str) -> Path:
    """Where the files of the model `xtts - <name>` lie."""
    for loader in LOADERS:
        model = model.removeprefix(loader)
    return folder / "models" / model
