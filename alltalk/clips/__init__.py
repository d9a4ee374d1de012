"""Clips: recordings of a speaker, from a file of any format to reference audio for an engine."""

from alltalk.clips.decode import decode
from alltalk.clips.loudness import TARGET_LUFS, loudness_lufs
from alltalk.clips.one_off import OneOffVoice
from alltalk.clips.reference import Reference, make_reference, wav_bytes

__all__ = [
    "TARGET_LUFS",
    "OneOffVoice",
    "Reference",
    "decode",
    "loudness_lufs",
    "make_reference",
    "wav_bytes",
]
