"""Piper's voices as they lie on disk: which there are, who speaks in them, what they are called."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alltalk.engine import Voice

_log = logging.getLogger(__name__)
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f/\\:<>"|?*]')


@dataclass(frozen=True, slots=True)
class VoiceFile:
    """A voice: its network, and what stands beside it in `<name>.json`."""

    name: str
    """Path below the folder of voices, with forward slashes: `en/en_US-ljspeech-high.onnx`."""
    model: Path
    language: str = ""
    """Language tag, `en-us`; empty: its configuration does not say."""
    speakers: tuple[str, ...] = ()
    """Who speaks in it, in the order of their ids; empty: one."""
    size: int = 0
    """Of the network, bytes."""
    digest: str = ""
    """Another one when either file was changed."""

    @property
    def config(self) -> Path:
        """The file of its configuration."""
        return self.model.with_name(f"{self.model.name}.json")


@dataclass(frozen=True, slots=True)
class Speaker:
    """Somebody who speaks: a voice, and which of its speakers."""

    file: VoiceFile
    id: int | None = None
    """None: the voice's default."""


def find_speakers(folders: Sequence[Path]) -> dict[str, Speaker]:
    """Name → speaker of all voices in `folders`, sorted by file; of two with one name, the first.

    A voice is called by its file; one with several speakers is listed as such, and then with each:
    `en_US-vctk-medium.onnx`, `en_US-vctk-medium@p225.onnx`, …
    """
    found: dict[str, tuple[str, Speaker]] = {}
    for folder in folders:
        for file in _voice_files(folder):
            for name, speaker in _speakers(file):
                if name.lower() in found:
                    _log.warning("%s is not used: there is a voice %s already", file.model, name)
                    continue
                found[name.lower()] = (name, speaker)
    return dict(sorted(found.values(), key=lambda each: each[1].file.name.lower()))


def listed(name: str, speaker: Speaker) -> Voice:
    """`speaker` as the engine lists it."""
    return Voice(name, speaker.file.language, digest=speaker.file.digest)


def _voice_files(folder: Path) -> Iterator[VoiceFile]:
    """The voices below `folder`: each X.onnx that has its X.onnx.json."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(names):
            model = Path(root, name)
            if name.endswith(".onnx") and f"{name}.json" in names:
                yield _voice_file(model, model.relative_to(folder).as_posix())


def _voice_file(model: Path, name: str) -> VoiceFile:
    """What is known of a voice without its network. One that is broken says so when it is used."""
    config = model.with_name(f"{model.name}.json")
    try:
        states = [file.stat() for file in (model, config)]
        content: Any = json.loads(config.read_text(encoding="utf-8"))
        seen = repr([(state.st_size, state.st_mtime_ns) for state in states])
        return VoiceFile(
            name,
            model,
            _language(content),
            _speaker_names(content),
            states[0].st_size,
            hashlib.sha256(seen.encode()).hexdigest(),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return VoiceFile(name, model)


def _language(config: Mapping[str, Any]) -> str:
    """`en-us`: the code of the language, else what eSpeak calls it."""
    code = config.get("language", {}).get("code") or config["espeak"]["voice"]
    return str(code).replace("_", "-").lower()


def _speaker_names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The speakers in the order of their ids; one without a plain name of its own has its id."""
    count = int(config.get("num_speakers", 1))
    if count < 2:
        return ()
    named = {int(id): str(name) for name, id in config.get("speaker_id_map", {}).items()}
    plain = [_NOT_IN_NAMES.sub("_", named.get(id, str(id))) for id in range(count)]
    alike = Counter(name.lower() for name in plain)
    return tuple(
        name if alike[name.lower()] == 1 else f"{name}-{id}" for id, name in enumerate(plain)
    )


def _speakers(file: VoiceFile) -> Iterator[tuple[str, Speaker]]:
    yield file.name, Speaker(file)
    stem = file.name.removesuffix(".onnx")
    for id, name in enumerate(file.speakers):
        yield f"{stem}@{name}.onnx", Speaker(file, id)
