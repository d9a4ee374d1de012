"""Writes engines/piper/available_models.json from the list of voices that Piper publishes.

    python scripts/piper_catalogue.py voices.json

`voices.json` is the one of https://huggingface.co/rhasspy/piper-voices: by key, each voice's
language, quality, speakers, and its files with sizes and MD5 digests.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BASE = "https://huggingface.co/rhasspy/piper-voices/resolve/main/"
RECOMMENDED = "en_US-lessac-medium"
TARGET = Path(__file__).resolve().parent.parent / "engines/piper/available_models.json"


def main() -> None:
    """Read the file named on the command line and replace the catalogue."""
    voices = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    lines = [json.dumps(_entry(voices[key]), ensure_ascii=False) for key in sorted(voices)]
    body = ",\n    ".join(lines)
    TARGET.write_text(
        f'{{\n  "base_url": "{BASE}",\n  "models": [\n    {body}\n  ]\n}}\n', encoding="utf-8"
    )


def _entry(voice: Mapping[str, Any]) -> dict[str, Any]:
    language = voice["language"]
    # The sound's description first, the network last: a voice is there once its .onnx is.
    paths = sorted((p for p in voice["files"] if not p.endswith("MODEL_CARD")), reverse=True)
    card = next(path for path in voice["files"] if path.endswith("MODEL_CARD"))
    entry = {
        "name": voice["key"],
        "description": _description(voice),
        "languages": [language["code"].lower().replace("_", "-")],
        "licence": "its own, see the voice's card",
        "licence_url": BASE + card,
        "folder": "",
        "files": [_file(path, voice["files"][path]) for path in paths],
    }
    return entry | ({"recommended": True} if voice["key"] == RECOMMENDED else {})


def _description(voice: Mapping[str, Any]) -> str:
    language, speakers = voice["language"], voice["num_speakers"]
    text = f"{language['name_english']} ({language['country_english']}), {voice['quality']}"
    return text + (f", {speakers} speakers" if speakers > 1 else "")


def _file(path: str, published: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "path": Path(path).name,
        "url": path,
        "size": published["size_bytes"],
        "md5": published["md5_digest"],
    }


if __name__ == "__main__":
    main()
