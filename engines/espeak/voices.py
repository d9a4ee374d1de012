"""Who eSpeak NG can speak as: its voices under readable names, variants, and languages."""

from __future__ import annotations

from collections.abc import Sequence

from alltalk.engine import Voice
from alltalk.espeak import EspeakVoice

AMERICAN, BRITISH = "English (America)", "English (Great Britain)"
PEOPLE = {
    AMERICAN: (
        *("Alicia", "Andrea", "Annie", "anika", "aunty", "belinda", "f1", "f2", "f3", "f4", "f5"),
        *("shelby", "steph", "Diogo", "Lee", "Michael", "Reed", "adam", "david", "m1", "m3", "m7"),
        *("max", "michel", "miguel", "quincy", "rob", "robert"),
    ),
    BRITISH: ("Alicia", "Annie", "f2", "f5", "Reed", "edward2", "m3", "max"),
}
"""Variants listed as voices of their own, so that there are women and men to choose from; any
other goes on any voice all the same."""
ALIASES = {"en": "en-us", "zh": "cmn", "zh-cn": "cmn", "zh-hk": "yue", "zh-tw": "cmn"}
"""Language tags that clients send → the library's; `zh-…` is Mandarin unless said otherwise."""


class Cast:
    """All voices and variants, found by name or language."""

    def __init__(self, voices: Sequence[EspeakVoice], variants: Sequence[str]) -> None:
        self._variants = {variant.lower(): variant for variant in variants}
        self._by_tag = _best_by_tag(voices)
        self._primaries = {voice.identifier: _primaries(voice) for voice in voices}
        self._identifiers = self._by_tag | {
            key.lower(): voice.identifier
            for voice in voices
            for key in (voice.identifier, voice.name)
        }
        self.languages = tuple(sorted({*self._by_tag, *ALIASES}))
        self.voices = _listed(voices, variants)

    def find(self, name: str) -> str | None:
        """What the library calls the voice `name`: a name, tag or identifier, in any letter case,
        and a variant after a `+`. None: there is none."""
        voice, plus, variant = name.partition("+")
        identifier = self._identifiers.get(voice.strip().lower())
        known = self._variants.get(variant.strip().lower())
        if identifier is None or (plus and known is None):
            return None
        return f"{identifier}+{known}" if known else identifier

    def in_language(self, speaker: str, language: str) -> str | None:
        """`speaker`, or the voice that speaks `language` best with the speaker's variant.

        Accents stay: British English speaks `en-us` as it is. None: nobody speaks it.
        """
        if not language:
            return speaker
        tag = _known_tag(language.lower(), self._by_tag)
        if tag is None:
            return None
        identifier, plus, variant = speaker.partition("+")
        if {_primary(language.lower()), _primary(tag)} & self._primaries[identifier]:
            return speaker
        return f"{self._by_tag[tag]}{plus}{variant}"


def _best_by_tag(voices: Sequence[EspeakVoice]) -> dict[str, str]:
    """Language tag → identifier of the voice that ranks best for it."""
    best: dict[str, tuple[int, str]] = {}
    for voice in voices:
        for tag, rank in voice.languages:
            if tag not in best or rank < best[tag][0]:
                best[tag] = (rank, voice.identifier)
    return {tag: identifier for tag, (_, identifier) in best.items()}


def _known_tag(tag: str, known: dict[str, str]) -> str | None:
    """`tag` as the library knows it, or what is left of it without its last parts."""
    while tag:
        tag_there = ALIASES.get(tag, tag)
        if tag_there in known:
            return tag_there
        tag = tag.rpartition("-")[0]
    return None


def _primary(tag: str) -> str:
    return tag.partition("-")[0]


def _primaries(voice: EspeakVoice) -> set[str]:
    """First parts of all tags that the voice speaks."""
    return {_primary(tag) for tag, _ in voice.languages}


def _listed(voices: Sequence[EspeakVoice], variants: Sequence[str]) -> tuple[Voice, ...]:
    """American English first, then British, then by name; people after their voice."""
    first = {AMERICAN: 0, BRITISH: 1}
    listed = []
    for voice in sorted(voices, key=lambda v: (first.get(v.name, 2), v.name)):
        people = [person for person in PEOPLE.get(voice.name, ()) if person in variants]
        names = [voice.name, *(f"{voice.name}+{person}" for person in people)]
        listed += [Voice(name, voice.languages[0][0]) for name in names]
    return tuple(listed)
