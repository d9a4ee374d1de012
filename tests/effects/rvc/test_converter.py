"""Converter: which models a conversion gets, what is kept of them, and what is refused."""

from __future__ import annotations

import gc
import logging
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rvc_homes import add_voice, converter_of

from alltalk.audio import Audio
from alltalk.errors import BadValue, RvcBaseMissing, RvcModelInvalid, UnknownRvcVoice
from alltalk.speech import Conversion

RATE = 16000
ANA = Conversion("Ana/ana.pth", pitch_method="autocorrelation")


def hum(seconds: float = 0.5, hz: float = 150.0) -> Audio:
    at = np.arange(round(seconds * RATE)) / RATE
    return Audio((0.3 * np.sin(2 * np.pi * hz * at)).astype(np.float32), RATE)


def test_importing_and_making_a_converter_loads_no_library(folder):
    code = (
        "import sys; from pathlib import Path; from alltalk.engine import Place\n"
        "from alltalk.effects.rvc import Converter\n"
        "Converter(Path('.'), Place(), memory_bytes=1, half=False)\n"
        "assert not {'torch', 'transformers', 'faiss'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_second_request_loads_nothing(folder):
    converter = converter_of(folder)
    converter.convert(hum(), ANA)
    size = converter.memory_bytes
    shutil.rmtree(folder / ".base")  # whatever is loaded again is missed
    converter.convert(hum(), replace(ANA, semitones=3))
    assert converter.memory_bytes == size > 0
    assert converter.loaded == ("Ana/ana.pth",)


def test_a_voice_is_known_by_its_content(folder):
    converter = converter_of(folder)
    before = converter.convert(hum(), ANA)
    other = add_voice(folder, "Other", "--seed", "7")
    shutil.copy(other, folder / "Ana" / "ana.pth")
    assert not np.array_equal(converter.convert(hum(), ANA).samples, before.samples)
    assert converter.convert(hum(), replace(ANA, voice="Other/other.pth")).sample_rate == 40000


def test_voices_are_dropped_beyond_the_bound_and_base_models_are_not(folder):
    add_voice(folder, "Bob", "--version", "v1", "--rate", "32k")
    converter = converter_of(folder, memory_bytes=1)
    converter.convert(hum(), ANA)
    converter.convert(hum(), replace(ANA, voice="Bob/bob.pth"))
    gc.collect()
    assert converter.loaded == ("Bob/bob.pth",)
    shutil.rmtree(folder / ".base")
    converter.convert(hum(), ANA)


def test_a_voice_in_use_outlives_its_release(folder):
    converter = converter_of(folder)
    stage = converter.open(ANA, RATE)
    expected = converter.convert(hum(2.0), ANA)
    converter.release("Ana/ana.pth")
    assert converter.loaded == ()
    assert len(stage.feed(hum(2.0))) + len(stage.finish()) == len(expected)


def test_release_gives_all_memory_back(folder):
    converter = converter_of(folder)
    converter.convert(hum(), ANA)
    assert converter.memory_bytes > 100_000
    converter.release()
    assert converter.memory_bytes == 0
    converter.convert(hum(), ANA)


def test_half_precision_halves_memory_and_keeps_the_sound(folder):
    whole, half = converter_of(folder), converter_of(folder, half=True)
    expected, found = (each.convert(hum(2.0), ANA) for each in (whole, half))
    assert half.memory_bytes < 0.65 * whole.memory_bytes  # the index stays as it is
    difference = found.samples - expected.samples
    assert np.sqrt(np.mean(difference**2)) < 0.05 * np.sqrt(np.mean(expected.samples**2))


def test_an_unknown_voice_is_an_error(folder):
    with pytest.raises(UnknownRvcVoice, match=r"no voice 'Eve/eve\.pth'. It has: Ana/ana\.pth\."):
        converter_of(folder).convert(hum(), replace(ANA, voice="Eve/eve.pth"))


def test_a_model_of_another_kind_is_an_error(folder):
    torch.save({"model": {"gpt.x": torch.zeros(2)}, "config": {}}, folder / "Ana" / "ana.pth")
    with pytest.raises(RvcModelInvalid, match="such as XTTS's"):
        converter_of(folder).convert(hum(), ANA)


def test_a_v1_index_with_a_v2_voice_is_an_error(folder):
    add_voice(folder, "Bob", "--version", "v1")
    shutil.copy(folder / "Bob" / "bob.index", folder / "Ana" / "ana.index")
    with pytest.raises(RvcModelInvalid, match="vectors are 16 wide, and this voice's are 32"):
        converter_of(folder).convert(hum(), ANA)


def test_an_embedder_of_another_width_is_an_error(folder, maker):
    voice = maker.voice(pitched=True)
    voice["weight"]["enc_p.emb_phone.weight"] = torch.zeros(8, 48).half()
    torch.save(voice, folder / "Ana" / "ana.pth")
    (folder / "Ana" / "ana.index").unlink()
    with pytest.raises(RvcModelInvalid, match=r"needs features 48 wide, .* gives 32 for v2"):
        converter_of(folder).convert(hum(), ANA)


def test_without_base_files_there_is_no_conversion(folder):
    shutil.rmtree(folder / ".base")
    with pytest.raises(RvcBaseMissing, match="alltalk models install rvc"):
        converter_of(folder).convert(hum(), ANA)


def test_without_rmvpe_the_light_tracker_is_used_and_said_once(folder, caplog):
    (folder / ".base" / "rmvpe.pt").unlink()
    converter = converter_of(folder)
    with caplog.at_level(logging.WARNING, "alltalk"):
        found = converter.convert(hum(), replace(ANA, pitch_method="rmvpe"))
        converter.convert(hum(), replace(ANA, pitch_method="rmvpe"))
    assert [each.message for each in caplog.records if "no rmvpe.pt" in each.message] != []
    assert len(caplog.records) == 1
    assert np.array_equal(found.samples, converter.convert(hum(), ANA).samples)


@pytest.mark.parametrize(("old", "ours"), [("pm", "autocorrelation"), ("harvest", "rmvpe")])
def test_an_old_method_means_one_of_ours_and_is_said_once(folder, caplog, old, ours):
    converter = converter_of(folder)
    with caplog.at_level(logging.WARNING, "alltalk"):
        found = [converter.convert(hum(), replace(ANA, pitch_method=old)) for _ in range(2)]
    assert [each.message for each in caplog.records] == [
        f"Pitch is found by another method than was asked for: {old} is an old method, and {ours} "
        "does its work."
    ]
    expected = converter.convert(hum(), replace(ANA, pitch_method=ours))
    assert np.array_equal(found[0].samples, expected.samples)


@pytest.mark.parametrize(
    ("name", "value"), [("pitch_method", "guess"), ("embedder", "spin"), ("embedder", "../x")]
)
def test_unknown_choices_are_errors_by_name(folder, name, value):
    with pytest.raises(BadValue, match=f"^{name}: must be one of"):
        converter_of(folder).convert(hum(), replace(ANA, **{name: value}))


def test_a_damaged_index_is_an_error(folder):
    Path(folder, "Ana", "ana.index").write_bytes(b"nothing")
    converter = converter_of(folder)
    with pytest.raises(RvcModelInvalid, match=r"ana\.index is no index of FAISS"):
        converter.convert(hum(), ANA)
