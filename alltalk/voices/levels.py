"""How loud each clip is: measured once for its content, and kept."""

from __future__ import annotations

import json
import math
from collections.abc import Container
from pathlib import Path

from alltalk.clips import TARGET_LUFS
from alltalk.draft import write_whole

_MOST_DB = 12.0
"""More would raise noise, or mean that the clip is no example of how its engine speaks."""


class Levels:
    """Digest of a voice's clips → their loudness, in a hidden file beside them."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lufs = _read(file)

    def __contains__(self, digest: str) -> bool:
        return digest in self._lufs

    def gain_db(self, digest: str) -> float:
        """What brings speech as loud as the clips to the common loudness; 0 while not measured."""
        lufs = self._lufs.get(digest, TARGET_LUFS)
        gain = min(max(TARGET_LUFS - lufs, -_MOST_DB), _MOST_DB)
        return 0.0 if math.isclose(gain, 0.0, abs_tol=0.05) else round(gain, 1)

    def note(self, digest: str, lufs: float) -> None:
        """Remember `lufs`; that of silence is no level at all."""
        if math.isfinite(lufs):
            self._lufs = {**self._lufs, digest: round(lufs, 1)}

    def save(self, known: Container[str]) -> None:
        """Write those whose digest is `known`, and forget the others. Raises StorageError."""
        self._lufs = {digest: lufs for digest, lufs in self._lufs.items() if digest in known}
        write_whole(self._file, json.dumps(self._lufs, indent=1).encode())


def _read(file: Path) -> dict[str, float]:
    """What the file says; nothing where it cannot be read: it is then measured again."""
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {digest: lufs for digest, lufs in content.items() if isinstance(lufs, float)}
