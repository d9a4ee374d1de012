"""A HuBERT of fairseq, `hubert_base.pt` or `contentvec_base.pt`, without fairseq."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from alltalk.errors import LoadFailed, RvcModelInvalid
from alltalk.torch_compat.checkpoints import read_checkpoint

_INERT = ("fairseq.data.dictionary.Dictionary", "argparse.Namespace")
"""Classes that such files mention besides their tensors."""
_HEAD_WIDTH = 64
"""Of HuBERT base, whose files need not say how many heads they have."""
_UNUSED = ("label_embs_concat",)
_NAMES = (
    (r"^feature_extractor\.conv_layers\.(\d+)\.0\.", r"feature_extractor.conv_layers.\1.conv."),
    (r"^feature_extractor\.conv_layers\.0\.2\.", "feature_extractor.conv_layers.0.layer_norm."),
    (r"^layer_norm\.", "feature_projection.layer_norm."),
    (r"^post_extract_proj\.", "feature_projection.projection."),
    (r"^encoder\.pos_conv\.0\.weight_g$", "encoder.pos_conv_embed.conv.weight_g"),
    (r"^encoder\.pos_conv\.0\.", "encoder.pos_conv_embed.conv."),
    (r"^(encoder\.layers\.\d+)\.self_attn_layer_norm\.", r"\1.layer_norm."),
    (r"^(encoder\.layers\.\d+)\.self_attn\.", r"\1.attention."),
    (r"^(encoder\.layers\.\d+)\.fc1\.", r"\1.feed_forward.intermediate_dense."),
    (r"^(encoder\.layers\.\d+)\.fc2\.", r"\1.feed_forward.output_dense."),
    (r"^mask_emb$", "masked_spec_embed"),
)
"""fairseq's names and those of transformers."""


def read_fairseq(file: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Settings of a `HubertConfig` and weights by their names in transformers.

    No code in the file is run. Raises RvcModelInvalid, OutOfMemory.
    """
    try:
        checkpoint = read_checkpoint(file, _INERT)
    except LoadFailed as error:
        raise RvcModelInvalid(f"{file.name} is no HuBERT that can be used: {error}") from error
    model = checkpoint.get("model") if isinstance(checkpoint, Mapping) else None
    if not isinstance(model, Mapping) or "post_extract_proj.weight" not in model:
        raise RvcModelInvalid(f"{file.name} is no HuBERT of fairseq: it lacks its weights.")
    weights = {_renamed(name): each for name, each in model.items() if name not in _UNUSED}
    return _settings(checkpoint, weights), weights


def _renamed(name: str) -> str:
    for pattern, new in _NAMES:
        renamed, found = re.subn(pattern, new, name)
        if found:
            return renamed
    return name


def _settings(checkpoint: Mapping[str, Any], weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """HuBERT base in the sizes that the tensors have."""
    hidden, last = weights["feature_projection.projection.weight"].shape
    layers = {name.split(".")[2] for name in weights if name.startswith("encoder.layers.")}
    positions = weights["encoder.pos_conv_embed.conv.weight_v"].shape
    return {
        "hidden_size": hidden,
        "num_hidden_layers": len(layers),
        "num_attention_heads": _heads(checkpoint, hidden),
        "intermediate_size": weights[
            "encoder.layers.0.feed_forward.intermediate_dense.weight"
        ].shape[0],
        "conv_dim": [last] * 7,
        "num_conv_pos_embeddings": positions[2],
        "num_conv_pos_embedding_groups": hidden // positions[1],
        "feat_extract_norm": "group",
        "conv_bias": False,
        "do_stable_layer_norm": False,
        "layerdrop": 0.0,
    }


def _heads(checkpoint: Mapping[str, Any], hidden: int) -> int:
    told = checkpoint.get("cfg")
    model = told.get("model") if isinstance(told, Mapping) else None
    heads = model.get("encoder_attention_heads") if isinstance(model, Mapping) else None
    return heads if isinstance(heads, int) else hidden // _HEAD_WIDTH
