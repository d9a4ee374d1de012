"""Synthesizer: the network of one RVC voice, from features, pitch and noise to sound."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from alltalk.effects.rvc.decoder import Decoder, sine_source
from alltalk.effects.rvc.flow import REACH, Flow
from alltalk.effects.rvc.text_encoder import TextEncoder

_SPREAD = 0.66666
"""How much of the latent noise is used, as RVC has it."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What decides the tensors of a voice; the published values stand behind."""

    features: int
    """Width of the embedder's features: 256 (v1) or 768 (v2)."""
    pitched: bool
    latent: int
    """192"""
    hidden: int
    """192"""
    inner: int
    """768"""
    heads: int
    """2"""
    layers: int
    """6"""
    kernel: int
    """3"""
    block_kernels: tuple[int, ...]
    """3, 7, 11"""
    block_dilations: tuple[tuple[int, ...], ...]
    """1, 3, 5, three times"""
    rates: tuple[int, ...]
    """Their product is the sample rate / 100: a frame is 10 ms."""
    width: int
    """512"""
    rate_kernels: tuple[int, ...]
    speakers: int
    """109"""
    speaker_width: int
    """256"""
    sample_rate: int
    """Hz: 32000, 40000 or 48000"""


@dataclass(frozen=True, slots=True)
class Cut:
    """Which frames of a window are decoded: the rest is there to be looked at."""

    first: int
    count: int


class Synthesizer(nn.Module):
    """SynthesizerTrnMs256NSFsid and its kin (768, and those without pitch), for inference."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.enc_p = TextEncoder(
            shape.features,
            shape.latent,
            shape.hidden,
            shape.inner,
            shape.heads,
            shape.layers,
            shape.kernel,
            pitched=shape.pitched,
        )
        self.flow = Flow(shape.latent, shape.hidden, shape.speaker_width)
        self.dec = Decoder(
            shape.latent,
            shape.block_kernels,
            shape.block_dilations,
            shape.rates,
            shape.width,
            shape.rate_kernels,
            shape.speaker_width,
            shape.sample_rate,
            pitched=shape.pitched,
        )
        self.emb_g = nn.Embedding(shape.speakers, shape.speaker_width)

    @torch.inference_mode()
    def forward(
        self,
        phone: Tensor,
        pitch_ids: Tensor | None,
        f0_hz: Tensor | None,
        latent_noise: Tensor,
        source_noise: Tensor,
        cut: Cut,
        phase: float = 0.0,
    ) -> Tensor:
        """float32 [cut.count * hop], within ±1.

        `phone` [1, T, features]; `pitch_ids` and `f0_hz` [1, T], None for a voice without pitch;
        `latent_noise` [1, latent, T] and `source_noise` [1, cut.count * hop], standard normal;
        `phase` in turns, that of the sine before the first frame decoded.
        """
        kind = self.emb_g.weight.dtype
        speaker = self.emb_g.weight[:1, :, None]
        mean, log_sigma = self.enc_p(phone.to(kind), pitch_ids)
        z = mean + log_sigma.exp() * latent_noise.to(kind) * _SPREAD
        near = max(0, cut.first - REACH)
        z = self.flow.inverse(z[:, :, near : cut.first + cut.count + REACH], speaker)
        z = z[:, :, cut.first - near : cut.first - near + cut.count]
        source = None
        if f0_hz is not None:
            f0_hz = f0_hz[:, cut.first : cut.first + cut.count]
            source = sine_source(f0_hz, self.dec.sample_rate, self.dec.hop, source_noise, phase).to(
                kind
            )
        sound: Tensor = self.dec(z, speaker, source)
        return sound[0, 0].float()
