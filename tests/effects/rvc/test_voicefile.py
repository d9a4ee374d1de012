"""Voice files: every shape loads strictly, and what is no voice is refused with a reason."""

from __future__ import annotations

import os
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from alltalk.effects.rvc.voicefile import read_voice
from alltalk.errors import RvcModelInvalid


def saved(folder: Path, voice: Any) -> Path:
    torch.save(voice, folder / "ana.pth")
    return folder / "ana.pth"


@pytest.mark.parametrize("pitched", [True, False])
@pytest.mark.parametrize("rate", ["32k", "40k", "48k"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_every_shape_loads_strictly(maker, tmp_path, version, rate, pitched):
    voice = maker.voice(version, rate, pitched=pitched)
    read = read_voice(saved(tmp_path, voice))
    network = read.build("cpu", torch.float32)
    assert read.version == version
    assert read.shape.sample_rate == int(rate[:2]) * 1000
    assert read.shape.pitched == pitched
    assert network.state_dict().keys() == read.weights.keys()
    assert not any(each.is_meta for each in network.parameters())


def test_weight_norm_is_folded_by_its_formula_under_old_and_new_names(maker, tmp_path):
    voice = maker.voice(pitched=True)
    old = read_voice(saved(tmp_path, voice)).weights
    v, g = (voice["weight"][f"dec.ups.0.weight_{part}"].float() for part in "vg")
    expected = g * v / v.pow(2).sum((1, 2), keepdim=True).sqrt()
    assert torch.allclose(old["dec.ups.0.weight"], expected, atol=1e-6)
    voice["weight"] = {
        name.replace("weight_g", "parametrizations.weight.original0").replace(
            "weight_v", "parametrizations.weight.original1"
        ): each
        for name, each in voice["weight"].items()
    }
    new = read_voice(saved(tmp_path, voice)).weights
    assert old.keys() == new.keys()
    assert all(torch.equal(old[name], new[name]) for name in old)


def test_what_only_training_needs_is_left_out(maker, tmp_path):
    voice = maker.voice(pitched=True)
    voice["weight"]["enc_q.pre.weight"] = torch.zeros(3)
    assert "enc_q.pre.weight" not in read_voice(saved(tmp_path, voice)).weights


def test_a_file_of_applio_and_one_without_a_version_load(maker, tmp_path):
    voice = maker.voice("v1", pitched=True)
    voice |= {"sr": 40000, "f0": True, "vocoder": "HiFi-GAN", "embedder_model": None, "epoch": 3}
    voice["config"][15] = 1  # a number of speakers that is not the file's
    voice["config"][17] = "40k"
    del voice["version"]
    read = read_voice(saved(tmp_path, voice))
    assert (read.version, read.shape.speakers) == ("v1", 2)


def without(name: str):
    return lambda voice: voice["weight"].pop(name)


def with_weight(name: str, value: Any):
    return lambda voice: voice["weight"].update({name: value})


def with_config(place: int, value: Any):
    return lambda voice: voice["config"].__setitem__(place, value)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (without("dec.conv_pre.weight"), r"dec\.conv_pre\.weight is missing"),
        (without("dec.ups.0.weight_g"), r"dec\.ups\.0\.weight_g is missing"),
        (without("emb_g.weight"), r"emb_g\.weight is missing"),
        (with_weight("dec.more", torch.zeros(2)), r"dec\.more belongs to no voice"),
        (with_weight("dec.conv_pre.bias", torch.zeros(2)), r"has the shape \[2\], not \[64\]"),
        (with_weight("dec.conv_pre.bias", torch.full((64,), torch.nan)), "no numbers"),
        (with_weight("dec.conv_pre.bias", "text"), "something else than tensors"),
        (with_config(6, 10**9), "no whole number up to 64"),
        (with_config(13, -1), "no whole number"),
        (with_config(12, [10, 10, 2]), "does not lead to 40000 Hz"),
        (with_config(14, [16, 16]), "different lengths"),
        (with_config(9, "2"), "kind '2'"),
        (with_config(2, 16), "has the shape"),
        (lambda voice: voice["config"].pop(), "not a list of 18 values"),
        (lambda voice: voice.update(version="v3"), "version is 'v3'"),
        (lambda voice: voice.update(vocoder="RefineGAN"), "vocoder is 'RefineGAN'"),
        (
            with_weight("dec.m_source.l_linear.weight", torch.zeros(1, 9)),
            "vocoder is 'MRF HiFi-GAN'",
        ),
    ],
)
def test_a_voice_that_does_not_hold_is_refused_with_the_reason(maker, tmp_path, change, why):
    voice = maker.voice(pitched=True)
    change(voice)
    with pytest.raises(
        RvcModelInvalid, match=rf"ana\.pth is no RVC voice that can be used: .*{why}"
    ):
        read_voice(saved(tmp_path, voice))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"model": OrderedDict(x=torch.zeros(2)), "config": {}}, "another kind, such as XTTS's"),
        ({"model": {}, "iteration": 9, "optimizer": {}, "learning_rate": 1e-4}, "from training"),
        ({"other": 1}, "no `weight`"),
        ([1, 2], "holds no model"),
    ],
)
def test_a_checkpoint_of_something_else_is_told_apart(tmp_path, content, why):
    with pytest.raises(RvcModelInvalid, match=why):
        read_voice(saved(tmp_path, content))


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, traces: Path) -> None:
        self.traces = traces

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.traces),)


def test_no_code_of_a_file_is_run(maker, tmp_path):
    voice = maker.voice(pitched=True) | {"info": Bomb(tmp_path / "ran")}
    with pytest.raises(RvcModelInvalid, match="Python code beside its weights, which is not run"):
        read_voice(saved(tmp_path, voice))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "ana.pth").write_bytes(content)
    with pytest.raises(RvcModelInvalid, match="damaged, cut off, or no checkpoint"):
        read_voice(tmp_path / "ana.pth")


def test_a_file_that_unpacks_to_too_much_is_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "ana.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(1000))
        archive.filelist[0].file_size = 1025 << 20  # what its directory says, which is written last
    with pytest.raises(RvcModelInvalid, match="larger than 1024 MiB"):
        read_voice(tmp_path / "ana.pth")
