"""Loads XTTS."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from alltalk.engine import Engine, Place
from alltalk.torch_compat import prepare

LOADERS = ("xtts - ", "apitts - ")
"""What V2 puts before a model's name: its two ways of loading one. Here they are the same."""


def load(folder: Path, model: str, place: Place, settings: Mapping[str, object]) -> Engine:
    """The engine with the model `xtts - <name>`, which lies in `models/<name>`.

    What is computed of voices is kept in `folder`/.latents. Raises LoadFailed, OutOfMemory.
    """
    prepare()
    from .speaking import Xtts  # imports coqui

    for loader in LOADERS:
        model = model.removeprefix(loader)
    return Xtts(folder / "models" / model, folder / ".latents", place, settings)
