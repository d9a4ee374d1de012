"""The child: one engine's loop, spoken to over stdin and stdout (see `alltalk.serving.wire`).

Runs in the engine's environment, so it imports nothing but the standard library, numpy and the
modules that need no more. It leaves when stdin ends, which is also how it notices that the server
has died.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, BinaryIO

from alltalk.engine import BatchEngine, Engine, Restable
from alltalk.home import Home
from alltalk.registry import Registry
from alltalk.serving import wire
from alltalk.serving.loop import Delivery, EngineLoop

BEAT_S = 0.5
"""Seconds between two looks at whether the engine makes progress."""
CLOSE_S = 3.0
"""Seconds that the engine has to close once the server is gone."""

_log = logging.getLogger(__name__)


def main() -> None:
    """Speak for the server at the other end of stdin and stdout, until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    down, up = _take_pipes()
    exit_code = 0
    try:
        _serve(down, Outbox(up))
    except wire.BadFrame as error:
        _log.error("the server sent what is no message: %s", error)
        exit_code = 1
    # Not sys.exit: threads and exit handlers of an engine's libraries must not hold the process.
    os._exit(exit_code)


class Outbox:
    """Writes from a thread of its own, so that a step never waits for a server that is busy."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._write, name="outbox", daemon=True).start()

    def send(self, message: wire.Up) -> None:
        """Write one message, in order, some time soon."""
        self._waiting.put(wire.encode(message))

    def send_frames(self, frames: bytes) -> None:
        """Write frames that are encoded already."""
        self._waiting.put(frames)

    def _write(self) -> None:
        try:
            while True:
                self._pipe.write(self._waiting.get())
                self._pipe.flush()
        except OSError:  # nobody reads any more; the main thread sees stdin end
            return


class EngineProcess:
    """The engine's loop, told by the server's messages what to do."""

    def __init__(self, load: wire.Load, outbox: Outbox) -> None:
        self._what, self._outbox = load, outbox
        self._asked = False
        """Something was to be spoken since the last look of the beat."""
        self._loop = EngineLoop(self._load, self._deliver, name=load.engine)
        self._loop.loaded.add_done_callback(self._tell_loaded)
        self._loop.start()
        threading.Thread(target=self._beat, name="beat", daemon=True).start()

    def obey(self, message: wire.Down) -> None:
        """Do what the server asked for. Never blocks. Raises BadFrame for a second Load."""
        match message:
            case wire.Speak(job):
                self._asked = True
                self._loop.submit(job)
            case wire.Cancel(job_id):
                self._loop.cancel(job_id)
            case wire.Rest():
                self._loop.between(_rest).add_done_callback(self._tell_rested)
            case wire.Wake():
                self._loop.between(_wake).add_done_callback(self._tell_rested)
            case wire.Load():
                raise wire.BadFrame("an engine is loaded already")

    def close(self) -> None:
        """Drop what is spoken and close the engine, if that can be done within CLOSE_S."""
        self._loop.close(0.0, settle_s=CLOSE_S)

    def _load(self) -> Engine | BatchEngine:
        what = self._what
        registry = Registry(Home(what.home))
        engine = registry.load(what.engine, what.model, what.place, what.settings)
        voices = tuple(engine.voices())
        self._ready = wire.Ready(engine.capabilities, voices, isinstance(engine, Restable))
        return engine

    def _tell_loaded(self, loaded: Future[Engine | BatchEngine]) -> None:
        error = loaded.exception()
        self._outbox.send(self._ready if error is None else wire.failure(error))

    def _tell_rested(self, asked: Future[None]) -> None:
        error = asked.exception()
        self._outbox.send(wire.Rested() if error is None else wire.failure(error))

    def _deliver(self, deliveries: Sequence[Delivery]) -> None:
        frames: list[bytes] = []
        for each in deliveries:
            if each.chunk is not None:
                frames += wire.encode_chunk(each.job.id, each.chunk)
            if each.error is not None:
                frames.append(wire.encode(wire.failure(each.error, each.job.id)))
            elif each.done:
                frames.append(wire.encode(wire.Done(each.job.id)))
        self._outbox.send_frames(b"".join(frames))

    def _beat(self) -> None:
        """Beat while there is something to speak and steps end; say nothing when one does not."""
        pause, seen = threading.Event(), self._loop.last_step_at
        while not pause.wait(BEAT_S):
            asked, self._asked = self._asked, False
            step = self._loop.last_step_at
            idle = step is None and not self._loop.waiting
            if step != seen or (asked and idle):
                self._outbox.send(wire.Beat())
            seen = step


def _serve(down: BinaryIO, outbox: Outbox) -> None:
    """Obey the messages from `down` until it ends. Raises BadFrame."""
    load = wire.decode_down(down.readline(wire.MAX_LINE + 1))
    if not isinstance(load, wire.Load):
        raise wire.BadFrame(f"{type(load).__name__} before Load")
    process = EngineProcess(load, outbox)
    while line := down.readline(wire.MAX_LINE + 1):
        process.obey(wire.decode_down(line))
    process.close()


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The server's ends of stdin and stdout.

    From then on fd 0 is empty and fd 1 is stderr: models print, and their helper programs read.
    """
    down, up = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return down, up


def _rest(engine: Any) -> None:
    engine.rest()


def _wake(engine: Any) -> None:
    engine.wake()
