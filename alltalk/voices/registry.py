"""The registry: voices uploaded, changed and deleted, each whole or not at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from alltalk.clips import Reference, decode, make_reference, wav_bytes
from alltalk.engine import Voice
from alltalk.errors import BadValue, NameTaken, NotFound
from alltalk.home import Home, safe_name
from alltalk.voices.files import (
    AUDIO_SUFFIXES,
    LATENT,
    SET,
    SETS_FOLDER,
    SIDECAR_SUFFIX,
    TRANSCRIPT_CHARS,
    TRANSCRIPT_SUFFIX,
    nfc,
)
from alltalk.voices.library import VoiceLibrary
from alltalk.voices.names import find_voice
from alltalk.voices.store import (
    delete,
    remove_leftovers,
    rename_together,
    write_folder,
    write_together,
)


@dataclass(frozen=True, slots=True)
class NewVoice:
    """What a caller uploads."""

    name: str
    clips: Sequence[tuple[str, BinaryIO]]
    """Each recording's own file name, and its content. Several are a set of one speaker."""
    language: str = ""
    transcript: str = ""
    """What is said in the first clip."""
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Added:
    """A voice that is there now."""

    voice: Voice
    warnings: tuple[str, ...]
    """What better recordings would not have."""


class VoiceRegistry:
    """Changes to a home's voices/. Blocking; safe to use from several threads."""

    def __init__(self, home: Home, library: VoiceLibrary) -> None:
        self._folder, self._library = home.voices, library
        self._lock = threading.Lock()

    def add(self, new: NewVoice, longest_s: float) -> Added:
        """Decode, trim, check, level and store `new`: `longest_s` seconds or less in all.

        One clip becomes `<name>.wav`; several become the folder of `voiceset:<name>`. Raises
        UnsafeName, BadValue, NameTaken, UnreadableClip, StorageError; then nothing was stored.
        """
        stem = _stem(new.name)
        if not new.clips:
            raise BadValue("clip", "is missing: send at least one recording")
        self._refuse_taken(new, stem)  # before the work
        references = _references(new, longest_s)
        with self._lock:
            self._refuse_taken(new, stem)
            name = self._store(stem, new, references)
            voice = self._library.scan()[name]
        self._library.note_loudness(voice.digest, references[0].loudness_lufs)
        voice = self._library.keep_levels().get(name, voice)
        return Added(voice, tuple(_told(new, references)))

    def remove(self, name: str) -> Voice:
        """Delete the clips of the voice `name` and what lies beside them; the voice that was.

        Raises NotFound, BadValue, StorageError.
        """
        with self._lock:
            voice = self._own(name)
            for path in _paths(voice):
                delete(path)
            self._library.scan()
        return voice

    def change(self, name: str, *, to: str = "", transcript: str | None = None) -> Voice:
        """Call the voice `name` `to`, and write down what is said in its first clip.

        What engines keep for its clips stays good. None, as an empty `to`, leaves things as they
        are; an empty transcript is none. What lies beside several clips (a.wav, a.mp3) is said of
        all of them. Raises NotFound, UnsafeName, BadValue, NameTaken: then nothing has changed;
        StorageError.
        """
        stem = _stem(to) if to else ""
        with self._lock:
            voice = self._own(name) if to else self.find(name)
            if to:
                self._refuse_renaming(voice, stem)
            if transcript is not None:
                voice = self._transcribed(voice, transcript.strip())
            return self._renamed(voice, stem) if to else voice

    def find(self, name: str) -> Voice:
        """The library's voice that is meant by `name`. Raises NotFound."""
        voice = find_voice(name, self._library.scan())
        if voice is None:
            raise NotFound(f"There is no voice {name[:80]!r} in the library.")
        return voice

    def _own(self, name: str) -> Voice:
        """A voice that lies in the folder under its own name."""
        voice = self.find(name)
        if self._library.is_named(voice.name):
            raise BadValue("voice", f"{voice.name!r} is named in voices.json; change it there")
        return voice

    def _refuse_renaming(self, voice: Voice, stem: str) -> None:
        renamed = _called(voice, stem)
        if find_voice(renamed, self._library.scan()) not in (None, voice):
            raise NameTaken(renamed)

    def _renamed(self, voice: Voice, stem: str) -> Voice:
        rename_together(
            [(path, path.with_name(stem + _ending(path, voice))) for path in _paths(voice)]
        )
        return self._library.scan()[_called(voice, stem)]

    def _transcribed(self, voice: Voice, said: str) -> Voice:
        """Raises BadValue, before anything changes, and StorageError."""
        if not is_recorded(voice):
            raise BadValue("transcript", f"{voice.name!r} has no recording that it could be of")
        if len(said) > TRANSCRIPT_CHARS:
            raise BadValue("transcript", f"has more than {TRANSCRIPT_CHARS:,} characters")
        path = voice.clips[0].with_suffix(TRANSCRIPT_SUFFIX)
        write_together([(path, said.encode("utf-8", "replace") or None)])
        return self._library.rescan()[voice.name]

    def _refuse_taken(self, new: NewVoice, stem: str) -> None:
        """Another voice of that name, however its letters are cased, is not written over."""
        name = f"{SET}{stem}" if len(new.clips) > 1 else f"{stem}.wav"
        taken = find_voice(name, self._library.scan())
        if taken and not (new.overwrite and taken.name == name):
            raise NameTaken(taken.name)

    def _store(self, stem: str, new: NewVoice, references: Sequence[Reference]) -> str:
        """Write the files; the voice's name."""
        contents = [wav_bytes(reference.audio) for reference in references]
        if len(contents) > 1:
            folder = self._folder / SETS_FOLDER / stem
            remove_leftovers(folder.parent)
            transcript, sidecar = _beside(Path("01"), new)
            clips = [(f"{number:02}.wav", each) for number, each in enumerate(contents, 1)]
            beside = [(path.name, each) for path, each in (transcript, sidecar) if each is not None]
            write_folder(folder, [*beside, *clips])
            return f"{SET}{stem}"
        remove_leftovers(self._folder)
        clip = self._folder / f"{stem}.wav"
        transcript, sidecar = _beside(self._folder / stem, new)
        if clip.exists():  # the elder's words are never taken for the new one's
            write_together([(transcript[0], None), sidecar, (clip, contents[0]), transcript])
        else:
            write_together([transcript, sidecar, (clip, contents[0])])
        return clip.name


def is_recorded(voice: Voice) -> bool:
    """True where there is sound of it: it is no engine's own voice, nor computed latents."""
    return bool(voice.clips) and not voice.name.startswith(LATENT)


def _stem(name: str) -> str:
    """What a voice called `name` is stored as. Raises UnsafeName, BadValue."""
    stem = nfc(name).strip()
    for suffix in AUDIO_SUFFIXES:
        if stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)].rstrip()
    safe_name(stem + TRANSCRIPT_SUFFIX)
    if not stem or stem.startswith("."):
        raise BadValue("name", "must begin with a letter, a digit or a sign that is no dot")
    return safe_name(stem)


def _references(new: NewVoice, longest_s: float) -> list[Reference]:
    """The clips, ready to be stored. Their number is not limited, but what they add up to."""
    references: list[Reference] = []
    for name, file in new.clips:
        references.append(make_reference(decode(file, name, longest_s), name))
        if sum(each.audio.seconds for each in references) > longest_s:
            raise BadValue("clip", f"the clips are longer than {longest_s:g} s together")
    return references


def _told(new: NewVoice, references: Sequence[Reference]) -> Iterator[str]:
    """The warnings of all clips, each with its clip's name where there are several."""
    for (name, _), reference in zip(new.clips, references, strict=True):
        prefix = f"{name[:80]}: " if len(references) > 1 else ""
        yield from (prefix + warning for warning in reference.warnings)


def _sidecar(new: NewVoice) -> bytes:
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    source = [name[:200] for name, _ in new.clips]
    content = {"language": new.language, "made_at": made_at, "source": source}
    return json.dumps(content, ensure_ascii=False, indent=1).encode("utf-8", "replace")


def _beside(place: Path, new: NewVoice) -> tuple[tuple[Path, bytes | None], tuple[Path, bytes]]:
    """The transcript and the sidecar of the clip `place`.wav."""
    said = new.transcript.strip().encode("utf-8", "replace")
    transcript = Path(f"{place}{TRANSCRIPT_SUFFIX}"), said or None
    return transcript, (Path(f"{place}{SIDECAR_SUFFIX}"), _sidecar(new))


def _called(voice: Voice, stem: str) -> str:
    """The name of `voice` once it is stored as `stem`."""
    if voice.name.startswith(SET):
        return f"{SET}{stem}"
    prefix = LATENT if voice.name.startswith(LATENT) else ""
    return f"{prefix}{stem}{voice.clips[0].suffix}"


def _paths(voice: Voice) -> list[Path]:
    """Files and folders that make up `voice`, the clip first: it is the voice that others see.

    What lies beside a clip stays while it belongs to another one as well (a.wav, a.mp3).
    """
    clip = voice.clips[0]
    if voice.name.startswith(SET):
        return [clip.parent]
    shared = [clip.with_suffix(suffix) for suffix in AUDIO_SUFFIXES]
    if voice.name.startswith(LATENT) or any(each.exists() for each in shared if each != clip):
        return [clip]
    beside = [clip.with_suffix(suffix) for suffix in (TRANSCRIPT_SUFFIX, SIDECAR_SUFFIX)]
    return [clip, *(each for each in beside if each.exists())]


def _ending(path: Path, voice: Voice) -> str:
    """What follows the stem in the name of `path`."""
    if voice.name.startswith(SET):
        return ""
    return path.name.removeprefix(voice.clips[0].stem)
