"""Voices by name: each a description of how somebody speaks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from alltalk.errors import ConfigError

FILE_NAME = "parler_voices.json"


def read_voices(folder: Path) -> Mapping[str, str]:
    """Name → description, in the file's order; from `folder` if it has a file of its own.

    The file is AllTalk V2's: {"voices": [{"voice_name": "…", "description": "…"}]}. Raises
    ConfigError, which names it.
    """
    own = folder / FILE_NAME
    file = own if own.is_file() else Path(__file__).with_name(FILE_NAME)
    try:
        voices = json.loads(file.read_text(encoding="utf-8-sig"))["voices"]
        named = {str(each["voice_name"]): str(each["description"]).strip() for each in voices}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ConfigError(f"{file} holds no voices: {error!r}") from error
    return {name: description for name, description in named.items() if name and description}
