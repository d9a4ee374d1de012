"""Text for XTTS: which languages it reads, and pieces that it can say in one go."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from alltalk.errors import UnknownLanguage, Unsupported

_NEEDS: Mapping[str, tuple[str, str]] = {
    "zh": ("Chinese", "pypinyin"),
    "ja": ("Japanese", "cutlet"),
    "ko": ("Korean", "ko_speech_tools"),
}
"""Language → what it is called, and the package that coqui reads it with."""
_CUTS = tuple(
    re.compile(pattern)
    for pattern in (
        r"[.!?…।؟][\"'”’»)」』]*(?=\s)|[。！？]+[”’」』]*",  # sentences
        r"[,;:،؛—–](?=\s)|[，、；：—]+",  # clauses
        r"\s+",  # words
    )
)
_NOT_IN_WORDS = (ArithmeticError, ValueError, LookupError, RuntimeError)
"""What the reading of numbers raises, depending on language and number."""
_SPACE = "[SPACE]"


class Reader:
    """Cuts text by what coqui's tokenizer of one model makes of it."""

    def __init__(self, tokenizer: Any, languages: Sequence[str], most_tokens: int) -> None:
        """`most_tokens`: the most that the model takes at once."""
        self._tokenizer, self._most_tokens = tokenizer, most_tokens
        self.languages = tuple(tag.lower() for tag in languages)

    @classmethod
    def of(cls, model: Any) -> Reader:
        """As coqui's `model` takes it."""
        most_tokens = model.config.model_args.gpt_max_text_tokens - 2
        return cls(model.tokenizer, model.config.languages, most_tokens)

    def language(self, tag: str) -> str:
        """The model's language that `tag` means, without its country; English if empty.

        Raises UnknownLanguage, and Unsupported for one whose package is not installed.
        """
        primary = (tag or "en").lower().partition("-")[0]
        if primary not in {known.partition("-")[0] for known in self.languages}:
            raise UnknownLanguage(tag, "XTTS", self.languages)
        name, package = _NEEDS.get(primary, ("", ""))
        if package and importlib.util.find_spec(package) is None:
            raise Unsupported(
                f"XTTS reads {name} with the package {package}, which is not installed: "
                "pip install 'alltalk[xtts-langs]'."
            )
        return primary

    def pieces(self, text: str, language: str) -> list[str]:
        """`text` in pieces within the limits of `language`, without those that say nothing."""
        limit: int = self._tokenizer.char_limits.get(language, 250)

        def fits(piece: str) -> bool:
            return len(piece) <= limit and len(self.tokens(piece, language)) <= self._most_tokens

        plain = text.replace("\0", " ").strip()
        return [each for each in cut(plain, fits) if re.search(r"[^\W_]", each)]

    def tokens(self, piece: str, language: str) -> list[int]:
        """Its token ids, as coqui's `inference` has them.

        Numbers that coqui cannot put into words (any in Hindi, those with 400 digits) are left to
        the model as they are, where coqui fails.
        """
        plain = piece.strip().lower()
        tokens: list[int]
        try:
            tokens = self._tokenizer.encode(plain, lang=language)
        except _NOT_IN_WORDS:
            tag = "zh-cn" if language == "zh" else language
            tokens = self._tokenizer.tokenizer.encode(f"[{tag}]{plain}".replace(" ", _SPACE)).ids
        return tokens


def cut(text: str, fits: Callable[[str], bool]) -> Generator[str]:
    """`text` in pieces that fit, halved where it is best: sentence, clause, word, character.

    A single character that does not fit is left out: nobody could say it.
    """
    if not text:
        return
    if fits(text):
        yield text
    elif len(text) > 1:
        at = _best_cut(text)
        yield from cut(text[:at].strip(), fits)
        yield from cut(text[at:].strip(), fits)


def _best_cut(text: str) -> int:
    """Near the middle, after the strongest break in the middle half."""
    middle = len(text) // 2
    for pattern in _CUTS:
        ends = [match.end() for match in pattern.finditer(text)]
        near = [end for end in ends if len(text) // 4 <= end <= len(text) - len(text) // 4]
        if near:
            return min(near, key=lambda end: abs(end - middle))
    return max(1, middle)
