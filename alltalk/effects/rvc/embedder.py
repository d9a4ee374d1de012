"""Embedder: speech at 16 kHz to features of what is said, by HuBERT or ContentVec.

HuBERT: Hsu et al. 2021, arXiv:2106.07447; ContentVec: Qian et al. 2022, arXiv:2204.09224. One
network, `transformers.HubertModel`, loaded from a folder of the transformers library or from
fairseq's `.pt`, which is read as data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from alltalk.effects.rvc.fairseq import read_fairseq
from alltalk.effects.rvc.files import find_embedder
from alltalk.errors import RvcModelInvalid
from alltalk.torch_compat import prepare_transformers
from alltalk.torch_compat.checkpoints import building, read_checkpoint

if TYPE_CHECKING:
    from transformers import HubertConfig

SAMPLE_RATE = 16000
HOP = 320
"""Samples of a feature frame: 20 ms."""
FIELD = 400
"""Samples that the first frame needs."""
_V1_LAYER = 9
_OLD_NORMS = {
    "pos_conv_embed.conv.weight_g": "pos_conv_embed.conv.parametrizations.weight.original0",
    "pos_conv_embed.conv.weight_v": "pos_conv_embed.conv.parametrizations.weight.original1",
}


class Embedder:
    """A loaded embedder; may be used by several threads."""

    def __init__(
        self, network: nn.Module, projection: nn.Linear | None, device: str, dtype: torch.dtype
    ) -> None:
        self._network = network.to(device=device, dtype=dtype).eval().requires_grad_(False)
        self._projection = projection
        if projection is not None:
            projection.to(device=device, dtype=dtype).requires_grad_(False)
        self._device, self._dtype = device, dtype
        parameters = [*network.parameters(), *(projection.parameters() if projection else ())]
        self.memory_bytes = sum(each.numel() * each.element_size() for each in parameters)

    def width(self, version: str) -> int:
        """How wide the features are that `version` takes; 0: it cannot make such."""
        if version == "v1":
            return self._projection.out_features if self._projection else 0
        return int(self._config.hidden_size)

    @torch.inference_mode()
    def features(self, samples: Tensor, version: str) -> Tensor:
        """float32 [1, (n - 400) // 320 + 1, width] of `samples` [n] at 16 kHz, n >= 400.

        `v1`: layer 9, projected; `v2`: the last layer. The sound is taken as it is.
        """
        sound = samples.to(device=self._device, dtype=self._dtype)[None]
        if version == "v1":
            assert self._projection is not None
            layers = self._network(sound, output_hidden_states=True).hidden_states
            return self._projection(layers[_V1_LAYER]).float()  # type: ignore[no-any-return]
        return self._network(sound).last_hidden_state.float()  # type: ignore[no-any-return]

    @property
    def _config(self) -> Any:
        return self._network.config


def load_embedder(base: Path, name: str, device: str, dtype: torch.dtype) -> Embedder:
    """The embedder `name` of the base files in `base`. Raises RvcBaseMissing, RvcModelInvalid."""
    place = find_embedder(base, name)
    prepare_transformers()
    from transformers import HubertConfig

    if place.is_dir():
        config, weights = _read_folder(place, HubertConfig)
    else:
        settings, weights = read_fairseq(place)
        config = HubertConfig(**settings)
    with building(place if place.is_dir() else place.parent):
        network, projection = _build(place, config, weights)
        return Embedder(network, projection, device, dtype)


def _read_folder(folder: Path, kind: type[HubertConfig]) -> tuple[HubertConfig, dict[str, Tensor]]:
    with building(folder):
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        settings.pop("model_type", None)
        config = kind(**settings)
        if (folder / "model.safetensors").is_file():
            from safetensors.torch import load_file

            return config, load_file(folder / "model.safetensors")
        return config, dict(read_checkpoint(folder / "pytorch_model.bin"))


def _build(
    place: Path, config: HubertConfig, stored: Mapping[str, Tensor]
) -> tuple[nn.Module, nn.Linear | None]:
    """Raises RvcModelInvalid when a tensor is missing: the network would make noise of speech."""
    from transformers import HubertModel

    weights = {_renamed(name): each.float() for name, each in stored.items()}
    projection = None
    if "final_proj.weight" in weights:
        outer, inner = weights["final_proj.weight"].shape
        projection = nn.Linear(inner, outer)
        projection.load_state_dict(
            {part: weights.pop(f"final_proj.{part}") for part in ("weight", "bias")}
        )
    network = HubertModel(config)
    loaded = network.load_state_dict(weights, strict=False)
    if missing := set(loaded.missing_keys) - {"masked_spec_embed"}:
        raise RvcModelInvalid(f"{place.name} is no HuBERT that can be used: {min(missing)} lacks.")
    if unknown := set(loaded.unexpected_keys) - {"masked_spec_embed"}:
        raise RvcModelInvalid(f"{place.name} is no HuBERT that can be used: {min(unknown)} is odd.")
    return network, projection


def _renamed(name: str) -> str:
    name = name.removeprefix("hubert.")
    for old, new in _OLD_NORMS.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name
