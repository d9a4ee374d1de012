"""Voices with random weights: converted sound has its peak at the pitch that went in."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from tiny_models import TESTS, tiny

from alltalk.effects.rvc import Converter
from alltalk.engine import Place

OpenHome = Callable[..., Converter]


@pytest.fixture(scope="session")
def maker() -> ModuleType:
    """tests/models/rvc.py, for voices that are not as they should be."""
    found = importlib.util.spec_from_file_location("rvc_maker", TESTS / "models" / "rvc.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path) -> Path:
    """An rvc_models/ with the base files and a v2 voice `Ana/ana.pth` with its index."""
    return filled(tmp_path / "rvc_models")


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Converter:
    """A converter for who changes nothing in its folder: Ana (v2, 40 kHz), Bob (v1, 32 kHz), and
    Cleo (v2, 48 kHz, without pitch)."""
    folder = filled(tmp_path_factory.mktemp("home") / "rvc_models")
    add_voice(folder, "Bob", "--version", "v1", "--rate", "32k")
    add_voice(folder, "Cleo", "--rate", "48k", "--no-pitch")
    return converter_of(folder)


def filled(folder: Path) -> Path:
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
