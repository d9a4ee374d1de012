"""Home: the folder that holds all of one installation, and the file names allowed in it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from alltalk.errors import StorageError, UnsafeName

_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Home:
    """Where everything of one installation lies."""

    root: Path
    """Absolute."""

    @classmethod
    def find(cls, asked: Path | None = None, environ: Mapping[str, str] = os.environ) -> Home:
        """`asked`, else $ALLTALK_HOME, else the checkout this code runs from, else ~/.alltalk."""
        if asked is not None:
            return cls(asked.expanduser().resolve())
        if named := environ.get("ALLTALK_HOME"):
            return cls(Path(named).expanduser().resolve())
        checkout = Path(__file__).resolve().parent.parent
        if (checkout / "engines").is_dir() and (checkout / "pyproject.toml").is_file():
            return cls(checkout)
        return cls(Path.home() / ".alltalk")

    @property
    def config_file(self) -> Path:
        """The settings."""
        return self.root / "confignew.json"

    @property
    def backends_file(self) -> Path:
        """The list of backends, and which is current."""
        return self.root / "backends.json"

    @property
    def engines(self) -> Path:
        """Engines' folders: code of the user's own, settings and models of any."""
        return self.root / "engines"

    @property
    def voices(self) -> Path:
        """Reference audio and engines' own voice files."""
        return self.root / "voices"

    @property
    def voices_file(self) -> Path:
        """More voices by name: path in `voices` of each."""
        return self.root / "voices.json"

    @property
    def rvc_models(self) -> Path:
        """Voice conversion models."""
        return self.root / "rvc_models"

    @property
    def documents(self) -> Path:
        """Long texts, and what was spoken of them."""
        return self.root / "documents"

    def environment(self, engine: str) -> Path:
        """The Python environment of an engine that has its own."""
        return self.root / ".environments" / engine

    def interpreter(self, engine: str) -> Path:
        """The Python of that environment; it is there once the environment is complete."""
        return interpreter_of(self.environment(engine))

    def outputs(self, folder: str = "outputs") -> Path:
        """Finished files: `folder`, relative to the root unless absolute."""
        return self.root / Path(folder).expanduser()

    def create(self) -> None:
        """Make the folders that are missing. Raises StorageError."""
        for folder in (self.root, self.engines, self.voices, self.rvc_models):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                why = (error.strerror or str(error)).lower()
                raise StorageError(f"Could not make the folder {folder}: {why}.") from error


def interpreter_of(environment: Path) -> Path:
    """The Python in a virtual environment."""
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def safe_name(name: str) -> str:
    """`name` if it names a file inside one folder on every system; raises UnsafeName otherwise."""
    if not name or not name.strip(". "):
        raise UnsafeName(name, "it is empty")
    if any(ord(character) < 32 or ord(character) == 127 for character in name):
        raise UnsafeName(name, "it has control characters")
    if any(character in '/\\:<>"|?*' for character in name):
        raise UnsafeName(name, 'none of / \\ : < > " | ? * may be in it')
    if len(name.encode()) > 200:
        raise UnsafeName(name, "it is longer than 200 bytes")
    if _RESERVED.fullmatch(name):
        raise UnsafeName(name, "Windows keeps that name for a device")
    return name
