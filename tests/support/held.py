"""The tone engine, held: work that cannot end before a test has looked at it."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from alltalk.engines.tone.plain import HEARTBEAT_S, Tone


class HeldEngine:
    """Every plain Tone of this process says no further word until `let_speak`.

    It shows signs of life meanwhile, so a request that is cancelled leaves it.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._speaks = threading.Event()
        monkeypatch.setattr(Tone, "_work", lambda tone: self._wait())

    def let_speak(self) -> None:
        """From now on each word takes no time."""
        self._speaks.set()

    def _wait(self) -> Generator[None]:
        while not self._speaks.wait(HEARTBEAT_S):
            yield None
