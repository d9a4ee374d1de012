"""Speaks with an engine whose home nobody may write to: `python read_only.py HOME ENGINE`.

Root may write anywhere, so that Python itself refuses, as the system would. Prints how many samples
were spoken. Runs in an engine's own environment, too.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from alltalk.engine import BatchEngine, Engine, Place, Utterance
from alltalk.home import Home
from alltalk.registry import Registry

SCRIPT = __file__
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGING = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod")


def content(folder: Path) -> dict[Path, tuple[int, int]]:
    """Each file → its size, and when it was changed."""
    states = {file: file.stat() for file in folder.rglob("*")}
    return {file: (state.st_size, state.st_mtime_ns) for file, state in states.items()}


def main(home: Path, name: str) -> None:
    """Speak a sentence with the first model and voice of the engine."""
    forbid_writing(home)
    try:
        (home / "probe").write_text("")
        sys.exit("the folder can be written to")
    except PermissionError:
        pass
    registry = Registry(Home(home))
    engine = registry.load(name, registry.models(name)[0], Place(), {})
    voice = engine.voices()[0]
    print(spoken(engine, Utterance("We are all away.", voice, voice.language)))


def forbid_writing(folder: Path) -> None:
    """From now on this process changes nothing in `folder`."""

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            changes = isinstance(flags, int) and bool(flags & WRITING)
        else:
            path, changes = (arguments or (None,))[0], event in CHANGING
        if not changes or not isinstance(path, str | bytes):
            return
        if Path(os.fsdecode(path)).is_relative_to(folder):
            raise PermissionError(13, "Permission denied", path)

    sys.addaudithook(refuse)


def spoken(engine: Engine | BatchEngine, utterance: Utterance) -> int:
    """How many samples the engine says."""
    if not isinstance(engine, BatchEngine):
        return sum(len(chunk.audio) for chunk in engine.synthesize(utterance) if chunk)
    engine.open(engine.prepare(utterance))
    samples, done = 0, False
    while not done:
        for event in engine.step():
            assert event.error is None, event.error
            samples += len(event.chunk.audio) if event.chunk else 0
            done |= event.done
    return samples


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
