"""Makes an XTTS v2 model with random weights: the genuine architecture and files of coqui-tts.

    cd tests && python -m models.xtts FOLDER [--pickled-config]

FOLDER/config.json, vocab.json, model.pth, speakers_xtts.pth. The sound is noise that obeys voice,
seed and speed, and whose length follows the text's: about TOKENS_PER_ID audio tokens (46 ms each)
for every text token, which is a character. `--pickled-config` adds what the original checkpoints
carry: objects of coqui's configuration. The weights depend on the arguments alone, and on the
versions of torch and coqui-tts. Takes 5 s; 23 million parameters in memory, as coqui fixes the size
of the vocoder, and 2 MB on disk, as large weights are views of a small pool of random numbers.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

LANGUAGES = (
    *("en", "es", "fr", "de", "it", "pt", "pl", "tr", "ru", "nl", "cs", "ar", "zh-cn", "hu", "ko"),
    *("ja", "hi"),
)
SPEAKERS = (
    *("Claribel Dervla", "Daisy Studious", "Gracie Wise", "Tammie Ema", "Ana Florence"),
    *("Andrew Chipper", "Badr Odhiambo", "Royston Min", "Viktor Eka", "Craig Gutsy"),
    *("Damien Black", "Gilberto Mathias", "Henriette Usha", "Brenda Stern", "Sofia Hellen"),
    *("Asya Anara", "Baldur Sanjin", "Alison Dietlinde", "Abrahan Mack", "Dionisio Schuyler"),
)
WIDTH, LAYERS, HEADS = 64, 2, 2
REAL_SIZE = 1024, 30, 16
"""The published model's width, layers and heads."""
TOKENS_PER_ID = 0.4
STOP = 1025
POOL = 8192


def main() -> None:
    """Write one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pickled-config", action="store_true")
    asked = parser.parse_args()
    make_xtts(asked.folder, pickled_config=asked.pickled_config)


def make_xtts(folder: Path, *, pickled_config: bool = False) -> None:
    """Write a model into `folder`."""
    from alltalk.torch_compat import prepare

    prepare()
    import torch
    from TTS.tts.models.xtts import Xtts

    folder.mkdir(parents=True, exist_ok=True)
    tokens = write_vocabulary(folder / "vocab.json")
    config = make_config(tokens)
    config.save_json(str(folder / "config.json"))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1234)
        model = Xtts(config)
        count_tokens(model.gpt, torch)
        weights = compact(model, torch)
        model.load_state_dict(weights)
        level = vocoder_level(model, torch)
        last = "hifigan_decoder.waveform_decoder.conv_post.weight"
        weights[last] = weights[last].clone() * (0.15 / level)
        speakers = {name: speaker(n, torch) for n, name in enumerate(SPEAKERS)}
    checkpoint = {"model": weights}
    if pickled_config:
        checkpoint["config"] = config
    torch.save(checkpoint, folder / "model.pth")
    torch.save(speakers, folder / "speakers_xtts.pth")


def make_real_xtts(folder: Path) -> None:
    """Write a model of the published one's size into `folder`, which never stops by itself.

    2 GB in memory and 50 MB on disk, as all large weights are views of a pool.
    """
    from alltalk.torch_compat import prepare

    prepare()
    import torch
    from TTS.tts.models.xtts import Xtts

    width, layers, heads = REAL_SIZE
    folder.mkdir(parents=True, exist_ok=True)
    config = make_config(write_vocabulary(folder / "vocab.json"))
    sizes = {
        "gpt_layers": layers,
        "gpt_n_model_channels": width,
        "gpt_n_heads": heads,
        "decoder_input_dim": width,
    }
    for name, value in sizes.items():
        setattr(config.model_args, name, value)
    config.save_json(str(folder / "config.json"))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1234)
        weights = compact(Xtts(config), torch, kept=("mel_head",), size=2**16)
        weights["gpt.mel_head.bias"][STOP] = -1e4
        prompt = torch.randn(1, 32, width) * 0.5
    torch.save({"model": weights}, folder / "model.pth")
    voice = {**speaker(0, torch), "gpt_cond_latent": prompt}
    torch.save({SPEAKERS[0]: voice}, folder / "speakers_xtts.pth")


def write_vocabulary(file: Path) -> dict[str, int]:
    """A BPE file of `tokenizers`: special tokens, a tag for each language, single characters."""
    characters = "abcdefghijklmnopqrstuvwxyz0123456789.,!?;:'\"-()$%&@#/àâäáãåæçèéêëìíîïñòóôöõøùúûü"
    characters += "ýÿœßąćęłńśźżěščřžůďťňğışőű" + "".join(map(chr, range(0x0430, 0x0450)))
    characters += "".join(map(chr, (*range(0x0621, 0x064B), *range(0x0905, 0x094E))))
    special = ["[STOP]", "[UNK]", "[SPACE]", *(f"[{tag}]" for tag in LANGUAGES), "[START]"]
    names = [*special, *dict.fromkeys(characters)]
    ids = {name: n for n, name in enumerate(names)}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    model = {"type": "BPE", "unk_token": "[UNK]", "vocab": ids, "merges": []}
    added = [{"id": ids[name], "content": name, "special": True, **flags} for name in special]
    rest = dict.fromkeys(("truncation", "padding", "normalizer", "post_processor", "decoder"))
    content = {
        "version": "1.0",
        **rest,
        "added_tokens": added,
        "pre_tokenizer": {"type": "Whitespace"},
        "model": model,
    }
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return ids


def make_config(tokens: dict[str, int]) -> Any:
    """coqui's configuration."""
    from TTS.tts.configs.xtts_config import XttsArgs, XttsAudioConfig, XttsConfig

    arguments = XttsArgs(
        gpt_layers=LAYERS,
        gpt_n_model_channels=WIDTH,
        gpt_n_heads=HEADS,
        decoder_input_dim=WIDTH,
        gpt_number_text_tokens=len(tokens),
        gpt_start_text_token=tokens["[START]"],
        gpt_stop_text_token=tokens["[STOP]"],
        gpt_num_audio_tokens=STOP + 1,
        gpt_start_audio_token=STOP - 1,
        gpt_stop_audio_token=STOP,
        gpt_use_perceiver_resampler=True,
    )
    return XttsConfig(
        model_args=arguments,
        audio=XttsAudioConfig(),
        languages=list(LANGUAGES),
        temperature=0.75,
        repetition_penalty=5.0,
        top_k=50,
        top_p=0.85,
        gpt_cond_len=30,
        gpt_cond_chunk_len=4,
        max_ref_len=30,
    )


def count_tokens(gpt: Any, torch: Any) -> None:
    """Make the stop token likely once there are enough audio tokens for the text.

    Channel 0 of the embeddings is 1 for text, -1 / TOKENS_PER_ID for audio, 0 for the voice, in
    units of the other channels. The first head of the first layer looks everywhere alike, so it
    finds the mean of that channel, which changes its sign at the right length; nothing else writes
    to the channel.
    """
    text, audio = spread(gpt.text_embedding.weight), spread(gpt.mel_embedding.weight)
    for embedding, value in (
        (gpt.text_embedding, text),
        (gpt.text_pos_embedding.emb, 0.0),
        (gpt.mel_embedding, -audio / TOKENS_PER_ID),
        (gpt.mel_pos_embedding.emb, 0.0),
    ):
        embedding.weight[:, 0] = value
    gpt.conditioning_perceiver.norm.gamma[0] = 0.0
    for block in gpt.gpt.h:
        for written in (block.attn.c_proj, block.mlp.c_proj):
            written.weight[:, 0] = 0.0
            written.bias[0] = 0.0
    first, size = gpt.gpt.h[0].attn, WIDTH // HEADS
    first.c_attn.weight[:, :size] = 0.0  # the head's queries: no position is like another
    first.c_attn.bias[:size] = 0.0
    values = 2 * WIDTH
    first.c_attn.weight[:, values] = 0.0
    first.c_attn.weight[0, values] = 1.0
    first.c_attn.bias[values] = 0.0
    first.c_proj.weight[0, :] = 0.0
    first.c_proj.weight[0, 0] = -20.0 * audio
    first.c_proj.bias[0] = audio / TOKENS_PER_ID  # takes back what the token itself brought
    head = gpt.mel_head
    head.weight.mul_(0.5)
    head.weight[:, 0] = 0.0
    head.bias.fill_(4.0)  # positive: a repetition penalty divides it
    head.weight[STOP] = 0.0
    head.weight[STOP, 0] = 60.0
    head.bias[STOP] = 4.0


def spread(weight: Any) -> float:
    """Standard deviation of the channels that carry no count."""
    return float(weight[:, 1:].std())


KEPT = ("embedding", "mel_head", ".h.0.", ".c_proj", "norm")
"""Weights in which `count_tokens` wrote; they stay as they are."""


def compact(
    model: Any, torch: Any, kept: tuple[str, ...] = KEPT, size: int = POOL
) -> dict[str, Any]:
    """The model's weights, the large ones as views of a pool of numbers of the same spread."""
    draws, pools, weights = torch.Generator().manual_seed(20240), {}, {}
    drawn = {name for name, _ in model.named_parameters()}
    for n, (name, value) in enumerate(model.state_dict().items()):
        whole = name not in drawn or any(part in name for part in kept if name.startswith("gpt."))
        if whole or value.numel() <= 4096 or not value.std():
            weights[name] = value.clone()
            continue
        level = round(2 * math.log2(float(value.std())))
        if level not in pools:
            pools[level] = torch.randn(size, generator=draws) * 2 ** (level / 2)
        room = (size - 64) // value.dim()
        strides = [max(1, min(room // n_d, 97 - 12 * d)) for d, n_d in enumerate(value.shape)]
        span = 1 + sum((n_d - 1) * step for n_d, step in zip(value.shape, strides, strict=True))
        start = n * 131 % (size - span + 1)
        weights[name] = torch.as_strided(pools[level], value.shape, strides, start)
    return {name: value for name, value in weights.items() if ".gpt_inference." not in name}


def vocoder_level(model: Any, torch: Any) -> float:
    """Loudness of the random vocoder before its last activation."""
    draws = torch.Generator().manual_seed(1)
    model.hifigan_decoder.eval()
    voice = torch.nn.functional.normalize(torch.randn(1, 512, 1, generator=draws), dim=1)
    sound = model.hifigan_decoder(torch.randn(1, 24, WIDTH, generator=draws), g=voice)
    return float(sound.atanh().clamp(-20, 20).pow(2).mean().sqrt())


def speaker(n: int, torch: Any) -> dict[str, Any]:
    """A studio speaker."""
    draws = torch.Generator().manual_seed(n)
    prompt = torch.randn(1, 32, WIDTH, generator=draws) * 0.5
    prompt[:, :, 0] = 0.0
    voice = torch.randn(1, 512, 1, generator=draws)
    return {
        "gpt_cond_latent": prompt,
        "speaker_embedding": torch.nn.functional.normalize(voice, dim=1),
    }


if __name__ == "__main__":
    main()
