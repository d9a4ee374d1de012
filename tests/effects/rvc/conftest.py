"""Voices with random weights: converted sound has its peak at the pitch that went in."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from rvc_homes import add_voice, converter_of, filled
from tiny_models import TESTS

from alltalk.effects.rvc import Converter


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
