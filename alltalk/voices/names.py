"""Whom a name means: V2's rules, the engine's own names, and OpenAI's."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from alltalk.engine import Voice
from alltalk.errors import UnknownVoice
from alltalk.speech import Offer, Role
from alltalk.voices.files import AUDIO_SUFFIXES

_MODEL_SUFFIXES = (".onnx", ".json")
_NOT_CHOSEN = ("", "please set a voice", "please refresh settings", "no voices found")
"""What clients send, in lower case, before their user chose a voice."""
_SIX_FOR_SEVEN = {
    "ash": "echo",
    "ballad": "fable",
    "cedar": "onyx",
    "coral": "nova",
    "marin": "nova",
    "sage": "shimmer",
    "verse": "echo",
}
"""OpenAI's later voices → the nearest of its first six, which V2's maps have."""
_OPENAI_VOICES = {"alloy", "echo", "fable", "nova", "onyx", "shimmer", *_SIX_FOR_SEVEN}


def voices_of(offer: Offer, clips: Mapping[str, Voice]) -> tuple[Voice, ...]:
    """Whom `offer` can speak as: `clips` first if it clones, as V2 lists them."""
    return (*(clips.values() if offer.capabilities.cloning else ()), *offer.voices)


def resolve_voice(
    name: str,
    offer: Offer,
    clips: Mapping[str, Voice],
    *,
    openai: bool = False,
    role: Role = Role.CHARACTER,
) -> Voice:
    """The voice that a caller means by `name`.

    In this order: the very name; the name in another letter case, with the other path separator,
    with `.wav` too often or without its suffix; `voice+variant`; a name that V2 ships a voice
    under; any text, for engines whose voices are described. No name means the settings' default for
    `role`, else the first voice. `openai`: the engine's map of OpenAI's names comes first, and a
    name of OpenAI's that it lacks is the default; but who has a clip of that name means it. Raises
    UnknownVoice.
    """
    known = _Names(voices_of(offer, clips), offer)
    wanted = name.strip()
    if openai and not ((own := known.find(wanted)) and own.clips):
        wanted = _openai_voice(wanted, offer.openai_voices)
    if wanted.lower() in _NOT_CHOSEN:
        wanted = str(offer.settings.get(f"def_{role}_voice") or "")
        if not wanted and known.voices:
            return known.voices[0]
    if voice := known.find(wanted):
        return voice
    if wanted and offer.capabilities.free_voices and ".." not in _key(wanted).split("/"):
        return Voice(wanted)
    raise UnknownVoice(wanted, offer.engine, [voice.name for voice in known.voices])


def find_voice(name: str, clips: Mapping[str, Voice]) -> Voice | None:
    """The one of `clips` called `name`: its very name, or another letter case or suffix."""
    if voice := clips.get(name):
        return voice
    key, stem = _key(name), _stem(name)
    alike = [voice for known, voice in clips.items() if _key(known) == key]
    alike += [voice for known, voice in clips.items() if _stem(known) == stem]
    return alike[0] if alike else None


def _openai_voice(name: str, mapped: Mapping[str, str]) -> str:
    """What the engine calls OpenAI's voice `name`; empty for its default; else `name` itself."""
    openai = name.lower()
    if openai not in _OPENAI_VOICES:
        return mapped.get(openai, name)
    return mapped.get(openai) or mapped.get(_SIX_FOR_SEVEN.get(openai, "")) or ""


class _Names:
    """Finds voices by what they are called, strictly first."""

    def __init__(self, voices: Sequence[Voice], offer: Offer) -> None:
        self.voices = voices
        self._exact = _by(str, voices)
        self._keys = _by(_key, voices)
        self._stems = _by(_stem, voices)
        self._shipped = {_stem(name): target for name, target in offer.shipped_voices.items()}
        self._variants = {_key(name): name for name in offer.capabilities.variants}

    def find(self, name: str) -> Voice | None:
        """The voice called `name`, by its own or by its shipped name."""
        return self._named(name) or self._named(self._shipped.get(_stem(name), ""))

    def _named(self, name: str) -> Voice | None:
        base, _, variant = name.rpartition("+")
        timbre = self._variants.get(_key(variant))
        if voice := self._plain(name):
            return voice
        voice = self._plain(base) if base and timbre else None
        return replace(voice, name=f"{voice.name}+{timbre}") if voice else None

    def _plain(self, name: str) -> Voice | None:
        key = _key(name)
        bare = _without_wav(key)
        alike = self._keys.get(key) or self._keys.get(bare) or self._keys.get(f"{bare}.wav")
        return self._exact.get(name) or alike or self._stems.get(_stem(name))


def _by(key: Callable[[str], str], voices: Iterable[Voice]) -> dict[str, Voice]:
    """`voices` by `key` of their name; of several with one key, the first."""
    return {key(voice.name): voice for voice in reversed(tuple(voices))}


def _key(name: str) -> str:
    """What names that are meant to be the same have in common."""
    return unicodedata.normalize("NFC", name).strip().replace("\\", "/").casefold()


def _without_wav(key: str) -> str:
    while key.endswith(".wav"):
        key = key[:-4]
    return key


def _stem(name: str) -> str:
    """The key of `name` without its suffixes."""
    key = _without_wav(_key(name))
    for suffix in (*AUDIO_SUFFIXES, *_MODEL_SUFFIXES):
        key = key.removesuffix(suffix)
    return key
