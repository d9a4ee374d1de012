"""Studio: where voices are made, changed and measured, while others are being served."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar

from alltalk.clips import OneOffVoice
from alltalk.config import Voices
from alltalk.engine import Voice
from alltalk.errors import UnreadableClip
from alltalk.home import Home
from alltalk.serving.lane import Lane
from alltalk.voices import Added, NewVoice, Reloaded, VoiceLibrary, VoiceRegistry

logger = logging.getLogger(__name__)

PREVIEW = "The quick brown fox jumps over the lazy dog. How does this voice sound to you?"
"""What every preview says: all letters of the alphabet, and a question."""

P = ParamSpec("P")
R = TypeVar("R")


class Studio:
    """The library's changes and one-off clips, off the event loop.

    All on one lane of its own: a clip of minutes takes a second to decode and 60 MB, which neither
    speech under way nor the machine's memory should notice.
    """

    def __init__(self, home: Home, library: VoiceLibrary, limits: Callable[[], Voices]) -> None:
        """`limits`: the settings in force now."""
        self.folder: Path = home.voices
        self._library, self._limits = library, limits
        self._registry = VoiceRegistry(home, library)
        self._lane = Lane("voices")

    def recorded(self) -> Mapping[str, Voice]:
        """Whom there are recordings of, by name, whatever engine speaks now. Blocking."""
        return self._library.scan()

    @property
    def largest_bytes(self) -> int:
        """Of one uploaded file."""
        return self._limits().max_upload_mb * 1024 * 1024

    async def run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What `call` returns, made where it blocks nobody."""
        return await self._lane.run(call, *args, **kwargs)

    async def one_off(self, file: BinaryIO, name: str, transcript: str = "") -> OneOffVoice:
        """A voice for one request; whoever asks for it closes it. Raises UnreadableClip."""
        return await self.run(OneOffVoice, file, name, self._limits().max_clip_s, transcript)

    async def add(self, new: NewVoice) -> Added:
        """As `VoiceRegistry.add`."""
        return await self.run(self._registry.add, new, self._limits().max_clip_s)

    async def remove(self, name: str) -> Voice:
        """As `VoiceRegistry.remove`."""
        return await self.run(self._registry.remove, name)

    async def change(self, name: str, *, to: str = "", transcript: str | None = None) -> Voice:
        """As `VoiceRegistry.change`."""
        return await self.run(self._registry.change, name, to=to, transcript=transcript)

    async def reload(self) -> Reloaded:
        """As `VoiceLibrary.reload`."""
        return await self.run(self._library.reload)

    async def measure(self) -> None:
        """Measure the clips that nobody has measured yet, one a turn: uploads go between."""
        for voice in await self.run(self._library.unmeasured):
            try:
                await self.run(self._library.measure, voice)
            except (UnreadableClip, OSError) as error:
                logger.warning("Voice %s cannot be used: %s", voice.name, error)
        await self.run(self._library.keep_levels)

    def close(self) -> None:
        """Begin nothing more."""
        self._lane.close()


def not_heard(voice: Voice, voices: Sequence[Voice]) -> str:
    """What to know of `voice` when it is none of the current engine's `voices`; else nothing."""
    if any(each.name == voice.name for each in voices):
        return ""
    return "The current engine does not speak as recorded voices; another one will."
