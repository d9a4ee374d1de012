"""The synthesizer against its published equations, written out here a second time.

VITS (arXiv:2106.06103), its relative attention (arXiv:1803.02155), WaveNet couplings, HiFi-GAN
(arXiv:2010.05646) and the sine source of NSF (arXiv:1904.12088), as RVC combines them; read from
the tensors of the file by name, in float64, with loops where the network has tricks.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from alltalk.effects.rvc.decoder import sine_source
from alltalk.effects.rvc.synthesizer import Cut
from alltalk.effects.rvc.voicefile import VoiceFile, read_voice

TOLERANCE = 2e-5
"""Of samples within ±1: float32 against float64."""
FRAMES = 40


class Published:
    """The equations over a file's weights."""

    def __init__(self, voice: VoiceFile) -> None:
        self.shape = voice.shape
        self.weights = {name: each.double() for name, each in voice.weights.items()}

    def conv(self, name: str, x: Tensor, **how) -> Tensor:
        return functional.conv1d(
            x, self.weights[name + ".weight"], self.weights.get(name + ".bias"), **how
        )

    def sound(self, phone, ids, hz, latent_noise, source_noise) -> Tensor:
        speaker = self.weights["emb_g.weight"][0][None, :, None]
        mean, log_sigma = self.encoded(phone, ids)
        z = mean + torch.exp(log_sigma) * latent_noise * 0.66666
        return self.decoded(self.flowed(z, speaker), speaker, hz, source_noise)

    def encoded(self, phone: Tensor, ids: Tensor | None) -> tuple[Tensor, Tensor]:
        w = self.weights
        x = phone @ w["enc_p.emb_phone.weight"].T + w["enc_p.emb_phone.bias"]
        if ids is not None:
            x = x + w["enc_p.emb_pitch.weight"][ids]
        x = functional.leaky_relu(x * math.sqrt(self.shape.hidden), 0.1).transpose(1, 2)
        for layer in range(self.shape.layers):
            name = f"enc_p.encoder.{{}}.{layer}"
            x = self.normed(name.format("norm_layers_1"), x + self.attended(name, x))
            x = self.normed(name.format("norm_layers_2"), x + self.fed(name, x))
        return tuple(self.conv("enc_p.proj", x).chunk(2, 1))  # type: ignore[return-value]

    def attended(self, name: str, x: Tensor) -> Tensor:
        name = name.format("attn_layers")
        query, key, value = (self.conv(f"{name}.conv_{part}", x)[0] for part in "qkv")
        width = self.shape.hidden // self.shape.heads
        heads = []
        for head in range(self.shape.heads):
            own = slice(head * width, (head + 1) * width)
            heads.append(self.one_head(name, query[own].T, key[own].T, value[own].T).T)
        return self.conv(f"{name}.conv_o", torch.cat(heads)[None])

    def one_head(self, name: str, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """softmax((q k' + q a') / sqrt d) (v + b), a and b by distance, clipped to none at 10."""
        by_key = self.weights[f"{name}.emb_rel_k"][0]
        by_value = self.weights[f"{name}.emb_rel_v"][0]
        length, width = query.shape
        out = torch.zeros_like(value)
        for i in range(length):
            scores = key @ query[i]
            for j in range(max(0, i - 10), min(length, i + 11)):
                scores[j] += by_key[j - i + 10] @ query[i]
            weights = torch.softmax(scores / math.sqrt(width), 0)
            out[i] = weights @ value
            for j in range(max(0, i - 10), min(length, i + 11)):
                out[i] += weights[j] * by_value[j - i + 10]
        return out

    def normed(self, name: str, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        spread = ((x - mean) ** 2).mean(1, keepdim=True)
        gamma, beta = (self.weights[f"{name}.{part}"][:, None] for part in ("gamma", "beta"))
        return (x - mean) / torch.sqrt(spread + 1e-5) * gamma + beta

    def fed(self, name: str, x: Tensor) -> Tensor:
        name = name.format("ffn_layers")
        return self.conv(
            f"{name}.conv_2", torch.relu(self.conv(f"{name}.conv_1", x, padding=1)), padding=1
        )

    def flowed(self, x: Tensor, speaker: Tensor) -> Tensor:
        half = self.shape.latent // 2
        for flow in (6, 4, 2, 0):
            x = x[:, torch.arange(self.shape.latent - 1, -1, -1)]
            name = f"flow.flows.{flow}"
            hidden = self.waved(f"{name}.enc", self.conv(f"{name}.pre", x[:, :half]), speaker)
            x = torch.cat((x[:, :half], x[:, half:] - self.conv(f"{name}.post", hidden)), 1)
        return x

    def waved(self, name: str, x: Tensor, speaker: Tensor) -> Tensor:
        width, out = self.shape.hidden, 0
        told = self.conv(f"{name}.cond_layer", speaker)
        for layer in range(3):
            acts = self.conv(f"{name}.in_layers.{layer}", x, padding=2)
            acts = acts + told[:, 2 * width * layer : 2 * width * (layer + 1)]
            acts = torch.tanh(acts[:, :width]) * torch.sigmoid(acts[:, width:])
            left = self.conv(f"{name}.res_skip_layers.{layer}", acts)
            if layer < 2:
                x, left = x + left[:, :width], left[:, width:]
            out = out + left
        return out

    def decoded(self, z: Tensor, speaker: Tensor, hz: Tensor | None, noise: Tensor) -> Tensor:
        shape, w = self.shape, self.weights
        source = None if hz is None else self.source(hz, noise)
        x = self.conv("dec.conv_pre", z, padding=3) + self.conv("dec.cond", speaker)
        for stage, (rate, kernel) in enumerate(zip(shape.rates, shape.rate_kernels, strict=True)):
            x = functional.conv_transpose1d(
                functional.leaky_relu(x, 0.1),
                w[f"dec.ups.{stage}.weight"],
                w[f"dec.ups.{stage}.bias"],
                stride=rate,
                padding=(kernel - rate) // 2,
            )
            if source is not None:
                after = math.prod(shape.rates[stage + 1 :])
                how = {"stride": after, "padding": after // 2} if after > 1 else {}
                x = x + self.conv(f"dec.noise_convs.{stage}", source, **how)
            count = len(shape.block_kernels)
            x = sum(self.residual(stage * count + n, n, x) for n in range(count)) / count
        return torch.tanh(self.conv("dec.conv_post", functional.leaky_relu(x, 0.01), padding=3))

    def residual(self, number: int, kind: int, x: Tensor) -> Tensor:
        kernel = self.shape.block_kernels[kind]
        for n, dilation in enumerate(self.shape.block_dilations[kind]):
            name = f"dec.resblocks.{number}"
            inner = self.conv(
                f"{name}.convs1.{n}",
                functional.leaky_relu(x, 0.1),
                dilation=dilation,
                padding=(kernel - 1) * dilation // 2,
            )
            x = x + self.conv(
                f"{name}.convs2.{n}", functional.leaky_relu(inner, 0.1), padding=kernel // 2
            )
        return x

    def source(self, hz: Tensor, noise: Tensor) -> Tensor:
        """One sample after the other."""
        hop, phase, samples = self.shape.sample_rate // 100, 0.0, []
        for n in range(hz.shape[1] * hop):
            pitch = float(hz[0, n // hop])
            phase += pitch / self.shape.sample_rate
            spread = 0.003 if pitch > 0 else 0.1 / 3
            sine = 0.1 * math.sin(2 * math.pi * phase) if pitch > 0 else 0.0
            samples.append(sine + spread * float(noise[0, n]))
        weight, bias = (
            self.weights[f"dec.m_source.l_linear.{part}"] for part in ("weight", "bias")
        )
        return torch.tanh(torch.tensor(samples, dtype=torch.float64) * weight[0, 0] + bias[0])[
            None, None
        ]


def drawn(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("version", "rate", "pitched"),
    [("v1", "32k", True), ("v2", "40k", True), ("v2", "48k", True), ("v2", "32k", False)],
)
def test_the_synthesizer_is_its_published_equations(maker, tmp_path, version, rate, pitched):
    torch.save(lively(maker.voice(version, rate, pitched=pitched)), tmp_path / "voice.pth")
    voice = read_voice(tmp_path / "voice.pth")
    phone = drawn((1, FRAMES, voice.shape.features), 1)
    hz = ids = None
    if pitched:
        hz = torch.linspace(90, 300, FRAMES, dtype=torch.float64)[None].clone()
        hz[0, 10:15] = 0.0
        ids = torch.arange(FRAMES)[None] * 6 + 1
    latent = drawn((1, voice.shape.latent, FRAMES), 2)
    noise = drawn((1, FRAMES * voice.shape.sample_rate // 100), 3)
    expected = Published(voice).sound(phone.double(), ids, hz, latent.double(), noise.double())[
        0, 0
    ]
    network = voice.build("cpu", torch.float32)
    found = network(phone, ids, hz, latent, noise, Cut(0, FRAMES))
    assert found.shape == expected.shape
    assert expected.abs().max() > 0.1
    assert (found - expected).abs().max() < TOLERANCE


def lively(voice):
    """The same voice with weights at which every part of the network matters."""
    for seed, (name, each) in enumerate(voice["weight"].items()):
        if name.endswith(("emb_rel_k", "emb_rel_v")):
            voice["weight"][name] = drawn(tuple(each.shape), seed)
        elif name.endswith((".bias", ".beta")) and name != "enc_p.proj.bias":
            voice["weight"][name] = 0.1 * drawn(tuple(each.shape), seed)
        elif name.endswith("weight_g"):
            voice["weight"][name] = each.float() + 0.3
    return voice


def test_frames_that_are_cut_off_are_only_looked_at(maker, tmp_path):
    """A decoder's inner frames are the same whether its window is decoded whole or in part."""
    torch.save(maker.voice(pitched=True), tmp_path / "voice.pth")
    voice = read_voice(tmp_path / "voice.pth")
    network, hop = voice.build("cpu", torch.float32), 400
    phone, latent = drawn((1, 100, 32), 1), drawn((1, 8, 100), 2)
    hz = torch.full((1, 100), 200.0, dtype=torch.float64)
    ids, noise = torch.full((1, 100), 54), drawn((1, 100 * hop), 3)
    whole = network(phone, ids, hz, latent, noise, Cut(0, 100))
    phase = float(hz[0, :40].sum()) / 100 % 1.0
    part = network(
        phone, ids, hz, latent, noise[:, 40 * hop : 80 * hop].contiguous(), Cut(40, 40), phase
    )
    assert part.shape == (40 * hop,)
    inner = slice(15 * hop, 25 * hop)
    assert (part[inner] - whole[40 * hop :][inner]).abs().max() < 1e-5


def test_the_source_is_a_sine_at_the_pitch_without_a_seam():
    hz = torch.full((1, 100), 150.0, dtype=torch.float64)
    silent = torch.zeros(1, 40000)
    sine = sine_source(hz, 40000, 400, silent, 0.0)[0, 0].numpy()
    assert np.abs(np.fft.rfft(sine)).argmax() == 150
    parts = [
        sine_source(hz[:, :37], 40000, 400, silent[:, : 37 * 400], 0.0),
        sine_source(hz[:, 37:], 40000, 400, silent[:, 37 * 400 :], 37 * 1.5 % 1.0),
    ]
    assert np.abs(torch.cat(parts, 2)[0, 0].numpy() - sine).max() < 1e-6
    assert np.abs(np.diff(sine)).max() < 0.1 * 2 * math.pi * 150 / 40000 * 1.001


def test_the_source_is_noise_where_there_is_no_pitch():
    noise = drawn((1, 40000), 0)
    source = sine_source(torch.zeros(1, 100, dtype=torch.float64), 40000, 400, noise, 0.0)
    assert torch.allclose(source[0], noise * 0.1 / 3)
    assert float(source.std()) == pytest.approx(0.0333, rel=0.02)
