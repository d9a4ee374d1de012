"""The files that voices are made of, as they lie in a home's voices/."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AUDIO_SUFFIXES = (".wav", ".mp3", ".flac", ".m4a", ".ogg", ".opus")
"""Of clips, in lower case."""
LATENTS_FOLDER = "xtts_latents"
SETS_FOLDER = "xtts_multi_voice_sets"
LATENT, SET = "latent:", "voiceset:"
"""What the names of computed latents, and of folders of clips, begin with."""
TRANSCRIPT_SUFFIX = ".reference.txt"
"""Of the file beside a clip that says what is said in it."""
SIDECAR_SUFFIX = ".json"
"""Of the file beside a clip that says the rest: its language, where it came from."""

TRANSCRIPT_CHARS = 10_000
"""Of what is said in a clip; more is not read."""


@dataclass(frozen=True, slots=True)
class File:
    """A file in one state: another state is another value."""

    path: Path
    changed_ns: int
    size: int

    @classmethod
    def of(cls, path: Path) -> File:
        """The file at `path` as it is now. Raises OSError."""
        state = path.stat()
        return cls(path, state.st_mtime_ns, state.st_size)


@dataclass(frozen=True, slots=True)
class Entry:
    """A voice as seen in the folder, before its files are read."""

    name: str
    files: tuple[File, ...]
    transcript: File | None = None
    sidecar: File | None = None


def entries(folder: Path) -> Iterator[Entry]:
    """The voices in `folder`, in the order that they are listed in."""
    root = os.path.realpath(folder)
    yield from _clips(folder, root)
    for file in _files(folder / LATENTS_FOLDER, root):
        if file.path.suffix.lower() == ".json":
            yield Entry(f"{LATENT}{nfc(file.path.name)}", (file,))
    for subfolder in _folders(folder / SETS_FOLDER, root):
        if clips := tuple(_clips(subfolder, root)):
            files = tuple(file for clip in clips for file in clip.files)
            name = f"{SET}{nfc(subfolder.name)}"
            yield Entry(name, files, clips[0].transcript, clips[0].sidecar)


def named_entries(folder: Path, named: Mapping[str, str]) -> Iterator[Entry]:
    """The voices that voices.json names, by path relative to `folder`; none that lies elsewhere.

    One whose file is not there is left out.
    """
    root = os.path.realpath(folder)
    for name, relative in sorted(named.items()):
        path = folder / relative
        try:
            if is_inside(str(path), root) and path.suffix.lower() in AUDIO_SUFFIXES:
                beside = (_beside(path, TRANSCRIPT_SUFFIX), _beside(path, SIDECAR_SUFFIX))
                yield Entry(nfc(name), (File.of(path),), *beside)
        except (OSError, ValueError):
            continue  # not there, or no path at all


def transcript_of(entry: Entry) -> str:
    """What is said in its first clip. Raises OSError."""
    if entry.transcript is None:
        return ""
    text = entry.transcript.path.read_text(encoding="utf-8-sig", errors="replace")
    return " ".join(text[:TRANSCRIPT_CHARS].split())


def sidecar_of(entry: Entry) -> Mapping[str, Any]:
    """What its sidecar says; nothing where it has none, or where that is no such file."""
    if entry.sidecar is None:
        return {}
    try:
        content = json.loads(entry.sidecar.path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def is_inside(path: str, root: str) -> bool:
    """True when `path`, links followed, is `root` (links followed) or below it."""
    real = os.path.realpath(path)
    return real == root or real.startswith(root.rstrip(os.sep) + os.sep)


def nfc(name: str) -> str:
    """The name a voice is asked for by; some systems store accents apart from their letters."""
    return unicodedata.normalize("NFC", name)


def _clips(folder: Path, root: str) -> Iterator[Entry]:
    """The clips in `folder`, each with what lies beside it."""
    files = {nfc(file.path.name): file for file in _files(folder, root)}
    for name, file in files.items():
        if file.path.suffix.lower() in AUDIO_SUFFIXES:
            stem = name.removesuffix(file.path.suffix)
            beside = (files.get(stem + TRANSCRIPT_SUFFIX), files.get(stem + SIDECAR_SUFFIX))
            yield Entry(name, (file,), *beside)


def _beside(clip: Path, suffix: str) -> File | None:
    try:
        return File.of(clip.with_suffix(suffix))
    except OSError:
        return None


def _files(folder: Path, root: str) -> Iterator[File]:
    """The files in `folder`, sorted by name."""
    for entry in _listing(folder, root):
        try:
            if entry.is_file():
                state = entry.stat()
                yield File(folder / entry.name, state.st_mtime_ns, state.st_size)
        except OSError:
            continue  # gone since the folder was listed


def _folders(folder: Path, root: str) -> Iterator[Path]:
    """The folders in `folder`, sorted by name."""
    for entry in _listing(folder, root):
        if entry.is_dir():
            yield folder / entry.name


def _listing(folder: Path, root: str) -> list[os.DirEntry[str]]:
    """What is in `folder`, sorted, without hidden entries and links that lead out of `root`."""
    if not is_inside(str(folder), root):
        return []
    try:
        with os.scandir(folder) as found:
            listed = [entry for entry in found if not entry.name.startswith(".")]
    except OSError:
        return []  # no such folder: no such voices
    inside = [each for each in listed if not each.is_symlink() or is_inside(each.path, root)]
    return sorted(inside, key=lambda entry: entry.name)
