"""The tone engine, held: work that cannot end before a test has looked at it."""

from __future__ import annotations

import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from alltalk.engines.tone.plain import HEARTBEAT_S, Tone


class HeldEngine:
    """Every plain Tone of this process says no further word until `let_speak`.

    It shows signs of life meanwhile, so a request that is cancelled leaves it.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._speaks, self._words = threading.Event(), threading.Semaphore(0)
        monkeypatch.setattr(Tone, "_work", lambda tone: self._wait())

    def let_speak(self, words: int = 0) -> None:
        """From now on each word takes no time; or so many, and the next one waits again."""
        if words:
            self._words.release(words)
        else:
            self._speaks.set()

    def _wait(self) -> Generator[None]:
        while not (self._speaks.is_set() or self._words.acquire(timeout=HEARTBEAT_S)):
            yield None


class HeldHome:
    """A home whose engine `held` is Tone, but waits at each word `hold`, and before it loads.

    It waits while a file of the home is missing, so that a test may hold a server of another
    process; it shows signs of life meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._speaks, self._loads = path / "speaks", path / "loads"
        self._loading = path / "loading"
        folder = path / "engines" / "held"
        folder.mkdir(parents=True)
        (folder / "engine.py").write_text(
            ENGINE.format(
                speaks=str(self._speaks), loads=str(self._loads), loading=str(self._loading)
            )
        )
        (folder / "model_settings.json").write_text(
            '{"alltalk": {"models": {"fixed": ["tone-a", "tone-b"]}}}'
        )
        self._loads.touch()

    def let_speak(self) -> None:
        """Go on past each `hold`, now and later."""
        self._speaks.touch()

    def hold(self) -> None:
        """Wait at each `hold` from now on."""
        self._speaks.unlink(missing_ok=True)

    def let_load(self) -> None:
        """Load what loads, now and later."""
        self._loads.touch()

    def hold_loads(self) -> None:
        """Let nothing load from now on."""
        self._loading.unlink(missing_ok=True)
        self._loads.unlink(missing_ok=True)

    def is_loading(self) -> bool:
        """Whether a load has come to `hold_loads` since."""
        return self._loading.exists()


ENGINE = """
import time
from pathlib import Path

from alltalk.engines.tone.plain import HEARTBEAT_S, Settings, Tone

SPEAKS, LOADS, LOADING = Path({speaks!r}), Path({loads!r}), Path({loading!r})


class Held(Tone):
    def synthesize(self, utterance):
        line = self.prepare(utterance)
        for word in line.words:
            while word.text == "hold" and not SPEAKS.exists():
                time.sleep(HEARTBEAT_S)
                yield None
            yield self.say(word, line)


def load(folder, model, place, settings):
    while not LOADS.exists():
        LOADING.touch()
        time.sleep(HEARTBEAT_S)
    return Held(model, Settings.of(settings))
"""
