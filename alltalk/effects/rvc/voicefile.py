"""Voice file: an RVC `.pth`, read as data and checked before anything is built of it."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from alltalk.effects.rvc.synthesizer import Shape, Synthesizer
from alltalk.errors import LoadFailed, RvcModelInvalid
from alltalk.torch_compat.checkpoints import read_checkpoint

_LARGEST = 1 << 30
"""Bytes of a file, unpacked; a voice has 55 MB."""
_RATES = {"32k": 32000, "40k": 40000, "48k": 48000}
_NORMS = (
    (".weight_v", ".weight_g"),
    (".parametrizations.weight.original1", ".parametrizations.weight.original0"),
)
"""How direction and length of a weight are named, before and since torch 2.1."""


@dataclass(frozen=True, slots=True)
class VoiceFile:
    """A voice as its file holds it."""

    version: str
    """`v1`: features of the embedder's ninth layer, projected; `v2`: of its last."""
    shape: Shape
    weights: Mapping[str, Tensor]
    """float32, weight norm folded; the names are those of `Synthesizer`."""

    def build(self, device: str, dtype: torch.dtype) -> Synthesizer:
        """The network, ready to run."""
        with torch.device("meta"):
            network = Synthesizer(self.shape)
        network.load_state_dict(dict(self.weights), strict=True, assign=True)
        return network.to(device=device, dtype=dtype).eval().requires_grad_(False)


def read_voice(path: Path) -> VoiceFile:
    """The voice in `path`: no code in it is run. Raises RvcModelInvalid, OutOfMemory.

    The layout is that of RVC's `savee` (and of Applio, which adds keys): `weight`, `config`,
    `version`, `f0`. What the tensors say goes before what the other keys say.
    """
    voice = _content(path)
    weights = _folded(path, voice["weight"])
    shape = _shape(path, voice, weights)
    version = str(voice.get("version") or "v1")
    if version not in ("v1", "v2"):
        raise _invalid(path, f"its version is {version[:20]!r}, and v1 and v2 are known")
    _check_tensors(path, shape, weights)
    return VoiceFile(version, shape, weights)


def _content(path: Path) -> Mapping[str, Any]:
    try:
        if _unpacked_size(path) > _LARGEST:
            raise _invalid(path, f"it is larger than {_LARGEST >> 20} MiB")
        voice = read_checkpoint(path)
    except OSError as error:
        raise _invalid(path, f"it cannot be read: {error.strerror or error}") from error
    except LoadFailed as error:
        raise _invalid(path, _without_path(str(error))) from error
    if not isinstance(voice, Mapping):
        raise _invalid(path, "it holds no model")
    if not isinstance(voice.get("weight"), Mapping):
        raise _invalid(path, _what_else(voice))
    return voice


def _unpacked_size(path: Path) -> int:
    try:
        with zipfile.ZipFile(path) as archive:
            return max(path.stat().st_size, sum(each.file_size for each in archive.infolist()))
    except zipfile.BadZipFile:  # torch's older layout, or no checkpoint: torch says which
        return path.stat().st_size


def _without_path(text: str) -> str:
    """What `read_checkpoint` says, as it fits behind our own beginning."""
    if "Python code" in text:
        return "it holds Python code beside its weights, which is not run"
    return "it is damaged, cut off, or no checkpoint of torch"


def _what_else(voice: Mapping[str, Any]) -> str:
    if {"model", "iteration"} <= voice.keys():
        return (
            "it is a checkpoint from training (G_….pth or D_….pth). Export the small voice from it "
            "in RVC's or Applio's training page"
        )
    if "model" in voice:
        return "it is a model of another kind, such as XTTS's: it has no `weight` of an RVC voice"
    return "it has no `weight` of an RVC voice"


def _folded(path: Path, stored: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Weights by name, each `g * v / |v|` made one; the encoder that only training needs is left
    out. In voices the norm is over axis 0 everywhere."""
    if not all(isinstance(name, str) and torch.is_tensor(each) for name, each in stored.items()):
        raise _invalid(path, "its `weight` holds something else than tensors")
    folded = {}
    kept = {name: each for name, each in stored.items() if not name.startswith("enc_q.")}
    if not all(each.layout is torch.strided for each in kept.values()):
        raise _invalid(path, "its tensors are not plain numbers in rows")
    if 4 * sum(each.numel() for each in kept.values()) > _LARGEST:  # rows may share their numbers
        raise _invalid(path, f"its tensors are larger than {_LARGEST >> 20} MiB")
    for name, each in kept.items():
        if name.endswith(_NORMS[0][1]) or name.endswith(_NORMS[1][1]):
            continue
        direction, length = next((pair for pair in _NORMS if name.endswith(pair[0])), ("", ""))
        if not direction:
            folded[name] = each.float()
            continue
        base = name.removesuffix(direction)
        if base + length not in kept:
            raise _invalid(path, f"{base + length} is missing")
        v, g = each.float(), kept[base + length].float()
        if v.dim() < 2 or g.numel() != v.shape[0]:
            raise _invalid(path, f"{base} has a weight norm of another shape")
        norm = v.flatten(1).norm(dim=1)
        folded[base + ".weight"] = v * (g.flatten() / norm).view(-1, *[1] * (v.dim() - 1))
    return folded


def _shape(path: Path, voice: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Shape:
    """Raises RvcModelInvalid."""
    _refuse_other_vocoders(path, voice, weights)
    config = voice.get("config")
    if not isinstance(config, Sequence) or len(config) != 18:
        raise _invalid(path, "its `config` is not a list of 18 values")
    for name in ("emb_g.weight", "enc_p.emb_phone.weight"):
        if name not in weights or weights[name].dim() != 2:
            raise _invalid(path, f"{name} is missing")
    try:
        shape = Shape(
            features=weights["enc_p.emb_phone.weight"].shape[1],
            pitched="enc_p.emb_pitch.weight" in weights,
            latent=_whole(config[2], 4096),
            hidden=_whole(config[3], 4096),
            inner=_whole(config[4], 16384),
            heads=_whole(config[5], 64),
            layers=_whole(config[6], 64),
            kernel=_whole(config[7], 64),
            block_kernels=_wholes(config[10]),
            block_dilations=tuple(_wholes(each) for each in config[11]),
            rates=_wholes(config[12]),
            width=_whole(config[13], 8192),
            rate_kernels=_wholes(config[14]),
            speakers=weights["emb_g.weight"].shape[0],  # the list is often wrong about it
            speaker_width=_whole(config[16], 4096),
            sample_rate=_whole(_RATES.get(str(config[17]), config[17]), 48000),
        )
    except (TypeError, ValueError) as error:
        raise _invalid(path, f"its `config` does not hold: {error}") from error
    if str(config[9]) != "1":
        raise _invalid(path, f"its residual blocks are of kind {config[9]!r}, and 1 is known")
    if math.prod(shape.rates) * 100 != shape.sample_rate:
        raise _invalid(
            path, f"its upsampling {shape.rates} does not lead to {shape.sample_rate} Hz"
        )
    same = len(shape.rates) == len(shape.rate_kernels)
    if not same or len(shape.block_kernels) != len(shape.block_dilations):
        raise _invalid(path, "its `config` has lists of different lengths")
    return shape


def _refuse_other_vocoders(
    path: Path, voice: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> None:
    named = str(voice.get("vocoder") or "HiFi-GAN")
    source = weights.get("dec.m_source.l_linear.weight")
    if named != "HiFi-GAN" or (source is not None and source.shape != (1, 1)):
        kind = named if named != "HiFi-GAN" else "MRF HiFi-GAN"
        raise _invalid(
            path, f"its vocoder is {kind[:30]!r}, which is not supported: only HiFi-GAN is"
        )


def _check_tensors(path: Path, shape: Shape, weights: Mapping[str, Tensor]) -> None:
    """Compares with a network that takes no memory. Raises RvcModelInvalid."""
    try:
        with torch.device("meta"):
            expected = Synthesizer(shape).state_dict()
    except (RuntimeError, ValueError) as error:
        raise _invalid(path, f"its `config` does not hold: {error}") from error
    if missing := expected.keys() - weights.keys():
        raise _invalid(path, f"{min(missing)} is missing")
    if unknown := weights.keys() - expected.keys():
        raise _invalid(path, f"{min(unknown)[:80]} belongs to no voice")
    for name, each in expected.items():
        if each.shape != weights[name].shape:
            found = f"{list(weights[name].shape)}, not {list(each.shape)}"
            raise _invalid(path, f"{name} has the shape {found}")
        if not weights[name].isfinite().all():
            raise _invalid(path, f"{name} holds values that are no numbers")


def _whole(value: Any, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise ValueError(f"{str(value)[:20]!r} is no whole number up to {most}")
    return value


def _wholes(values: Any) -> tuple[int, ...]:
    if not isinstance(values, list | tuple) or not 1 <= len(values) <= 8:
        raise ValueError(f"{str(values)[:20]!r} is no list of 1 to 8 whole numbers")
    return tuple(_whole(each, 512) for each in values)


def _invalid(path: Path, why: str) -> RvcModelInvalid:
    return RvcModelInvalid(f"{path.name} is no RVC voice that can be used: {why}.")
