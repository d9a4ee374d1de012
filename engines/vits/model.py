"""Reads a VITS model of coqui-tts from its folder, and leaves the folder as it is.

A folder may have been moved: paths in its `config.json` are taken for names of files in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from TTS.tts.configs.vits_config import VitsConfig  # type: ignore[import-untyped]
from TTS.tts.models.vits import Vits as CoquiVits  # type: ignore[import-untyped]

from alltalk.errors import LoadFailed
from alltalk.torch_compat.checkpoints import building, read_checkpoint, weights_in
from alltalk.torch_compat.coqui import read_config

from .tokenizer import make_tokenizer

WEIGHTS = ("model_file.pth", "model.pth", "model_file.pth.tar")
_TRAINING_ONLY = ("disc.", "speaker_encoder.")
_SPEAKER_FILES = ("speaker_ids.json", "speakers.json", "speakers.pth")
_LANGUAGE_FILES = ("language_ids.json",)


class VitsModel(CoquiVits):  # type: ignore[misc]  # coqui has no types
    """coqui's model with a tokenizer that runs no program."""

    def __init__(self, config: Any) -> None:
        self.tokenizer = make_tokenizer(config)  # coqui makes one only where there is none
        super().__init__(config)


def read_model(folder: Path) -> VitsModel:
    """The model in `folder` on the CPU, ready to speak. Raises LoadFailed, OutOfMemory."""
    with building(folder):
        weights = weights_in(_weights_file(folder))
        config = VitsConfig()
        config.from_dict(_speaking_only(read_config(folder, "VITS"), folder, weights))
        model = VitsModel(config)
        model.load_state_dict(
            {name: value for name, value in weights.items() if not name.startswith(_TRAINING_ONLY)}
        )
    model.eval()
    return model


def _weights_file(folder: Path) -> Path:
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise LoadFailed(f"{folder} has none of {', '.join(WEIGHTS)}.")


def _speaking_only(
    config: Mapping[str, Any], folder: Path, weights: Mapping[str, Any]
) -> dict[str, Any]:
    """`config` with names instead of files, and without what only training needs."""
    arguments = dict(config.get("model_args") or {})
    both = {**arguments, **{key: value for key, value in config.items() if value}}
    arguments |= {
        "init_discriminator": False,
        "use_speaker_encoder_as_loss": False,
        "speaker_encoder_model_path": None,
        "speaker_encoder_config_path": None,
        "speakers_file": None,
        "language_ids_file": None,
    }
    changed = {**config, "model_args": arguments, "speakers_file": None, "test_sentences": []}
    if both.get("use_speaker_embedding"):
        count = len(weights.get("emb_g.weight", "?"))
        changed["speakers"] = _names(both, "speakers", folder, _SPEAKER_FILES) or [
            f"Speaker{n}" for n in range(count)
        ]
    if both.get("use_language_embedding"):
        changed["languages"] = _names(both, "language_ids", folder, _LANGUAGE_FILES)
    if both.get("use_d_vector_file"):
        files = [str(_beside(folder, file)) for file in _listed(both.get("d_vector_file"))]
        changed["d_vector_file"] = arguments["d_vector_file"] = files
    return changed


def _names(config: Mapping[str, Any], what: str, folder: Path, usual: tuple[str, ...]) -> list[str]:
    """Who or what the ids 0, 1, … stand for, from the file that says so. Raises LoadFailed."""
    said = [Path(file).name for file in _listed(config.get(f"{what}_file"))]
    files = [folder / name for name in (*said, *usual) if (folder / name).is_file()]
    if not files:
        return list(config.get(what.removesuffix("_ids") + "s") or config.get(what) or [])
    ids = _read_ids(files[0])
    if sorted(ids.values()) != list(range(len(ids))):
        raise LoadFailed(f"{files[0]} does not give the ids 0 to {len(ids) - 1} a name each.")
    return sorted(ids, key=lambda name: ids[name])


def _read_ids(file: Path) -> dict[str, int]:
    """Name → id. Raises LoadFailed."""
    ids = json.loads(file.read_text("utf-8")) if file.suffix == ".json" else read_checkpoint(file)
    if not isinstance(ids, dict) or not all(type(each) is int for each in ids.values()):
        raise LoadFailed(f"{file} does not give names their ids.")
    return ids


def _beside(folder: Path, file: str) -> Path:
    """The file of that name in `folder`, wherever it was before. Raises LoadFailed."""
    found = folder / Path(file).name
    if not found.is_file():
        raise LoadFailed(f"The model in {folder} needs {found.name} beside it.")
    return found


def _listed(value: Any) -> list[str]:
    """`value`, a file or several, as a list; paths of Windows as those of any system."""
    files = value if isinstance(value, list) else [value]
    return [str(file).replace("\\", "/") for file in files if file]
