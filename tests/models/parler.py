"""Makes a Parler model with random weights: the genuine architecture, as small as it goes.

    cd tests && <environment of Parler>/bin/python -m models.parler FOLDER [--steps N] [--seed N]

A T5 encoder, the decoder with its nine delayed codebooks, and DAC at 44.1 kHz with the kernels and
the hop of the published one. It never ends by itself: each utterance takes N steps, 86 a second.
"""

from __future__ import annotations

import argparse
import json
import string
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CODES = 1024
END, BEGIN = CODES, CODES + 1
CODEBOOKS = 9
SAMPLE_RATE = 44100


def main() -> None:
    """Write one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=86)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(ROOT))
    from alltalk.torch_compat import prepare_torchaudio

    prepare_torchaudio()
    write_model(asked.folder, write_tokenizer(asked.folder), asked.steps, asked.seed)


def write_tokenizer(folder: Path) -> int:
    """A unigram tokenizer of letters and some signs; how many tokens it has."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    signs = ["▁", *string.ascii_letters, *string.digits, *string.punctuation]
    pieces = [(sign, 0.0) for sign in ("<pad>", "</s>", "<unk>")]
    tokenizer = Tokenizer(models.Unigram(pieces + [(sign, -5.0) for sign in signs], unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    return len(pieces) + len(signs)


def write_model(folder: Path, tokens: int, steps: int, seed: int) -> None:
    """Random weights that make sound of a speech-like level, and no code that is none."""
    import torch
    from parler_tts import ParlerTTSConfig, ParlerTTSForConditionalGeneration

    torch.manual_seed(seed)
    config = ParlerTTSConfig.from_sub_models_config(
        *_parts(), vocab_size=tokens, prompt_cross_attention=False
    )
    config.decoder_start_token_id, config.pad_token_id = BEGIN, END
    model = ParlerTTSForConditionalGeneration(config).eval()
    with torch.no_grad():
        _rule_out_signs(model)
        _let_codes_be_heard(model)
        _set_level(model, 0.1)
    defaults = model.generation_config
    defaults.decoder_start_token_id = defaults.bos_token_id = BEGIN
    defaults.eos_token_id = defaults.pad_token_id = END
    defaults.do_sample, defaults.guidance_scale = True, 1.0
    defaults.max_length = steps + CODEBOOKS + 1
    model.save_pretrained(folder)
    reads = {"feature_extractor_type": "EncodecFeatureExtractor", "sampling_rate": SAMPLE_RATE}
    (folder / "preprocessor_config.json").write_text(json.dumps(reads))


def _parts() -> tuple[Any, Any, Any]:
    from parler_tts import ParlerTTSDecoderConfig
    from transformers import DacConfig, T5Config

    text = T5Config(vocab_size=110, d_model=32, d_kv=16, d_ff=64, num_layers=1, num_heads=2)
    codec = DacConfig(
        encoder_hidden_size=4,
        downsampling_ratios=[2, 4, 8, 8],
        decoder_hidden_size=64,
        upsampling_ratios=[8, 8, 4, 2],
        n_codebooks=CODEBOOKS,
        codebook_size=CODES,
        codebook_dim=8,
        sampling_rate=SAMPLE_RATE,
    )
    decoder = ParlerTTSDecoderConfig(
        vocab_size=CODES + 64,
        max_position_embeddings=4096,
        num_hidden_layers=2,
        ffn_dim=128,
        num_attention_heads=4,
        hidden_size=64,
        num_codebooks=CODEBOOKS,
        pad_token_id=END,
        bos_token_id=BEGIN,
        eos_token_id=END,
        dropout=0.0,
    )
    return text, codec, decoder


def _rule_out_signs(model: Any) -> None:
    """One hidden unit is always 1, and through it each head refuses what is no code."""
    norm = model.decoder.model.decoder.layer_norm
    norm.weight[0], norm.bias[0] = 0.0, 1.0
    for head in model.decoder.lm_heads:
        head.weight[:, 0] = 0.0
        head.weight[CODES:, 0] = -100.0


def _let_codes_be_heard(model: Any) -> None:
    """Fresh codes are so small that the decoder's biases would be all there is to hear."""
    for quantizer in model.audio_encoder.quantizer.quantizers:
        quantizer.codebook.weight.mul_(3 / quantizer.codebook.weight.std())
    for name, parameter in model.audio_encoder.decoder.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()


def _set_level(model: Any, level: float) -> None:
    """Scale the codec's last convolution until random codes have this root mean square."""
    import torch

    codec = model.audio_encoder
    decoded = codec.decode(audio_codes=torch.randint(0, CODES, (1, CODEBOOKS, 20))).audio_values
    before = decoded.clamp(-0.999, 0.999).atanh().pow(2).mean().sqrt()
    last = codec.decoder.conv2
    weight = last.parametrizations.weight.original0 if hasattr(last, "parametrizations") else None
    (last.weight if weight is None else weight).mul_(level / before)


if __name__ == "__main__":
    main()
