"""Makes RVC voices with random weights: the genuine architecture and files of RVC v1 and v2.

    cd tests && python -m models.rvc FOLDER [--version v1] [--rate 32k] [--no-pitch] [--seed N]

FOLDER/voice.pth, voice.index, .base/hubert/ and .base/rmvpe.pt. The decoder lets the sine source
straight through: converted sound has its peak at the pitch that went in. All of a voice listens to
features 32 (v2) or 16 (v1) wide; `--size real` has the published dimensions, 0.8 GB in all. Takes
some seconds.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

RATES = {
    ("v1", "32k"): ([10, 4, 2, 2, 2], [16, 16, 4, 4, 4]),
    ("v2", "32k"): ([10, 8, 2, 2], [20, 16, 4, 4]),
    ("v1", "40k"): ([10, 10, 2, 2], [16, 16, 4, 4]),
    ("v2", "40k"): ([10, 10, 2, 2], [16, 16, 4, 4]),
    ("v1", "48k"): ([10, 6, 2, 2, 2], [16, 16, 4, 4, 4]),
    ("v2", "48k"): ([12, 10, 2, 2], [24, 20, 4, 4]),
}
"""(version, sample rate) → upsampling rates and kernels. The product of rates is a frame."""
FEATURES = {("tiny", "v1"): 16, ("tiny", "v2"): 32, ("real", "v1"): 256, ("real", "v2"): 768}
HUBERT_KERNELS, HUBERT_STRIDES = [10, 3, 3, 3, 3, 2, 2], [5, 2, 2, 2, 2, 2, 2]


def main() -> None:
    """Write one voice and what it needs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--version", default="v2", choices=["v1", "v2"])
    parser.add_argument("--rate", default="40k", choices=["32k", "40k", "48k"])
    parser.add_argument("--no-pitch", action="store_true")
    parser.add_argument("--size", default="tiny", choices=["tiny", "real"])
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    make_rvc(
        asked.folder, asked.version, asked.rate, asked.size, asked.seed, pitched=not asked.no_pitch
    )


def make_rvc(
    folder: Path,
    version: str = "v2",
    rate: str = "40k",
    size: str = "tiny",
    seed: int = 0,
    *,
    pitched: bool = True,
) -> None:
    """A voice with its index, and the base models beside it in `.base`."""
    import torch
    from safetensors.torch import save_file

    base = folder / ".base"
    (base / "hubert").mkdir(parents=True)
    torch.save(voice(version, rate, size, seed, pitched=pitched), folder / "voice.pth")
    config = hubert_config(size)
    (base / "hubert" / "config.json").write_text(json.dumps(config, indent=1))
    weights = random_hubert(config, seed=1)
    save_file(weights, base / "hubert" / "model.safetensors", metadata={"format": "pt"})
    torch.save(random_rmvpe(size, seed=2), base / "rmvpe.pt")
    write_index(folder / "voice.index", FEATURES[size, version], seed=seed + 3)


def voice(
    version: str = "v2", rate: str = "40k", size: str = "tiny", seed: int = 0, *, pitched: bool
) -> dict[str, Any]:
    """What the file of a voice holds."""
    import torch

    config = voice_config(version, rate, size)
    draws = torch.Generator().manual_seed(seed)
    shapes = dict(voice_shapes(config, FEATURES[size, version], pitched=pitched))
    weight = {
        name: _voice_weight(name, torch.randn(shape, generator=draws), len(config[12])).half()
        for name, shape in shapes.items()
    }
    return {
        "weight": weight,
        "config": config,
        "info": "0epoch-random",
        "sr": rate,
        "f0": int(pitched),
        "version": version,
    }


def voice_config(version: str, rate: str, size: str) -> list[Any]:
    """The 18 dimensions, in RVC's order."""
    rates, kernels = RATES[version, rate]
    hertz = int(rate[:2]) * 1000
    widths = [192, 192, 768, 2, 6] if size == "real" else [8, 8, 16, 2, 2]
    first, speakers, told = (512, 109, 256) if size == "real" else (2 << len(rates) + 1, 2, 8)
    return [
        *(513 if rate == "32k" else 1025, 32, *widths, 3, 0),
        *("1", [3, 7, 11], [[1, 3, 5]] * 3, rates, first, kernels, speakers, told, hertz),
    ]


def voice_shapes(
    config: list[Any], features: int, *, pitched: bool
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every weight, without the encoder that only training needs."""
    (_, _, inter, hidden, inner, heads, layers, kernel, _, _, sizes, steps, *rest) = config
    rates, first, kernels, speakers, told, _ = rest

    def plain(name: str, *shape: int, bias: bool = True) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield f"{name}.weight", shape
        if bias:
            yield f"{name}.bias", shape[:1]

    def normed(
        name: str, *shape: int, out: int | None = None
    ) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield f"{name}.bias", (out or shape[0],)
        yield f"{name}.weight_g", (shape[0], *[1] * (len(shape) - 1))
        yield f"{name}.weight_v", shape

    yield from plain("enc_p.emb_phone", hidden, features)
    if pitched:
        yield "enc_p.emb_pitch.weight", (256, hidden)
    for layer in range(layers):
        attention = f"enc_p.encoder.attn_layers.{layer}"
        for part in ("emb_rel_k", "emb_rel_v"):
            yield f"{attention}.{part}", (1, 21, hidden // heads)
        for part in "qkvo":
            yield from plain(f"{attention}.conv_{part}", hidden, hidden, 1)
        for number in (1, 2):
            yield f"enc_p.encoder.norm_layers_{number}.{layer}.gamma", (hidden,)
            yield f"enc_p.encoder.norm_layers_{number}.{layer}.beta", (hidden,)
        yield from plain(f"enc_p.encoder.ffn_layers.{layer}.conv_1", inner, hidden, kernel)
        yield from plain(f"enc_p.encoder.ffn_layers.{layer}.conv_2", hidden, inner, kernel)
    yield from plain("enc_p.proj", 2 * inter, hidden, 1)
    if pitched:
        yield from plain("dec.m_source.l_linear", 1, 1)
        for stage in range(len(rates)):
            stride = math.prod(rates[stage + 1 :])
            size = 2 * stride if stage + 1 < len(rates) else 1
            yield from plain(f"dec.noise_convs.{stage}", first >> stage + 1, 1, size)
    yield from plain("dec.conv_pre", first, inter, 7)
    for stage, size in enumerate(kernels):
        width = first >> stage + 1
        yield from normed(f"dec.ups.{stage}", 2 * width, width, size, out=width)
        for branch, (reach, dilations) in enumerate(zip(sizes, steps, strict=True)):
            for number in range(len(dilations)):
                for part in ("convs1", "convs2"):
                    block = f"dec.resblocks.{stage * len(sizes) + branch}.{part}.{number}"
                    yield from normed(block, width, width, reach)
    yield from plain("dec.conv_post", 1, first >> len(rates), 7, bias=False)
    yield from plain("dec.cond", first, told, 1)
    for flow in (0, 2, 4, 6):
        coupling = f"flow.flows.{flow}"
        yield from plain(f"{coupling}.pre", hidden, inter // 2, 1)
        for layer in range(3):
            yield from normed(f"{coupling}.enc.in_layers.{layer}", 2 * hidden, hidden, 5)
            mixed = 2 * hidden if layer < 2 else hidden
            yield from normed(f"{coupling}.enc.res_skip_layers.{layer}", mixed, hidden, 1)
        yield from normed(f"{coupling}.enc.cond_layer", 6 * hidden, told, 1)
        yield from plain(f"{coupling}.post", inter // 2, hidden, 1)
    yield "emb_g.weight", (speakers, told)


def _voice_weight(name: str, drawn: Any, stages: int) -> Any:
    """Weights that let the sine through, and keep all else quiet."""
    import torch

    shape = tuple(drawn.shape)
    if name == f"dec.noise_convs.{stages - 1}.weight":  # pairs of opposite signs, read out alike:
        sign = 1 - 2 * (torch.arange(shape[0]) % 2).float()  # so the last rectifier cuts nothing
        return (drawn.abs() * 0.5 + 0.5) * sign[:, None, None]
    if name == "dec.conv_post.weight":
        sign = 1 - 2 * (torch.arange(shape[1]) % 2).float()
        drawn = (drawn.abs() * 0.2 + 2.0) / shape[1] * sign[None, :, None]
        drawn[:, :, [0, 1, 2, 4, 5, 6]] *= 0.1
        return drawn
    if name == "dec.m_source.l_linear.weight" or name.endswith(".gamma"):
        return torch.ones(shape)
    if name == "enc_p.proj.bias":
        return torch.cat([torch.zeros(shape[0] // 2), torch.full((shape[0] // 2,), -3.0)])
    if name.endswith((".beta", ".bias")):
        return drawn * 0.01
    if name.endswith(".weight_g"):
        return drawn.abs() * 0.02 + (0.8 if ".ups." in name else 0.05)
    if name.startswith("dec.noise_convs"):
        return drawn * 0.02
    return drawn / math.prod(shape[1:]) ** 0.5 * 0.5 if name.endswith("weight") else drawn


def hubert_config(size: str = "tiny") -> dict[str, Any]:
    """transformers' configuration of the embedder."""
    real = size == "real"
    return {
        "architectures": ["HubertModelWithFinalProj"],
        "model_type": "hubert",
        "hidden_size": 768 if real else 32,
        "num_hidden_layers": 12,
        "num_attention_heads": 12 if real else 2,
        "intermediate_size": 3072 if real else 64,
        "classifier_proj_size": 256 if real else 16,
        "conv_dim": [512 if real else 16] * 7,
        "conv_kernel": HUBERT_KERNELS,
        "conv_stride": HUBERT_STRIDES,
        "num_conv_pos_embeddings": 128 if real else 16,
        "num_conv_pos_embedding_groups": 16 if real else 4,
        "apply_spec_augment": False,
    }


def hubert_shapes(config: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every weight of the embedder, as transformers names them."""
    hidden, inner, widths = (
        config["hidden_size"],
        config["intermediate_size"],
        config["conv_dim"],
    )
    yield "masked_spec_embed", (hidden,)
    for layer, size in enumerate(config["conv_kernel"]):
        into = widths[layer - 1] if layer else 1
        yield f"feature_extractor.conv_layers.{layer}.conv.weight", (widths[layer], into, size)

    def plain(name: str, out: int, into: int | None = None) -> Iterator[tuple[str, Any]]:
        yield f"{name}.weight", (out,) if into is None else (out, into)
        yield f"{name}.bias", (out,)

    yield from plain("feature_extractor.conv_layers.0.layer_norm", widths[0])
    yield from plain("feature_projection.layer_norm", widths[-1])
    yield from plain("feature_projection.projection", hidden, widths[-1])
    position, reach = "encoder.pos_conv_embed.conv", config["num_conv_pos_embeddings"]
    groups = config["num_conv_pos_embedding_groups"]
    yield f"{position}.bias", (hidden,)
    yield f"{position}.parametrizations.weight.original0", (1, 1, reach)
    yield f"{position}.parametrizations.weight.original1", (hidden, hidden // groups, reach)
    yield from plain("encoder.layer_norm", hidden)
    for layer in range(config["num_hidden_layers"]):
        name = f"encoder.layers.{layer}"
        for part in ("k", "v", "q", "out"):
            yield from plain(f"{name}.attention.{part}_proj", hidden, hidden)
        for part in ("layer_norm", "final_layer_norm"):
            yield from plain(f"{name}.{part}", hidden)
        yield from plain(f"{name}.feed_forward.intermediate_dense", inner, hidden)
        yield from plain(f"{name}.feed_forward.output_dense", hidden, inner)
    yield from plain("final_proj", config["classifier_proj_size"], hidden)


def random_hubert(config: dict[str, Any], seed: int) -> dict[str, Any]:
    """Weights of the embedder."""
    import torch

    draws, weights = torch.Generator().manual_seed(seed), {}
    for name, shape in hubert_shapes(config):
        drawn = torch.randn(shape, generator=draws)
        if name.endswith("layer_norm.weight"):
            drawn = torch.ones(shape)
        elif name.endswith("original0"):
            drawn = drawn.abs() + 0.5
        elif name.endswith("bias"):
            drawn = drawn * 0.02
        elif len(shape) > 1:
            drawn = drawn / math.prod(shape[1:]) ** 0.5
        weights[name] = drawn.contiguous()
    return weights


def rmvpe_shapes(size: str = "tiny") -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every weight of RMVPE."""
    blocks, levels, inner, width, gru = (4, 5, 4, 16, 256) if size == "real" else (1, 5, 1, 2, 8)

    def norm(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        for part in ("weight", "bias", "running_mean", "running_var"):
            yield f"{name}.{part}", (channels,)
        yield f"{name}.num_batches_tracked", ()

    def residual(name: str, into: int, out: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield f"{name}.conv.0.weight", (out, into, 3, 3)
        yield from norm(f"{name}.conv.1", out)
        yield f"{name}.conv.3.weight", (out, out, 3, 3)
        yield from norm(f"{name}.conv.4", out)
        if into != out:
            yield f"{name}.shortcut.weight", (out, into, 1, 1)
            yield f"{name}.shortcut.bias", (out,)

    yield from norm("unet.encoder.bn", 1)
    into, out = 1, width
    for level in range(levels):
        for block in range(blocks):
            name = f"unet.encoder.layers.{level}.conv.{block}"
            yield from residual(name, out if block else into, out)
        into, out = out, 2 * out
    for level in range(inner):
        for block in range(blocks):
            name = f"unet.intermediate.layers.{level}.conv.{block}"
            yield from residual(name, out if level or block else into, out)
    into = out
    for level in range(levels):
        name, out = f"unet.decoder.layers.{level}", into // 2
        yield f"{name}.conv1.0.weight", (into, out, 3, 3)
        yield from norm(f"{name}.conv1.1", out)
        for block in range(blocks):
            yield from residual(f"{name}.conv2.{block}", out if block else 2 * out, out)
        into = out
    yield "cnn.weight", (3, width, 3, 3)
    yield "cnn.bias", (3,)
    for way in ("", "_reverse"):
        yield f"fc.0.gru.weight_ih_l0{way}", (3 * gru, 384)
        yield f"fc.0.gru.weight_hh_l0{way}", (3 * gru, gru)
        for part in ("bias_ih", "bias_hh"):
            yield f"fc.0.gru.{part}_l0{way}", (3 * gru,)
    yield "fc.1.weight", (360, 2 * gru)
    yield "fc.1.bias", (360,)


def random_rmvpe(size: str, seed: int) -> dict[str, Any]:
    """Weights of RMVPE."""
    import torch

    draws, weights = torch.Generator().manual_seed(seed), {}
    for name, shape in rmvpe_shapes(size):
        if name.endswith("num_batches_tracked"):
            weights[name] = torch.tensor(0)
        elif name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
            weights[name] = torch.ones(shape)
        elif len(shape) <= 1:
            weights[name] = torch.randn(shape, generator=draws) * 0.01
        else:
            scale = math.prod(shape[1:]) ** 0.5
            weights[name] = torch.randn(shape, generator=draws) / scale
    return weights


def write_index(path: Path, width: int, count: int = 2000, seed: int = 3) -> Any:
    """An index over random vectors, which are returned [count, width]."""
    import faiss

    vectors = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    lists = max(1, min(int(16 * np.sqrt(count)), count // 39))
    index = faiss.index_factory(width, f"IVF{lists},Flat")
    if count:
        index.train(vectors)
        index.add(vectors)
    faiss.write_index(index, str(path))
    return vectors


if __name__ == "__main__":
    main()
