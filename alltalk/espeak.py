"""The one binding of libespeak-ng in this process: it speaks, and it tells phonemes.

The library (C API 1.52, from the wheel `espeakng_loader`) keeps its state in globals, so a process
has one synthesiser. Every call takes the one lock; a second lock, or none, ends in a crash. A sink
is called inside the lock and must not call back into this module.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from alltalk.errors import LoadFailed, SynthesisFailed, UnknownVoice

RATE_WPM = (80, 450)
"""Words a minute that the library speaks at; 175 by default."""
CHUNK_MS = 60
"""Length of the pieces that a sink is given."""

_LOCK = threading.Lock()
_ON_SOUND = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)
# Constants of espeak-ng/speak_lib.h.
_SYNCHRONOUS, _DO_NOT_EXIT = 2, 0x8000
_RATE, _VOLUME, _PITCH, _PITCH_RANGE = 1, 2, 3, 4
_UTF8, _END_PAUSE, _IPA = 1, 0x1000, 0x02


@dataclass(frozen=True, slots=True)
class EspeakVoice:
    """A voice of the library, which is a language or an accent."""

    identifier: str
    """Its file, below the library's voices: `gmw/en-US`."""
    name: str
    """`English (America)`."""
    languages: tuple[tuple[str, int], ...]
    """Language tags in lower case, the voice's own first, and the rank the voice has among those
    that speak it: the lowest is best."""


def sample_rate() -> int:
    """Hz of what `speak` gives. Raises LoadFailed."""
    with _LOCK:
        return _library().sample_rate


def voices() -> tuple[EspeakVoice, ...]:
    """All voices, by identifier. Raises LoadFailed."""
    with _LOCK:
        return _library().voices


def variants() -> tuple[str, ...]:
    """Timbres that may follow a voice after a `+`, sorted. Raises LoadFailed."""
    with _LOCK:
        return _library().variants


def speak(
    text: str,
    voice: str,
    sink: Callable[[bytes], bool | None],
    *,
    rate_wpm: int = 175,
    pitch: int = 50,
    pitch_range: int = 50,
    volume: int = 100,
) -> None:
    """Give `sink` the text as 16-bit samples, about 60 ms at a time; a true answer stops it.

    `voice` is an identifier, and a variant after a `+`. `pitch` and `pitch_range` (how far
    intonation moves it) are 0 to 100, `volume` 0 to 200. Blocks until all is spoken; what `sink`
    raises stops it and is raised here. Raises UnknownVoice, SynthesisFailed, LoadFailed.
    """
    raw = _c_text(text)
    parameters = {_RATE: rate_wpm, _PITCH: pitch, _PITCH_RANGE: pitch_range, _VOLUME: volume}
    raised: list[BaseException] = []

    def on_sound(samples: ctypes._Pointer[ctypes.c_short], n: int, _events: int | None) -> int:
        if n <= 0 or not samples:
            return 0
        try:
            return 1 if sink(ctypes.string_at(samples, 2 * n)) else 0
        except BaseException as error:  # C cannot pass it on
            raised.append(error)
            return 1

    callback = _ON_SOUND(on_sound)  # C holds only the pointer: this name keeps it alive
    with _LOCK:
        library = _library()
        library.choose(voice)
        for parameter, value in parameters.items():
            library.c.espeak_SetParameter(parameter, value, 0)
        library.c.espeak_SetSynthCallback(callback)
        flags = _UTF8 | _END_PAUSE
        failed = library.c.espeak_Synth(raw, len(raw), 0, 1, 0, flags, None, None)
    if raised:
        raise raised[0]
    if failed:
        raise SynthesisFailed(f"eSpeak NG could not speak the text (its error {failed}).")


def phonemize(text: str, voice: str, separator: str = "") -> str:
    """The text's phonemes in IPA, one line a clause, `separator` between the phonemes of a word.

    Punctuation is not kept. `voice` as in `speak`. Raises UnknownVoice, LoadFailed.
    """
    raw = _c_text(text)
    mode = _IPA | (ord(separator) << 8 if separator else 0)
    rest = ctypes.c_char_p(raw)
    clauses: list[str] = []
    with _LOCK:
        library = _library()
        library.choose(voice)
        while rest.value:
            clause = library.c.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, mode)
            clauses.append(clause.decode() if clause else "")
    return "\n".join(clause for clause in clauses if clause)


class _Library:
    """The loaded library and what it knows; only touched with the lock held."""

    def __init__(self) -> None:
        self.c, data = _open()
        self.sample_rate: int = self.c.espeak_Initialize(
            _SYNCHRONOUS, CHUNK_MS, os.fsencode(data), _DO_NOT_EXIT
        )
        if self.sample_rate <= 0:
            raise LoadFailed(f"eSpeak NG cannot read its data in {data} (a path over 150 bytes?).")
        self.voices = _list_voices(self.c)
        self.variants = tuple(sorted(os.listdir(os.path.join(data, "voices", "!v"))))
        self._identifiers = frozenset(voice.identifier for voice in self.voices)

    def choose(self, voice: str) -> None:
        """Speak as `voice` from now on. Only names listed: the library would open any path."""
        identifier, _, variant = voice.partition("+")
        if identifier not in self._identifiers or (variant and variant not in self.variants):
            raise UnknownVoice(voice, "eSpeak NG", sorted(self._identifiers))
        if failed := self.c.espeak_SetVoiceByName(voice.encode()):
            raise SynthesisFailed(f"eSpeak NG could not load {voice} (its error {failed}).")


@cache  # called with the lock held, so once
def _library() -> _Library:
    return _Library()


def _open() -> tuple[ctypes.CDLL, str]:
    """The library with its signatures declared, and the folder of its data."""
    try:
        import espeakng_loader as loader  # type: ignore[import-untyped]

        c, data = ctypes.CDLL(loader.get_library_path()), str(loader.get_data_path())
    except (ImportError, OSError, RuntimeError) as error:
        raise LoadFailed(f"eSpeak NG cannot be loaded: {error}") from error
    text, number = ctypes.c_char_p, ctypes.c_int
    c.espeak_Initialize.argtypes = [number, number, text, number]
    c.espeak_ListVoices.argtypes = [ctypes.c_void_p]
    c.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_CVoice))
    c.espeak_SetVoiceByName.argtypes = [text]
    c.espeak_SetParameter.argtypes = [number, number, number]
    c.espeak_SetSynthCallback.argtypes = [_ON_SOUND]
    c.espeak_Synth.argtypes = [text, ctypes.c_size_t, ctypes.c_uint, number]
    c.espeak_Synth.argtypes += [ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p]
    c.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(text), number, number]
    c.espeak_TextToPhonemes.restype = text
    return c, data


class _CVoice(ctypes.Structure):
    """`espeak_VOICE` of speak_lib.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


def _list_voices(c: ctypes.CDLL) -> tuple[EspeakVoice, ...]:
    """The library's voices, copied out of its memory."""
    listed = c.espeak_ListVoices(None)
    found: list[EspeakVoice] = []
    while listed[len(found)]:
        voice = listed[len(found)].contents
        name = voice.name.decode().strip()
        found.append(EspeakVoice(voice.identifier.decode(), name, _tags(voice.languages)))
    return tuple(found)


def _tags(at: int) -> tuple[tuple[str, int], ...]:
    """Language tags with ranks from C's list: (a byte of rank, text, 0) each, then a 0."""
    tags = []
    while rank := ctypes.string_at(at, 1)[0]:
        tag = ctypes.string_at(at + 1)
        tags.append((tag.decode().lower(), rank))
        at += len(tag) + 2
    return tuple(tags)


def _c_text(text: str) -> bytes:
    """UTF-8 with its final zero; a zero inside becomes a space, half a surrogate pair a `?`."""
    return text.replace("\0", " ").encode("utf-8", "replace") + b"\0"
