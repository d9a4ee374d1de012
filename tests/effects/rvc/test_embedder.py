"""Embedder: frames, layers, and every kind of file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import tiny

from alltalk.effects.rvc.embedder import Embedder, load_embedder
from alltalk.errors import RvcBaseMissing, RvcModelInvalid


@pytest.fixture
def base(tmp_path) -> Path:
    """A folder of base files of its own."""
    shutil.copytree(tiny("rvc") / ".base", tmp_path / ".base")
    return tmp_path / ".base"


def loaded(base: Path, name: str = "hubert") -> Embedder:
    return load_embedder(base, name, "cpu", torch.float32)


def sound(count: int = 16000) -> torch.Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(0))


def change(base: Path, changed: Any) -> None:
    file = base / "hubert" / "model.safetensors"
    weights = load_file(file)
    changed(weights)
    save_file(weights, file)


@pytest.mark.parametrize(("count", "frames"), [(400, 1), (16000, 49), (16160, 50)])
@pytest.mark.parametrize(("version", "width"), [("v1", 16), ("v2", 32)])
def test_a_frame_is_20_ms(base, count, frames, version, width):
    embedder = loaded(base)
    assert embedder.width(version) == width
    assert embedder.features(sound(count), version).shape == (1, frames, width)


def test_v1_is_layer_nine_and_v2_the_last(base):
    before = {version: loaded(base).features(sound(), version) for version in ("v1", "v2")}
    change(base, lambda weights: weights["encoder.layers.10.layer_norm.bias"].add_(1.0))
    after = {version: loaded(base).features(sound(), version) for version in ("v1", "v2")}
    assert torch.equal(before["v1"], after["v1"])
    assert not torch.allclose(before["v2"], after["v2"])


def test_old_names_and_bin_files_give_the_same_features(base):
    expected = loaded(base).features(sound(), "v2")
    weights = load_file(base / "hubert" / "model.safetensors")
    old = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): each
        for name, each in weights.items()
    }
    assert old.keys() != weights.keys()
    torch.save(old, base / "hubert" / "pytorch_model.bin")
    (base / "hubert" / "model.safetensors").unlink()
    assert torch.equal(loaded(base).features(sound(), "v2"), expected)


def as_fairseq(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The names that fairseq gives the same weights."""
    renamed = {}
    for name, each in weights.items():
        new = name.replace("feed_forward.intermediate_dense", "fc1")
        new = new.replace("feed_forward.output_dense", "fc2").replace("attention", "self_attn")
        if new.startswith("feature_extractor"):
            new = new.replace("0.layer_norm", "0.2").replace(".conv.", ".0.")
        elif new.startswith("encoder.layers."):
            number, _, rest = new.removeprefix("encoder.layers.").partition(".")
            rest = "self_attn_layer_norm" + rest[10:] if rest.startswith("layer_norm") else rest
            new = f"encoder.layers.{number}.{rest}"
        new = new.replace("feature_projection.layer_norm", "layer_norm")
        new = new.replace("feature_projection.projection", "post_extract_proj")
        new = new.replace(
            "pos_conv_embed.conv.parametrizations.weight.original0", "pos_conv.0.weight_g"
        )
        new = new.replace(
            "pos_conv_embed.conv.parametrizations.weight.original1", "pos_conv.0.weight_v"
        )
        new = new.replace("pos_conv_embed.conv", "pos_conv.0").replace(
            "masked_spec_embed", "mask_emb"
        )
        renamed[new] = each
    return renamed


def test_a_file_of_fairseq_gives_the_same_features(base):
    expected = {version: loaded(base).features(sound(), version) for version in ("v1", "v2")}
    weights = as_fairseq(load_file(base / "hubert" / "model.safetensors"))
    weights["label_embs_concat"] = torch.zeros(504, 16)
    checkpoint = {
        "args": None,
        "cfg": {"model": {"encoder_attention_heads": 2}},
        "model": weights,
        "task_state": {"dictionaries": []},
    }
    torch.save(checkpoint, base / "hubert_base.pt")
    shutil.rmtree(base / "hubert")
    found = loaded(base)
    for version, features in expected.items():
        assert torch.equal(found.features(sound(), version), features)


@pytest.mark.parametrize("name", ["hubert", "contentvec"])
def test_a_missing_embedder_says_how_to_get_it(tmp_path, name):
    with pytest.raises(RvcBaseMissing, match=f"embedder '{name}': install it with `alltalk models"):
        loaded(tmp_path, name)


def test_contentvec_has_a_place_of_its_own(base):
    (base / "hubert").rename(base / "contentvec")
    assert loaded(base, "contentvec").width("v2") == 32
    with pytest.raises(RvcBaseMissing):
        loaded(base, "hubert")


def test_a_missing_weight_is_no_embedder(base):
    change(base, lambda weights: weights.pop("encoder.pos_conv_embed.conv.bias"))
    with pytest.raises(RvcModelInvalid, match=r"encoder\.pos_conv_embed\.conv\.bias lacks"):
        loaded(base)


def test_without_the_projection_there_are_no_features_of_v1(base):
    change(base, lambda weights: [weights.pop(f"final_proj.{part}") for part in ("weight", "bias")])
    assert loaded(base).width("v1") == 0
    assert loaded(base).width("v2") == 32


def test_code_in_a_file_of_fairseq_is_not_run(base):
    shutil.rmtree(base / "hubert")
    torch.save({"model": {}, "task_state": Path("x")}, base / "hubert_base.pt")
    with pytest.raises(RvcModelInvalid, match=r"hubert_base\.pt is no HuBERT"):
        loaded(base)
    (base / "hubert_base.pt").write_text(json.dumps({}))
    with pytest.raises(RvcModelInvalid, match=r"hubert_base\.pt is no HuBERT"):
        loaded(base)
