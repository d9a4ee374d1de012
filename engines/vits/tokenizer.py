"""Turns text into a VITS model's ids as coqui does, but phonemizes in this process.

coqui's `espeak` phonemizer runs a program `espeak-ng` for every sentence, which no wheel brings.
Published models want it, and cannot be built without. Here `alltalk.espeak` tells the phonemes.
"""

from __future__ import annotations

import re
from typing import Any

from TTS.tts.utils.text import cleaners  # type: ignore[import-untyped]
from TTS.tts.utils.text.characters import (  # type: ignore[import-untyped]
    BaseCharacters,
    Graphemes,
    IPAPhonemes,
)
from TTS.tts.utils.text.phonemizers import (  # type: ignore[import-untyped]
    get_default_phonemizer,
    get_phonemizer_by_name,
)
from TTS.tts.utils.text.phonemizers.base import BasePhonemizer  # type: ignore[import-untyped]
from TTS.tts.utils.text.tokenizer import TTSTokenizer  # type: ignore[import-untyped]
from TTS.utils.generic_utils import import_class  # type: ignore[import-untyped]

from alltalk import espeak
from alltalk.errors import LoadFailed

_ALIASES = {"en": "en-us", "zh-cn": "cmn"}
"""coqui's."""
_SWITCH = re.compile(r"\(.+?\)")
"""eSpeak's mark where a word is of another language, `(en)`."""


class Espeak(BasePhonemizer):  # type: ignore[misc]  # coqui has no types
    """coqui's phonemizer of that name, on the library instead of the program."""

    def __init__(self, language: str) -> None:
        self._voice = _identifiers().get(_ALIASES.get(language, language), "")
        super().__init__(language, keep_puncs=True)

    def _phonemize(self, text: str, separator: str) -> str:
        clauses = espeak.phonemize(text, self._voice, "_").split("\n")
        joined = "".join(_SWITCH.sub("", clause).strip() for clause in clauses)
        return joined.replace("_", separator)

    def is_supported_language(self, language: str) -> bool:
        return bool(self._voice)

    @staticmethod
    def supported_languages() -> dict[str, str]:
        return _identifiers()

    @staticmethod
    def name() -> str:
        return "espeak"

    @classmethod
    def is_available(cls) -> bool:
        return True

    def version(self) -> str:
        return "1.52"


class ByLanguage:
    """A phonemizer for each language of a model."""

    def __init__(self, phonemizers: dict[str, Any]) -> None:
        self._phonemizers = phonemizers

    def phonemize(self, text: str, separator: str = "|", language: str | None = None) -> str:
        """As coqui's phonemizers; the language is always told."""
        assert language is not None
        phonemes: str = self._phonemizers[language].phonemize(text, separator)
        return phonemes


def make_tokenizer(config: Any) -> Any:
    """coqui's tokenizer for a model's `config`. Raises LoadFailed, ImportError, ValueError."""
    cleaner = config.text_cleaner
    return TTSTokenizer(
        use_phonemes=config.use_phonemes,
        text_cleaner=getattr(cleaners, cleaner) if isinstance(cleaner, str) else None,
        characters=_characters(config),
        phonemizer=_phonemizer(config) if config.use_phonemes else None,
        add_blank=config.add_blank,
        use_eos_bos=config.enable_eos_bos_chars,
    )


def _characters(config: Any) -> Any:
    named = config.characters.characters_class if config.characters else None
    kind: Any = IPAPhonemes if config.use_phonemes else Graphemes
    if named:  # a name in a file must not import just anything
        kind = import_class(named) if named.startswith("TTS.") else None
    if kind is None or not issubclass(kind, BaseCharacters):
        raise LoadFailed(f"config.json names characters that coqui-tts does not have: {named}.")
    return kind.init_from_config(config)[0]


def _phonemizer(config: Any) -> Any:
    if config.phonemizer == "multi_phonemizer":
        return ByLanguage(
            {each.language: _one(each.phonemizer, each.language) for each in config.datasets}
        )
    return _one(config.phonemizer, config.phoneme_language)


def _one(name: str | None, language: str) -> Any:
    """eSpeak's, unless the model was trained with another."""
    if not name:
        known = _ALIASES.get(language, language) in _identifiers()
        name = "espeak" if known else get_default_phonemizer(language)
    if name == "espeak":
        return Espeak(language)
    return get_phonemizer_by_name(name, language=language)


def _identifiers() -> dict[str, str]:
    """Language tag → the voice of eSpeak that ranks best for it."""
    ranked = [
        (rank, voice.identifier, tag) for voice in espeak.voices() for tag, rank in voice.languages
    ]
    return {tag: identifier for _, identifier, tag in sorted(ranked, reverse=True)}
