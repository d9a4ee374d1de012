"""One loaded voice: an ONNX session, checked to be a Piper network, and what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

from alltalk.engine import Place
from alltalk.errors import AllTalkError, LoadFailed, OutOfMemory, SynthesisFailed
from piper import PiperVoice
from piper.config import PhonemeType, PiperConfig, SynthesisConfig

from .level import gain_to, speech_level_db
from .settings import Settings
from .voices import VoiceFile

MOST_THREADS = 4
"""Of one session. They wait asleep, so that callers side by side do not pay for them (measured with
a medium voice on two cores: 122 ms a sentence alone instead of 186 with one thread, and 116 instead
of 116 with eight callers); more than four add little to one sentence."""
NUMBERS = "1 2 3 4 5 6 7 8 9 10."
"""Speech in any language that eSpeak reads."""
G2PW = "g2pW"
"""Folder of what Chinese voices read characters with; piper-tts would download it unasked."""

Samples = NDArray[np.float32]


class Network:
    """A voice that speaks. Its methods may be called from several threads at once."""

    def __init__(self, file: VoiceFile, place: Place, folder: Path, settings: Settings) -> None:
        """`folder`: where languages keep what their phonemizers need.

        Raises LoadFailed, OutOfMemory.
        """
        config = _config(file)
        self.sample_rate = config.sample_rate
        self._name = file.name
        self._settings = settings
        self._gains: dict[int | None, float] = {}
        self._voice = PiperVoice(_session(file, config, place), config, download_dir=folder)
        _refuse_downloads(file, config, folder)
        _check(file, self._voice)

    def phonemes(self, text: str) -> list[list[int]]:
        """The ids of each sentence's phonemes. Raises SynthesisFailed."""
        sayable = text.replace("\0", " ").encode(errors="replace").decode()
        try:
            sentences = self._voice.phonemize(sayable)
            return [self._voice.phonemes_to_ids(phonemes) for phonemes in sentences if phonemes]
        except Exception as error:
            raise SynthesisFailed(f"{self._name} cannot read the text: {error}") from error

    def speak(self, ids: list[int], speaker: int | None, speed: float) -> Samples:
        """float32 [n] at `sample_rate`, as loud as the network speaks. Raises SynthesisFailed."""
        how = SynthesisConfig(
            speaker_id=speaker,
            length_scale=self._voice.config.length_scale / speed,
            noise_scale=self._settings.noise_scale,
            noise_w_scale=self._settings.noise_w_scale,
        )
        return self._say(ids, how)

    def gain_db(self, speaker: int | None) -> float:
        """Gain that brings `speaker` to the level in the settings; measured once, by numbers.

        One gain for all that a speaker says: sentences keep their levels beside each other.
        """
        target_db = self._settings.level_db
        if target_db is None:
            return 0.0
        if speaker not in self._gains:
            how = SynthesisConfig(speaker_id=speaker, noise_scale=0.0, noise_w_scale=0.0)
            spoken = [self._say(ids, how) for ids in self.phonemes(NUMBERS)]
            said = np.concatenate([np.zeros(0, np.float32), *spoken])
            self._gains[speaker] = gain_to(target_db, speech_level_db(said, self.sample_rate))
        return self._gains[speaker]

    def _say(self, ids: list[int], how: SynthesisConfig) -> Samples:
        try:
            return _infer(self._voice, ids, how)
        except Exception as error:
            raise _failure(f"{self._name} could not speak", error, SynthesisFailed) from error


def _config(file: VoiceFile) -> PiperConfig:
    try:
        return PiperConfig.from_dict(json.loads(file.config.read_text(encoding="utf-8")))
    except KeyError as error:
        raise LoadFailed(
            f"{file.config} is no voice's configuration: it has no {error}."
        ) from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise LoadFailed(f"{file.config} cannot be read: {error}") from error


def _session(file: VoiceFile, config: PiperConfig, place: Place) -> Any:
    """The network. Raises LoadFailed where it is none, or not one that `config` describes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(place.threads, MOST_THREADS)
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors: they are raised as well, warnings are its makers'
    providers = _providers(place.device)
    try:
        session = onnxruntime.InferenceSession(str(file.model), options, providers=providers)
    except Exception as error:
        what = f"{file.model} cannot be loaded; if it is damaged, fetch it again"
        raise _failure(what, error, LoadFailed) from error
    expected = {"input", "input_lengths", "scales"} | (
        {"sid"} if config.num_speakers > 1 else set()
    )
    if (found := {each.name for each in session.get_inputs()}) != expected:
        raise LoadFailed(
            f"{file.model} is no Piper voice that {file.config.name} describes: it takes "
            f"{', '.join(sorted(found))}, not {', '.join(sorted(expected))}."
        )
    if place.device != "cpu" and session.get_providers()[0] == "CPUExecutionProvider":
        raise LoadFailed(f"ONNX Runtime cannot use {place.device}; its log says why.")
    return session


def _providers(device: str) -> list[Any]:
    """ONNX Runtime's names of where to run. Raises LoadFailed where it cannot."""
    if device == "cpu":
        return ["CPUExecutionProvider"]
    kind, _, number = device.partition(":")
    if kind != "cuda" or "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise LoadFailed(
            f"Piper cannot run on {device} here: it needs an NVIDIA GPU and onnxruntime-gpu "
            "instead of onnxruntime."
        )
    options = {"device_id": number or "0", "cudnn_conv_algo_search": "HEURISTIC"}
    return [("CUDAExecutionProvider", options), "CPUExecutionProvider"]


def _refuse_downloads(file: VoiceFile, config: PiperConfig, folder: Path) -> None:
    if config.phoneme_type is PhonemeType.PINYIN and not (folder / G2PW).is_dir():
        raise LoadFailed(
            f"{file.name} reads Chinese with the files of g2pW, which are not in {folder / G2PW}."
        )


def _check(file: VoiceFile, voice: PiperVoice) -> None:
    """Have it speak its last phoneme as its last speaker: both are in a network that fits."""
    last = max((id for ids in voice.config.phoneme_id_map.values() for id in ids), default=0)
    speaker = max(0, voice.config.num_speakers - 1)
    try:
        voice.phonemize("1")
        _infer(voice, [1, 0, last, 0, 2], SynthesisConfig(speaker_id=speaker))
    except ImportError as error:
        raise LoadFailed(
            f"{file.name} needs {error.name}; the extras of piper-tts have what languages need."
        ) from error
    except Exception as error:
        what = f"{file.config.name} does not fit {file.model}"
        raise _failure(what, error, LoadFailed) from error


def _infer(voice: PiperVoice, ids: list[int], how: SynthesisConfig) -> Samples:
    result = voice.phoneme_ids_to_audio(ids, how)
    samples = np.atleast_1d(np.asarray(result, np.float32))
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise ValueError("the network's output is not sound")
    return samples


def _failure(what: str, error: Exception, kind: type[LoadFailed | SynthesisFailed]) -> AllTalkError:
    """What an exception of ONNX Runtime means."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, MemoryError) or "bad_alloc" in reason or "Failed to allocate" in reason:
        return OutOfMemory(f"{what}: there is not enough memory.")
    return kind(f"{what}: {reason[:300]}")
