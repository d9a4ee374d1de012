"""The folder of an AllTalk V2 installation: where its things lie. It is only ever read."""

from __future__ import annotations

import json
import locale
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alltalk.errors import BadValue, ConfigError
from alltalk.manifest import FILE_NAME

_ENGINES = Path("system", "tts_engines")


@dataclass(frozen=True, slots=True)
class V2Folder:
    """An AllTalk V2 installation on disk."""

    root: Path
    """Absolute."""

    @classmethod
    def at(cls, folder: Path) -> V2Folder:
        """The installation in `folder`. Raises BadValue where there is none."""
        root = folder.expanduser().resolve()
        if not (root / _ENGINES).is_dir():
            raise BadValue(
                "FOLDER",
                f"{root} is no AllTalk V2 folder: {_ENGINES.as_posix()} is not in it. Name the "
                "folder that holds V2's confignew.json, voices and models.",
            )
        return cls(root)

    @property
    def config_file(self) -> Path:
        """V2's settings."""
        return self.root / "confignew.json"

    @property
    def engine_list(self) -> Path:
        """Which engine and model V2 starts with."""
        return self.root / _ENGINES / "tts_engines.json"

    def engine_settings(self, engine: str) -> Path:
        """Settings of one engine."""
        return self.root / _ENGINES / engine / FILE_NAME

    def engines(self) -> tuple[str, ...]:
        """Names of engines with settings or models, sorted."""
        with_settings = {file.parent.name for file in (self.root / _ENGINES).glob(f"*/{FILE_NAME}")}
        with_models = {folder.name for folder in self.models.glob("*/") if folder.is_dir()}
        names = (with_settings | with_models) - _NO_ENGINES
        return tuple(sorted(name for name in names if name[0] != "."))

    @property
    def models(self) -> Path:
        """Models: a folder for each engine, and those of voice conversion."""
        return self.root / "models"

    def named(self, path: Path) -> str:
        """`path` as it stands in this folder, with slashes."""
        return path.relative_to(self.root).as_posix()


_NO_ENGINES = {"rvc_voices", "rvc_base", "whisper", "template-tts-engine"}
"""Folders beside the engines' that are something else."""


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in `file`; empty where there is no file. Raises ConfigError.

    V2 wrote in the system's own encoding, which on Windows is seldom UTF-8.
    """
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"it cannot be read: {error.strerror}") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode(locale.getencoding(), errors="replace")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"it is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError("it is not a JSON object")
    return content
