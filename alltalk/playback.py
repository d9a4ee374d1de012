"""Playing sound on this machine's own speaker, with whatever player it has."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from alltalk.errors import NotFound, SynthesisFailed

_PLAYERS: tuple[tuple[str, ...], ...] = (
    ("pw-play",),
    ("paplay",),
    ("aplay", "-q"),
    ("afplay",),
    ("play", "-q"),
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "error"),
)
_WINDOWS = (
    "powershell",
    "-NoProfile",
    "-Command",
    "(New-Object System.Media.SoundPlayer $args[0]).PlaySync()",
)


def find_player() -> tuple[str, ...] | None:
    """The command that plays a wav file given as its last argument; None when there is none."""
    if sys.platform == "win32":
        return _WINDOWS
    return next((player for player in _PLAYERS if shutil.which(player[0])), None)


def play(wav: Path) -> None:
    """Play `wav` to its end. Raises NotFound without a player, SynthesisFailed when it fails."""
    player = find_player()
    if player is None:
        raise NotFound("No player was found on this machine. Write a file instead, with -o FILE.")
    done = subprocess.run([*player, str(wav)], capture_output=True, text=True, check=False)
    if done.returncode:
        why = done.stderr.strip().splitlines()
        raise SynthesisFailed(
            f"{player[0]} could not play the sound: {why[-1] if why else done.returncode}. "
            "Write a file instead, with -o FILE."
        )
