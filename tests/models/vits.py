"""Makes VITS models with random weights: the genuine architecture and files of coqui-tts.

    cd tests && python -m models.vits FOLDER [--speakers N] [--languages en,de] [--phonemes]

FOLDER/config.json, model_file.pth and, with speakers, speaker_ids.json. The sound is a buzz that
obeys the length of the text, speaker, language, seed and speed. The weights depend on the
arguments alone, and on the versions of torch and coqui-tts. Takes a second.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

VCTK = (
    *("p225", "p226", "p227", "p228", "p229", "p230", "p231", "p232", "p233", "p234", "p236"),
    *("p237", "p241", "p243", "p245", "p246", "p247", "p251", "p252"),
)
"""Speakers of the published model of that name, which AllTalk's settings name."""
HIDDEN = 32
HOP = 64
"""Samples of a frame; small, so that whole frames follow the speed closely."""
FRAMES_PER_ID = 10.0
SAMPLE_RATE = 22050
PUNCTUATION = ';:,.!?¡¿—…"«»“” '
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyzäöüßéèêàçñ"
PHONEMES = "ɑɐɒæɓβɔɕçɖðəɘɚɛɜɝɟɡɣɥɦɨɪʝɫɯɱɲŋɳøɵɹɺɾʁɽʂʃʈʧʉʊʋʌʍʏʐʒʔʑθœɬɻˈˌːˑ̩̃"


def main() -> None:
    """Write one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--speakers", type=int, default=len(VCTK), help="0: a single one")
    parser.add_argument("--languages", type=lambda text: text.split(","), default=[])
    parser.add_argument("--phonemes", action="store_true")
    asked = parser.parse_args()
    speakers = VCTK[: asked.speakers]
    make_vits(asked.folder, speakers, asked.languages, phonemes=asked.phonemes)


def make_vits(
    folder: Path,
    speakers: Sequence[str] = (),
    languages: Sequence[str] = (),
    *,
    phonemes: bool = False,
) -> None:
    """Write a model into `folder`; `speakers` and `languages` are those it embeds."""
    from alltalk.torch_compat import prepare

    prepare()
    import torch
    from TTS.tts.models.vits import Vits

    folder.mkdir(parents=True, exist_ok=True)
    if speakers:
        ids = {name: n for n, name in enumerate(speakers)}
        (folder / "speaker_ids.json").write_text(json.dumps(ids), encoding="utf-8")
    config = make_config(folder, speakers, languages)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1234)
        model = Vits(config)
        steady_durations(model.duration_predictor)
        audible(model, torch)
    weights = model.state_dict()
    if phonemes:  # only now: coqui itself cannot build such a model without an espeak program
        config.use_phonemes, config.phonemizer, config.phoneme_language = True, "espeak", "en-us"
    config.save_json(str(folder / "config.json"))
    torch.save({"model": weights}, folder / "model_file.pth")


def make_config(folder: Path, speakers: Sequence[str], languages: Sequence[str]) -> Any:
    """coqui's configuration; its speakers' file is a path, as coqui's trainer writes it."""
    from TTS.config.shared_configs import BaseAudioConfig
    from TTS.tts.configs.shared_configs import CharactersConfig
    from TTS.tts.configs.vits_config import VitsConfig
    from TTS.tts.models.vits import VitsArgs

    file = str(folder / "speaker_ids.json") if speakers else None
    arguments = VitsArgs(
        hidden_channels=HIDDEN,
        hidden_channels_ffn_text_encoder=2 * HIDDEN,
        num_heads_text_encoder=2,
        num_layers_text_encoder=2,
        num_layers_posterior_encoder=1,
        num_layers_flow=1,
        resblock_type_decoder="2",
        resblock_kernel_sizes_decoder=[3],
        resblock_dilation_sizes_decoder=[[1, 2]],
        upsample_rates_decoder=[8, 8],
        upsample_initial_channel_decoder=32,
        upsample_kernel_sizes_decoder=[16, 16],
        init_discriminator=False,
        use_speaker_embedding=bool(speakers),
        speaker_embedding_channels=HIDDEN,
        speakers_file=file,
        use_language_embedding=bool(languages),
        embedded_language_dim=4,
    )
    audio = BaseAudioConfig(
        sample_rate=SAMPLE_RATE, hop_length=HOP, win_length=1024, fft_size=1024, num_mels=80
    )
    return VitsConfig(
        model_args=arguments,
        audio=audio,
        run_name="tiny",
        use_phonemes=False,
        text_cleaner="multilingual_cleaners",
        add_blank=True,
        use_speaker_embedding=bool(speakers),
        speakers_file=file,
        languages=list(languages),
        test_sentences=[],
        characters=CharactersConfig(
            characters_class="TTS.tts.models.vits.VitsCharacters",
            pad="_",
            eos="",
            bos="",
            blank=None,
            characters=LETTERS,
            punctuations=PUNCTUATION,
            phonemes=PHONEMES,
        ),
    )


def steady_durations(predictor: Any) -> None:
    """Let every id take about FRAMES_PER_ID frames: the flow's affine step has the last word."""
    spread = 1.5  # draws and text still move a duration by a few percent
    affine = predictor.flows[0]
    affine.log_scale.fill_(spread)
    affine.translation.fill_(-math.log(FRAMES_PER_ID) * math.exp(spread))


def audible(model: Any, torch: Any) -> None:
    """Set the level of a random vocoder, which would be next to silent."""
    vocoder = model.waveform_decoder.eval()
    for name, parameter in vocoder.named_parameters():
        if name.endswith("original0"):  # gains of weight norm
            parameter.mul_(3.0)
    speaker = None
    if model.num_speakers > 0 and hasattr(model, "emb_g"):
        speaker = model.emb_g.weight[:1].unsqueeze(-1)
    sound = vocoder(torch.randn(1, HIDDEN, 256), g=speaker).double().clamp(-0.999999, 0.999999)
    vocoder.conv_post.weight.mul_(0.2 / float(sound.atanh().pow(2).mean().sqrt()))


if __name__ == "__main__":
    main()
