"""XTTS says one piece of text as coqui does, and its sound leaves while it is spoken.

The arithmetic is that of coqui's `inference_stream` (coqui-tts 0.28, TTS/tts/models/xtts.py), step
by step: it also stops between two tokens (46 ms of sound), where coqui's loop would first fill its
chunk. The batched runtime is held to what is said here.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch.nn.functional import interpolate

from .latents import Latents
from .manner import Manner

OVERLAP = 1024
"""Samples that a chunk fades over the one before."""


def for_generate(manner: Manner) -> dict[str, Any]:
    """As arguments of transformers' `generate`."""
    likeliest = manner.temperature <= 0  # coqui's stream draws in any case: from one token then
    return {
        "temperature": 1.0 if likeliest else manner.temperature,
        "top_k": 1 if likeliest else manner.top_k,
        "top_p": manner.top_p,
        "repetition_penalty": manner.repetition_penalty,
        "length_penalty": manner.length_penalty,
        "do_sample": True,
    }


@torch.inference_mode()
def say(
    model: Any, tokens: Sequence[int], latents: Latents, manner: Manner, chunk_tokens: int
) -> Generator[torch.Tensor | None]:
    """Chunks of samples, float32 [n] on the CPU; None after every token that ends no chunk.

    `chunk_tokens`: audio tokens of a chunk; the vocoder says everything anew for each.
    """
    prompt, speaker = latents.prompt.to(model.device), latents.speaker.to(model.device)
    text = torch.tensor([tokens], dtype=torch.int, device=model.device)
    steps = model.gpt.get_generator(
        fake_inputs=model.gpt.compute_embeddings(prompt, text),
        num_beams=1,
        num_return_sequences=1,
        output_attentions=False,
        output_hidden_states=True,
        return_dict_in_generate=True,
        **for_generate(manner),
    )
    vectors: list[torch.Tensor] = []
    sound = overlap = None
    try:
        for _, vector in steps:
            vectors.append(vector)
            if len(vectors) % chunk_tokens:
                yield None
                continue
            said = vocode(model, vectors, speaker, manner.speed)
            chunk, sound, overlap = model.handle_chunks(said, sound, overlap, OVERLAP)
            yield chunk.cpu()
        said = vocode(model, vectors, speaker, manner.speed)
        chunk, _, _ = model.handle_chunks(said, sound, overlap, OVERLAP, is_final=True)
        yield chunk.cpu()
    finally:
        steps.close()


def vocode(
    model: Any, vectors: Sequence[torch.Tensor], speaker: torch.Tensor, speed: float
) -> torch.Tensor:
    """The sound of all that was said so far, float32 [n]."""
    latents = torch.cat(list(vectors), dim=0)[None]
    if speed != 1.0:
        stretched = interpolate(latents.transpose(1, 2), scale_factor=1.0 / speed, mode="linear")
        latents = stretched.transpose(1, 2)
    sound: torch.Tensor = model.hifigan_decoder(latents, g=speaker).squeeze()
    return sound
