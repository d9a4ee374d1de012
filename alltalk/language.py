"""Language tags, and telling which language a text is written in."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence

_READ_CHARS = 1000
"""Of a text; more than enough to tell."""
_LEAD = 1.5
"""How far ahead of the default another language has to be. Between right and wrong answers for
single words ("Wait.": 0.5, "Ja.": 1.1) and for two or three ("Hola amigo": 2.6)."""
_LOADING = threading.Lock()
"""Two who ask first would each load the model, and take twice as long."""
_FOREIGN = 10.0
"""How far behind the best of all languages ours may be: sister languages come within 5, another
script is over 20 away."""


def canonical(tag: str) -> str:
    """`tag` in lower case with hyphens; `zh` alone is `zh-cn`, as AllTalk has always spelled it."""
    tag = tag.strip().lower().replace("_", "-")
    return "zh-cn" if tag == "zh" else tag


def matching(tag: str, among: Iterable[str]) -> str | None:
    """The one of `among` that says `tag`, else the first with the same primary subtag, else None.

    `en-us` finds `en`, and `en` finds `en-gb`. Spelling and letter case may differ.
    """
    among, tag = list(among), canonical(tag)
    same = (each for each in among if canonical(each) == tag)
    related = (each for each in among if _primary(each) == _primary(tag))
    return next(same, None) or next(related, None)


def detect(text: str, default: str, among: Sequence[str]) -> str:
    """The language of `text`, which is one of `among`.

    `default` where the text doesn't tell: no letters, a word or two that could be many languages',
    a script that none of `among` is written in. Naive Bayes over byte n-grams (py3langid, after
    Lui & Baldwin, "langid.py", ACL 2012), offline; the first call loads its model in about half a
    second.
    """
    sample = text[:_READ_CHARS].strip()
    if not any(character.isalpha() for character in sample):
        return default
    scores = _scores(sample)
    tags = {_primary(tag): tag for tag in reversed(among)}
    known = [label for label in scores if label in tags]
    if not known:
        return default
    best = max(known, key=scores.__getitem__)
    lead = scores[best] - scores.get(_primary(default), -math.inf)
    if lead < _LEAD or max(scores.values()) - scores[best] > _FOREIGN:
        return default
    return tags[best]


def warm() -> None:
    """Load the model now, so that no request waits for it."""
    _scores("warm")


def _scores(text: str) -> dict[str, float]:
    """Language → log likelihood over the root of the text's bytes: alike for short and long."""
    from py3langid import rank  # type: ignore[import-untyped]  # loaded when first asked for

    scale = math.sqrt(len(text.encode(errors="replace")))
    with _LOADING:
        ranked = rank(text)
    return {label: score / scale for label, score in ranked}


def _primary(tag: str) -> str:
    return canonical(tag).partition("-")[0]
