"""The library: what lies in a home's voices/, and what its voices.json names."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from alltalk.clips import decode, loudness_lufs
from alltalk.engine import Voice
from alltalk.errors import StorageError, UnreadableClip
from alltalk.home import Home
from alltalk.voices.files import (
    LATENT,
    Entry,
    File,
    entries,
    named_entries,
    nfc,
    sidecar_of,
    transcript_of,
)
from alltalk.voices.levels import Levels

RECENT_S = 1.0
"""Seconds for which a look at the folder is good enough for a request."""

_LONGEST_S = 1800.0
"""Seconds of a clip that its owner put there himself."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What came of reading all voices anew."""

    loaded: tuple[str, ...]
    failed: tuple[str, ...]
    """Named in voices.json and not there, or there and no sound."""


class VoiceLibrary:
    """What can be cloned from. Safe to use from several threads."""

    def __init__(self, home: Home) -> None:
        self._folder, self._names_file = home.voices, home.voices_file
        self._lock = threading.Lock()
        self._levels = Levels(home.voices / ".loudness.json")
        self._seen: list[Entry] | None = None
        self._scanned_at = 0.0
        self._voices: Mapping[str, Voice] = MappingProxyType({})
        self._digests: dict[File, str] = {}
        self._names_seen: File | None = None
        self._named: Mapping[str, str] = MappingProxyType({})

    def scan(self) -> Mapping[str, Voice]:
        """Name → voice, read again when a file came, went or changed.

        First clips (`female_01.wav`), then computed latents (`latent:x.json`), then folders of
        clips of one speaker (`voiceset:x`), each sorted by name: what V2 lists, and in its order.
        Last what voices.json names. While nothing changes this costs one look at the folder: about
        20 µs and 2 µs a file. Links that lead out of the folder are not followed.
        """
        with self._lock:
            return self._scan()

    def recent(self) -> Mapping[str, Voice]:
        """As `scan`, but looking at the folder at most once a second: for every request's plan."""
        if self._seen is None or time.monotonic() - self._scanned_at > RECENT_S:
            return self.scan()
        return self._voices

    def rescan(self) -> Mapping[str, Voice]:
        """As `scan`, even of files that changed too quickly for their clock to tell."""
        with self._lock:
            self._seen = None
            return self._scan()

    def is_named(self, name: str) -> bool:
        """True for a voice that is there because voices.json names it."""
        return name in map(nfc, self._named)

    def unmeasured(self) -> list[Voice]:
        """The voices with clips whose loudness nobody has measured yet."""
        return [each for each in self.scan().values() if _has_sound(each) and not self._knows(each)]

    def measure(self, voice: Voice) -> None:
        """Measure how loud the first clip of `voice` is, for its `gain_db`. Decodes it.

        Raises UnreadableClip, OSError. `keep_levels` makes what was measured count.
        """
        with voice.clips[0].open("rb") as file:
            audio = decode(file, voice.name, _LONGEST_S)
        self.note_loudness(voice.digest, loudness_lufs(audio))

    def note_loudness(self, digest: str, lufs: float) -> None:
        """What is measured already need not be again."""
        with self._lock:
            self._levels.note(digest, lufs)

    def keep_levels(self) -> Mapping[str, Voice]:
        """The voices with what was measured since; it is written down where that is possible."""
        with self._lock:
            self._seen = None
            voices = self._scan()
            try:
                self._levels.save({voice.digest for voice in voices.values()})
            except StorageError as error:
                _log.info("The loudness of voices is measured at each start: %s", error)
            return voices

    def reload(self) -> Reloaded:
        """Read voices.json and the folder now, and decode what was not measured before."""
        with self._lock:
            self._seen = self._names_seen = None
        failed = set(self._missing())
        for voice in self.unmeasured():
            try:
                self.measure(voice)
            except (UnreadableClip, OSError) as error:
                _log.warning("Voice %s cannot be used: %s", voice.name, error)
                failed.add(voice.name)
        loaded = self.keep_levels().keys() - failed
        return Reloaded(tuple(sorted(loaded)), tuple(sorted(failed)))

    def _knows(self, voice: Voice) -> bool:
        return voice.digest in self._levels

    def _missing(self) -> set[str]:
        """What voices.json names in vain."""
        found = self.scan().keys()
        return {nfc(name) for name in self._named} - found

    def _scan(self) -> Mapping[str, Voice]:
        self._read_names()
        found = [*entries(self._folder), *named_entries(self._folder, self._named)]
        if found != self._seen:
            self._voices = MappingProxyType(self._read(found))
            self._seen = found
        self._scanned_at = time.monotonic()
        return self._voices

    def _read(self, found: Sequence[Entry]) -> dict[str, Voice]:
        """The voices of `found`; the content of files that did not change is not read again."""
        known, self._digests = self._digests, {}
        voices = {}
        for entry in found:
            try:
                for file in entry.files:
                    self._digests[file] = known.get(file) or digest_of(file.path)
                voices[entry.name] = self._voice(entry)
            except OSError as error:
                _log.warning("Voice %s is left out: %s", entry.name, error)
        return voices

    def _voice(self, entry: Entry) -> Voice:
        digest = _joined([self._digests[file] for file in entry.files])
        language = sidecar_of(entry).get("language")
        return Voice(
            entry.name,
            language=language if isinstance(language, str) else "",
            clips=tuple(file.path for file in entry.files),
            digest=digest,
            transcript=transcript_of(entry),
            gain_db=self._levels.gain_db(digest),
        )

    def _read_names(self) -> None:
        """Read voices.json when it came, went or changed. A broken one names nobody."""
        try:
            file = File.of(self._names_file)
        except OSError:
            self._names_seen, self._named = None, {}
            return
        if file != self._names_seen:
            self._names_seen, self._named = file, _names_in(file.path)


def digest_of(path: Path) -> str:
    """SHA-256 of the file's content, in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _names_in(path: Path) -> Mapping[str, str]:
    """Name → path, as the file says."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        _log.warning("%s is not used: %s", path.name, error)
        return {}
    if not isinstance(content, dict):
        _log.warning("%s is not used: it is no object of names and paths.", path.name)
        return {}
    return {name: str(relative) for name, relative in content.items()}


def _has_sound(voice: Voice) -> bool:
    return not voice.name.startswith(LATENT)


def _joined(digests: Sequence[str]) -> str:
    """One digest for several files, in their order; that of a single file is its own."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode()).hexdigest()
