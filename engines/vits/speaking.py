"""VITS as an engine: a chunk for each sentence."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
import torch
from pysbd import Segmenter  # type: ignore[import-untyped]  # coqui's own splitter
from pysbd.languages import LANGUAGE_CODES  # type: ignore[import-untyped]

from alltalk.audio import Audio, join, silence
from alltalk.engine import Capabilities, Chunk, Place, Utterance, Voice
from alltalk.errors import UnknownLanguage, UnknownVoice
from alltalk.torch_compat.coqui import give_memory_back
from alltalk.torch_compat.draws import drawing
from alltalk.torch_compat.failures import speaking_failed

from .model import VitsModel, read_model

DEFAULT_VOICE = "default"
"""What the voice of a model with a single speaker is called."""
SPEED = (0.5, 2.0)
PAUSE_S = 0.3
"""Between the sentences of an utterance."""


class Vits:
    """One loaded model; it speaks one utterance at a time."""

    def __init__(self, folder: Path, place: Place) -> None:
        """Raises LoadFailed, OutOfMemory."""
        torch.set_num_threads(place.threads)  # of this thread, which owns the engine
        self._device = place.device
        self._model = read_model(folder).to(place.device)
        self._length_scale: float = self._model.length_scale
        self._sample_rate: int = self._model.config.audio.sample_rate
        self._speakers = _speakers(self._model)
        self._languages = _languages(self._model)
        self.capabilities = Capabilities(
            languages=tuple(self._languages),
            speed=SPEED,
            seed=True,
            low_vram=True,
            max_chars=400,
        )

    def voices(self) -> Sequence[Voice]:
        """The model's speakers in the order of their ids, or `default`."""
        return [Voice(name) for name in self._speakers or (DEFAULT_VOICE,)]

    def synthesize(self, utterance: Utterance) -> Generator[Chunk | None]:
        """Yields each sentence as soon as it is spoken. Raises UnknownVoice, UnknownLanguage."""
        speaker = self._speaker(utterance.voice.name)
        language = self._language(utterance.language or utterance.voice.language)
        draws = drawing(utterance.sampling.seed)
        self._model.length_scale = self._length_scale / utterance.speed
        pause = silence(0.0, self._sample_rate)
        for sentence in sentences(utterance.text, language or "en"):
            with draws:
                said = self._say(sentence, speaker, language)
            yield Chunk(join([pause, said]))
            pause = silence(PAUSE_S, self._sample_rate)

    def rest(self) -> None:
        """Move the weights to the CPU."""
        self._model.to("cpu")
        torch.cuda.empty_cache()

    def wake(self) -> None:
        """Move them back."""
        self._model.to(self._device)

    def close(self) -> None:
        """Free the model."""
        del self._model
        give_memory_back()

    def _say(self, sentence: str, speaker: str | None, language: str | None) -> Audio:
        """Raises SynthesisFailed, OutOfMemory."""
        try:
            said = self._model.synthesize(sentence, speaker=speaker, language=language)
        except (RuntimeError, MemoryError) as error:
            raise speaking_failed("VITS", error, sentence) from error
        samples = np.clip(np.atleast_1d(said["wav"]).astype(np.float32), -1.0, 1.0)
        return Audio(samples, self._sample_rate)

    def _speaker(self, name: str) -> str | None:
        """What the model calls the voice; None where it has a single one. Raises UnknownVoice."""
        if not self._speakers and name == DEFAULT_VOICE:
            return None
        if name not in self._speakers:
            raise UnknownVoice(name, "VITS", [voice.name for voice in self.voices()])
        return self._speakers[name]

    def _language(self, tag: str) -> str | None:
        """What the model calls the language; None where it has one. Raises UnknownLanguage."""
        if not self._languages:
            return None
        tag = tag.lower() or ("en" if "en" in self._languages else next(iter(self._languages)))
        primary = tag.partition("-")[0]
        alike = [known for known in self._languages if known.partition("-")[0] == primary]
        if tag not in self._languages and not alike:
            raise UnknownLanguage(tag, "VITS", tuple(self._languages))
        return self._languages[tag if tag in self._languages else alike[0]]


def sentences(text: str, language: str) -> Generator[str]:
    """The sentences of `text` in which anything can be said."""
    primary = language.partition("-")[0]
    splitter = Segmenter(primary if primary in LANGUAGE_CODES else "en", clean=False)
    for sentence in splitter.segment(text.replace("\0", " ")):
        if re.search(r"[^\W_]", sentence):
            yield sentence.strip()


def _speakers(model: VitsModel) -> dict[str, str]:
    """Voice → the model's name of the speaker, which may end in a newline.

    Some published models have a first speaker `ED` with a newline who never said anything.
    """
    if model.speaker_manager is None:
        return {}
    names: list[str] = list(model.speaker_manager.name_to_id)
    return {name.strip(): name for name in names if name != "ED\n"}


def _languages(model: VitsModel) -> dict[str, str]:
    """Language tag in lower case → the model's name of it; none, where the model has only one."""
    names: list[str] = list(model.language_manager.name_to_id)
    return {name.strip().lower(): name for name in names} if len(names) > 1 else {}
