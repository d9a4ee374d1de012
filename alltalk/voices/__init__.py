"""Voices: the library of reference audio in the home, its changes, and whom a name means."""

from alltalk.voices.files import TRANSCRIPT_CHARS
from alltalk.voices.library import RECENT_S, Reloaded, VoiceLibrary
from alltalk.voices.names import find_voice, resolve_voice, voices_of
from alltalk.voices.registry import Added, NewVoice, VoiceRegistry, is_recorded

__all__ = [
    "RECENT_S",
    "TRANSCRIPT_CHARS",
    "Added",
    "NewVoice",
    "Reloaded",
    "VoiceLibrary",
    "VoiceRegistry",
    "find_voice",
    "is_recorded",
    "resolve_voice",
    "voices_of",
]
