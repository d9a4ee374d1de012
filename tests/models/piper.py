"""Makes Piper voices with random weights: the genuine architecture, and one that costs nothing.

    cd tests && python -m models.piper FOLDER [--shape tiny|medium|light] [--speakers N] [--name N]

`tiny` and `medium` are piper's own VITS, exported as piper exports it: a buzz that obeys speaker,
noise and length. `light` is an embedding and an upsampling: what is measured with it is the
server. FOLDER/NAME.onnx and FOLDER/NAME.onnx.json depend on the arguments alone, and on the
versions of torch, onnx and piper-tts. Making `tiny` takes 5 s and needs torch; `light` does not.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

SYMBOLS = 256
HOP = 256
"""Samples of a frame."""
FRAMES_PER_ID = 4.0
"""What a voice takes for a phoneme id on average, blanks included: as published voices do."""
SHAPES: Mapping[str, Mapping[str, int]] = {
    "tiny": {"hidden": 32, "filter": 64, "layers": 2, "upsample": 64, "sample_rate": 16000},
    "medium": {"hidden": 192, "filter": 768, "layers": 6, "upsample": 256, "sample_rate": 22050},
}
LIGHT_RATE = 22050
LIGHT_FRAMES_PER_ID = 2.8
"""15 characters a second, as people speak."""


def main() -> None:
    """Write one voice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", choices=[*SHAPES, "light"], default="tiny")
    parser.add_argument("--speakers", type=int, default=1)
    parser.add_argument("--name", default="en_US-tiny-low")
    parser.add_argument("--language", default="en-us", help="eSpeak's name of it")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    file = asked.folder / f"{asked.name}.onnx"
    if asked.shape == "light":
        make_light(file, asked.speakers)
        rate = LIGHT_RATE
    else:
        make_vits(file, SHAPES[asked.shape], asked.speakers)
        rate = SHAPES[asked.shape]["sample_rate"]
    config = voice_config(asked.name, rate, asked.speakers, asked.language)
    Path(f"{file}.json").write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")


def voice_config(name: str, sample_rate: int, speakers: int, language: str) -> dict[str, Any]:
    """What stands beside a published voice."""
    from piper.phoneme_ids import DEFAULT_PHONEME_ID_MAP

    named = {f"speaker_{n}": n for n in range(speakers)} if speakers > 1 else {}
    return {
        "audio": {"sample_rate": sample_rate, "quality": "low"},
        "espeak": {"voice": language},
        "language": {"code": name.split("-")[0]},
        "inference": {"noise_scale": 0.667, "length_scale": 1.0, "noise_w": 0.8},
        "phoneme_type": "espeak",
        "phoneme_id_map": DEFAULT_PHONEME_ID_MAP,
        "num_symbols": SYMBOLS,
        "num_speakers": speakers,
        "speaker_id_map": named,
        "hop_length": HOP,
    }


def make_vits(file: Path, shape: Mapping[str, int], speakers: int) -> None:
    """Export piper's own network, small or as large as a published `medium` voice."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(1234)
    network = _network(shape, speakers)
    with torch.no_grad():
        _make_audible(network, speakers)
    del network.enc_q  # only training uses it
    infer = network.infer

    def forward(text: Any, lengths: Any, scales: Any, sid: Any = None) -> Any:
        noise, length, width = scales[0], scales[1], scales[2]
        kept = {"noise_scale": noise, "length_scale": length, "noise_scale_w": width}
        return infer(text, lengths, sid=sid, **kept)[0].unsqueeze(1)

    network.forward = forward
    ids = torch.randint(1, 150, (1, 50)), torch.LongTensor([50])
    example = (*ids, torch.FloatTensor([0.667, 1.0, 0.8]), torch.LongTensor([0]))
    names = ["input", "input_lengths", "scales", "sid"]
    count = 4 if speakers > 1 else 3
    with torch.no_grad():
        torch.onnx.export(
            network,
            example[:count],
            str(file),
            opset_version=15,
            dynamo=False,  # the exporter that traces: lengths here depend on the data
            input_names=names[:count],
            output_names=["output"],
            dynamic_axes={
                "input": {0: "batch_size", 1: "phonemes"},
                "input_lengths": {0: "batch_size"},
                "output": {0: "batch_size", 2: "time"},
            },
        )


def _network(shape: Mapping[str, int], speakers: int) -> Any:
    from piper.train.vits.models import SynthesizerTrn

    hidden = shape["hidden"]
    return SynthesizerTrn(
        n_vocab=SYMBOLS,
        spec_channels=513,
        segment_size=32,
        inter_channels=hidden,
        hidden_channels=hidden,
        filter_channels=shape["filter"],
        n_heads=2,
        n_layers=shape["layers"],
        kernel_size=3,
        p_dropout=0.0,
        resblock="2",
        resblock_kernel_sizes=(3, 5, 7),
        resblock_dilation_sizes=((1, 2), (2, 6), (3, 12)),
        upsample_rates=(8, 8, 4),
        upsample_initial_channel=shape["upsample"],
        upsample_kernel_sizes=(16, 16, 8),
        n_speakers=speakers,
        gin_channels=hidden if speakers > 1 else 0,
        use_sdp=True,
    ).eval()


def _make_audible(network: Any, speakers: int) -> None:
    """Random weights would speak too short and too softly: set the means, keep the rest."""
    import torch

    durations = network.dp.flows[0]  # log frames = (its input - m) * exp(-logs)
    durations.logs.fill_(2.0)
    durations.m.fill_(-math.log(FRAMES_PER_ID) * math.exp(2.0))
    network.dec.remove_weight_norm()
    for weight in network.dec.parameters():
        if weight.dim() == 3:
            weight.mul_(3.0)
    speaker = network.emb_g(torch.LongTensor([0])).unsqueeze(-1) if speakers > 1 else None
    noise = torch.randn(1, network.inter_channels, 64)
    loud = network.dec(noise, g=speaker).double().clamp(-0.999999, 0.999999).atanh()
    network.dec.conv_post.weight.mul_(0.1 / float(loud.pow(2).mean().sqrt()))


def make_light(file: Path, speakers: int) -> None:
    """A voice whose inference is next to nothing: each phoneme id is a tone of its own.

    ids → embedding of HOP samples, scaled by the speaker → as many frames as `length` says.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    shapes: dict[str, tuple[int, list[int | str]]] = {
        "input": (TensorProto.INT64, [1, "phonemes"]),
        "input_lengths": (TensorProto.INT64, [1]),
        "scales": (TensorProto.FLOAT, [3]),
        "sid": (TensorProto.INT64, [1]),
    }
    inputs = [helper.make_tensor_value_info(name, *shape) for name, shape in shapes.items()]
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, 1, "samples"])
    graph = helper.make_graph(
        _light_nodes(speakers),
        "light",
        inputs if speakers > 1 else inputs[:3],
        [output],
        [numpy_helper.from_array(value, name) for name, value in _light_tensors(speakers).items()],
    )
    opsets = [helper.make_opsetid("", 15)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(file))


def _light_tensors(speakers: int) -> dict[str, np.ndarray]:
    cycles = 1 + np.arange(SYMBOLS)[:, None] % 12
    tones = 0.2 * np.sin(2 * np.pi * cycles * np.arange(HOP) / HOP)
    tensors = {
        "table": tones.astype(np.float32),
        "second": np.array([1], np.int64),
        "frames": np.array([LIGHT_FRAMES_PER_ID], np.float32),
        "once": np.ones(1, np.float32),
        "flat": np.array([1, 1, 1, -1], np.int64),
    }
    if speakers > 1:
        tensors["levels"] = np.linspace(1.0, 0.5, speakers, dtype=np.float32)[:, None, None]
    return tensors


def _light_nodes(speakers: int) -> list[Any]:
    from onnx.helper import make_node

    levelled = [make_node("Identity", ["sounds"], ["levelled"])]
    if speakers > 1:
        levelled = [
            make_node("Gather", ["levels", "sid"], ["level"]),  # [1, 1, 1]
            make_node("Mul", ["sounds", "level"], ["levelled"]),
        ]
    nearest = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return [
        make_node("Gather", ["table", "input"], ["sounds"]),  # [1, ids, HOP]
        *levelled,
        make_node("Gather", ["scales", "second"], ["length"]),
        make_node("Mul", ["length", "frames"], ["repeats"]),
        make_node("Concat", ["once", "repeats", "once"], ["stretch"], axis=0),
        make_node("Resize", ["levelled", "", "stretch"], ["speech"], mode="nearest", **nearest),
        make_node("Reshape", ["speech", "flat"], ["output"]),
    ]


if __name__ == "__main__":
    main()
