"""Loads VITS."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from alltalk.engine import Engine, Place
from alltalk.torch_compat import prepare


def load(folder: Path, model: str, place: Place, settings: Mapping[str, object]) -> Engine:
    """The engine with the model `vits - <name>`, which lies in `models/<name>`.

    Raises LoadFailed, OutOfMemory.
    """
    prepare()
    from .speaking import Vits  # imports coqui

    return Vits(folder / "models" / model.removeprefix("vits - "), place)
