"""Tone with slots: each step says one word of every open stream."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from alltalk.engine import Event, Utterance, Voice
from alltalk.errors import NoRoom

from .plain import Line, Tone


@dataclass(eq=False, slots=True)
class Spoken:
    """An open stream: an utterance, and how much of it was said."""

    line: Line
    said: int = 0


class ToneBatch:
    """Many utterances share a step, which takes as long for all as for one."""

    def __init__(self, tone: Tone) -> None:
        self._tone = tone
        self._open: list[Spoken] = []
        self.capabilities = tone.capabilities
        self.slots = tone.settings.slots

    def voices(self) -> Sequence[Voice]:
        """As of the plain engine."""
        return self._tone.voices()

    def prepare(self, utterance: Utterance) -> Line:
        """Raises UnknownVoice, UnknownLanguage, UnreadableClip."""
        return self._tone.prepare(utterance)

    def open(self, prepared: Line) -> Spoken:
        """Raises NoRoom when all slots are taken, or `room` has no place for its words."""
        room = self._tone.settings.room
        words = len(prepared.words) + sum(len(spoken.line.words) for spoken in self._open)
        if len(self._open) >= self.slots or (room and words > room):
            raise NoRoom(f"{len(self._open)} utterances are open; {words} words need room.")
        self._open.append(Spoken(prepared))
        return self._open[-1]

    def step(self) -> Sequence[Event]:
        """One word each. The word `crash` fails all streams, other faults their own."""
        time.sleep(self._tone.settings.step_s)
        return [self._next(spoken) for spoken in self._open]

    def close_stream(self, stream: Spoken) -> None:
        """Give its slot to the next."""
        self._open.remove(stream)

    def rest(self) -> None:
        """Refuse to speak until woken."""
        self._tone.rest()

    def wake(self) -> None:
        """Speak again."""
        self._tone.wake()

    def close(self) -> None:
        """Forget all streams."""
        self._open.clear()

    def _next(self, spoken: Spoken) -> Event:
        words = spoken.line.words
        if spoken.said == len(words):
            return Event(spoken, done=True)
        word = words[spoken.said]
        spoken.said += 1
        done = spoken.said == len(words)
        try:
            return Event(spoken, self._tone.say(word, spoken.line), done)
        except Exception as error:
            if word.text == "crash":
                raise
            return Event(spoken, done=True, error=error)
