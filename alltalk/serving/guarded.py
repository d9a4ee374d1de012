"""Guarded: an engine of either kind, held to the protocol, whatever its code does."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from alltalk.engine import BatchEngine, Chunk, Engine, Event, Prepared, Stream, Utterance
from alltalk.errors import (
    AllTalkError,
    EngineError,
    NoRoom,
    OutOfMemory,
    SynthesisFailed,
    rebuild,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """An `Event` that holds: its chunk is sound, its error may be shown."""

    stream: Stream
    chunk: Chunk | None = None
    done: bool = False
    error: AllTalkError | None = None


class Guarded:
    """A `BatchEngine` over any engine. Only `prepare` and `open` raise, and only AllTalkErrors.

    A plain `Engine` becomes one with a single slot. `step` reports each stream's end exactly once,
    and passes only chunks of finite samples at one sample rate within a stream, none of them empty.
    """

    def __init__(self, engine: Engine | BatchEngine, name: str) -> None:
        """`name` is told in errors."""
        self._engine: BatchEngine | _Solo
        self._engine = engine if isinstance(engine, BatchEngine) else _Solo(engine)
        self._name = name
        self._rates: dict[Stream, int | None] = {}
        """Streams that have not ended → Hz, once known."""

    @property
    def slots(self) -> int:
        """Streams that may be open at once."""
        return max(1, self._engine.slots)

    def prepare(self, utterance: Utterance) -> Prepared:
        """As the engine's. Raises AllTalkError."""
        try:
            return self._engine.prepare(utterance)
        except BaseException as error:
            raise failure(error, self._name) from error

    def open(self, prepared: Prepared) -> Stream:
        """As the engine's. Raises NoRoom while others are open, OutOfMemory when alone."""
        try:
            stream = self._engine.open(prepared)
        except NoRoom as error:
            if self._rates:
                raise
            raise OutOfMemory(f"{self._name} has no room for this text, even alone.") from error
        except BaseException as error:
            raise failure(error, self._name) from error
        self._rates[stream] = None
        return stream

    def step(self) -> Sequence[Outcome]:
        """As the engine's, but what it raises ends all open streams as events."""
        passed: list[Outcome] = []
        try:
            for event in self._engine.step():
                if event.stream in self._rates:
                    passed.append(self._check(event))
        except BaseException as error:
            passed += [self._fail(stream, error) for stream in list(self._rates)]
        return passed

    def close_stream(self, stream: Stream) -> None:
        """As the engine's. What it raises is logged: the utterance has ended already."""
        self._rates.pop(stream, None)
        try:
            self._engine.close_stream(stream)
        except BaseException:
            _log.warning("%s failed to free an utterance", self._name, exc_info=True)

    def _check(self, event: Event) -> Outcome:
        """`event`, or the failure that it is."""
        if event.error is not None:
            return self._fail(event.stream, event.error)
        if event.chunk is not None and (wrong := self._fault(event.stream, event.chunk)):
            return self._fail(event.stream, SynthesisFailed(f"{self._name} {wrong}."))
        if event.done:
            del self._rates[event.stream]
        return Outcome(event.stream, _unless_empty(event.chunk), event.done)

    def _fault(self, stream: Stream, chunk: object) -> str | None:
        """What is wrong with `chunk`, as the rest of a sentence; None: nothing."""
        if not isinstance(chunk, Chunk):
            return f"yielded {type(chunk).__name__} instead of a Chunk"
        rate = self._rates[stream] or chunk.audio.sample_rate
        if chunk.audio.sample_rate != rate:
            return f"went from {rate} to {chunk.audio.sample_rate} Hz within an utterance"
        if not np.isfinite(chunk.audio.samples).all():
            return "made sound that is not finite (NaN or infinity)"
        self._rates[stream] = rate
        return None

    def _fail(self, stream: Stream, error: BaseException) -> Outcome:
        self._rates.pop(stream, None)
        return Outcome(stream, done=True, error=failure(error, self._name))


def failure(
    error: BaseException, name: str, kind: type[EngineError] = SynthesisFailed
) -> AllTalkError:
    """`error`, raised by the code of the engine called `name`, as one that a caller may see.

    Ours pass, as copies: one exception raised to two callers mixes their tracebacks. Out of
    memory, by Python or by a library (torch, CuPy: known by the class's name, as none of them is
    imported here), becomes OutOfMemory, and anything else `kind`. `error` is the cause.
    """
    mended: AllTalkError
    if isinstance(error, AllTalkError) and not isinstance(error, NoRoom):
        ours = next(cls for cls in type(error).__mro__ if cls.__module__ == rebuild.__module__)
        mended = rebuild(ours.__name__, str(error))
    elif isinstance(error, NoRoom) or _is_out_of_memory(error):
        mended = OutOfMemory(f"{name} ran out of memory{_said(error)}")
        error.__traceback__ = None  # its frames hold what did not fit
    else:
        mended = kind(f"{name} failed with {type(error).__name__}{_said(error)}")
    mended.__cause__ = error
    return mended


def _unless_empty(chunk: Chunk | None) -> Chunk | None:
    return chunk if chunk is not None and (len(chunk.audio) or chunk.marks) else None


def _is_out_of_memory(error: BaseException) -> bool:
    names = {cls.__name__ for cls in type(error).__mro__}
    return not names.isdisjoint(("MemoryError", "OutOfMemoryError"))


def _said(error: BaseException) -> str:
    """The first line of what `error` says, as the end of a sentence."""
    first = str(error).strip().partition("\n")[0].strip().rstrip(".")
    return f": {first[:300]}." if first else "."


class _Solo:
    """A plain engine as a batch engine of one slot: a step is the generator's next item."""

    slots = 1

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._speaking: Generator[Chunk | None] | None = None

    def prepare(self, utterance: Utterance) -> Utterance:
        return utterance

    def open(self, utterance: Utterance) -> Generator[Chunk | None]:
        self._speaking = self._engine.synthesize(utterance)
        return self._speaking

    def step(self) -> Sequence[Event]:
        if self._speaking is None:
            return ()
        try:
            return (Event(self._speaking, next(self._speaking)),)
        except StopIteration:
            return (Event(self._speaking, done=True),)

    def close_stream(self, stream: Generator[Chunk | None]) -> None:
        self._speaking = None
        stream.close()
