"""Homes with RVC voices of random weights."""

from __future__ import annotations

import shutil
from pathlib import Path

from tiny_models import tiny

from alltalk.effects.rvc import Converter
from alltalk.engine import Place


def filled(folder: Path) -> Path:
    """`folder` with the base files and a voice Ana."""
    shutil.copytree(tiny("rvc") / ".base", folder / ".base")
    add_voice(folder, "Ana")
    return folder


def add_voice(folder: Path, name: str, *arguments: str) -> Path:
    """A voice, and its index beside it."""
    made = tiny("rvc", *arguments)
    (folder / name).mkdir()
    shutil.copy(made / "voice.index", folder / name / f"{name.lower()}.index")
    return Path(shutil.copy(made / "voice.pth", folder / name / f"{name.lower()}.pth"))


def converter_of(folder: Path, memory_bytes: int = 1 << 30, *, half: bool = False) -> Converter:
    return Converter(folder, Place(), memory_bytes=memory_bytes, half=half)
