"""Autoplay: finished files on this machine's own speaker, one after the other, in the background.

Nobody waits for it, and a machine without a sound device serves as well as any: that is said once
in the log.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import closing
from pathlib import Path

import numpy as np

from alltalk.audio import Audio, to_pcm16
from alltalk.clips import decode
from alltalk.encode import wav_header
from alltalk.errors import AllTalkError, NotFound
from alltalk.playback import find_player, play
from alltalk.scratch import Scratch
from alltalk.serving.lane import Lane

logger = logging.getLogger(__name__)

LONGEST_S = 3600.0
"""Seconds of sound that are played."""
MOST_WAITING = 32
"""Files in line; more are not played: they would be heard minutes late."""


class Autoplay:
    """One speaker and its line. Lives on the event loop."""

    def __init__(self) -> None:
        self._lane: Lane | None = None
        self._playing: set[asyncio.Task[None]] = set()
        self._told = ""

    async def finished(self) -> None:
        """Return when nothing is in line and nothing sounds."""
        await asyncio.gather(*self._playing)

    def play(self, file: Path, volume: float) -> None:
        """Play `file` after those before it, `volume` (0 to 1) times as loud. Returns at once."""
        if len(self._playing) >= MOST_WAITING:
            logger.warning("%s is not played: %d files are in line.", file.name, MOST_WAITING)
            return
        task = asyncio.create_task(self._play(file, volume), name="autoplay")
        self._playing.add(task)
        task.add_done_callback(self._playing.discard)

    def close(self) -> None:
        """Play nothing more; what sounds now ends by itself."""
        for task in self._playing:
            task.cancel()
        if self._lane is not None:
            self._lane.close()

    async def _play(self, file: Path, volume: float) -> None:
        self._lane = self._lane or Lane("autoplay")
        try:
            await self._lane.run(_play_at, file, volume)
        except AllTalkError as error:
            if str(error) != self._told:
                logger.warning("Autoplay: %s Speech is served without it.", error)
            self._told = str(error)
        else:
            self._told = ""


def _play_at(file: Path, volume: float) -> None:
    """Play a quieter copy: the players do not agree on how to be told a volume."""
    if find_player() is None:
        raise NotFound("This machine has no player for sound.")
    audio = _decoded(file)
    quieter = to_pcm16(Audio(audio.samples * np.float32(volume), audio.sample_rate))
    with closing(Scratch()) as scratch:
        wav = scratch.path / "autoplay.wav"
        wav.write_bytes(wav_header(audio.sample_rate, len(audio)) + quieter.tobytes())
        play(wav)


def _decoded(file: Path) -> Audio:
    """Raises NotFound, UnreadableClip."""
    try:
        with file.open("rb") as opened:
            return decode(opened, file.name, LONGEST_S)
    except OSError as error:  # whoever asked for the file may have moved it already
        raise NotFound(f"{file.name} is gone.") from error
