from __future__ import annotations

from dataclasses import replace

import pytest

from alltalk.engine import Capabilities, Manifest
from alltalk.status import NO_MODEL, EngineStatus

CAN = Capabilities(deepspeed=True, low_vram=True)
CANNOT = Capabilities()


def status(kind: Capabilities, loaded: Capabilities) -> EngineStatus:
    manifest = replace(Manifest("xtts", "XTTS"), capabilities=kind)
    settings = {"deepspeed_enabled": True}
    return EngineStatus("xtts", "a", ("a",), ("xtts",), manifest, loaded, settings)


@pytest.fixture
def deepspeed(tmp_path, monkeypatch):
    """A package of that name."""
    (tmp_path / "deepspeed").mkdir()
    (tmp_path / "deepspeed" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)


def test_an_engine_without_a_mode_says_so(deepspeed):
    assert status(CANNOT, CANNOT).obstacle("deepspeed") == "XTTS has no DeepSpeed mode."
    assert status(CANNOT, CANNOT).obstacle("low_vram") == "XTTS has no low-VRAM mode."


def test_a_missing_package_is_named_with_what_installs_it():
    obstacle = status(CAN, CANNOT).obstacle("deepspeed")
    assert obstacle == "DeepSpeed is not installed: pip install 'alltalk[deepspeed]'."


def test_a_mode_that_was_tried_and_failed_is_off_and_said_to_have_failed(deepspeed):
    tried = status(CAN, CANNOT)
    assert not tried.is_on("deepspeed")
    assert "without DeepSpeed, which does not run here" in tried.obstacle("deepspeed")


def test_a_mode_that_was_asked_for_and_runs_is_on(deepspeed):
    assert status(CAN, CAN).is_on("deepspeed")
    assert status(CAN, CAN).obstacle("deepspeed") == ""


def test_the_effect_is_what_the_engine_does_and_not_what_was_asked_for(deepspeed):
    assert status(CAN, CAN).effect("deepspeed") == "DeepSpeed: in effect."
    assert status(CAN, CAN).effect("low_vram") == "Low VRAM: off."
    tried = status(CAN, CANNOT).effect("deepspeed")
    assert tried.startswith("DeepSpeed: off, although the settings ask for it. XTTS was loaded")
    unloaded = replace(status(CAN, CAN), model=NO_MODEL)
    assert unloaded.effect("deepspeed") == "DeepSpeed: nothing is loaded, so nothing is in effect."
