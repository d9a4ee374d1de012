"""The seam between AllTalk and a text-to-speech engine.

An engine is a folder with a `model_settings.json` (its `Manifest`) and an `engine.py` that offers

    def load(folder: Path, model: str, place: Place, settings: Mapping[str, object]) -> Engine

An engine knows this module, `alltalk.audio` and `alltalk.errors` (and `alltalk.figures`, if it
measures itself); nothing of HTTP, configuration or other engines. Its methods block. All of them,
`load` included, are called from one owning thread (`prepare` of a `BatchEngine` excepted).
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from alltalk.audio import Audio
from alltalk.setting_schema import SettingSchema


@dataclass(frozen=True, slots=True)
class Voice:
    """Somebody an engine can speak as."""

    name: str
    """As listed and as requested, e.g. `female_01.wav` or `en_US-ljspeech-high.onnx`."""
    language: str = ""
    """Language tag the voice speaks by nature (`en-us`); empty: any."""
    clips: tuple[Path, ...] = ()
    """Reference audio to clone from; empty for voices that are part of the model."""
    digest: str = ""
    """SHA-256 over the clips' content: what is computed from them is kept under this key."""
    transcript: str = ""
    """What is said in the first clip, where known."""
    gain_db: float = 0.0
    """Gain that brings the voice to the common loudness."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a model draws. None leaves it to the engine's settings."""

    seed: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float | None = None


@dataclass(frozen=True, slots=True)
class Utterance:
    """Text one voice speaks in one go: all that an engine is told."""

    text: str
    voice: Voice
    language: str
    """Language tag in lower case (`en`, `zh-cn`); empty: the voice's own."""
    speed: float = 1.0
    """Ratio, 1.0 = as the voice speaks by nature. Within `Capabilities.speed`."""
    pitch: float = 0.0
    """Semitones. Within `Capabilities.pitch`."""
    sampling: Sampling = Sampling()
    instructions: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A word: when it starts, and which characters of the utterance's text it is."""

    at_s: float
    start: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """A piece of streamed sound, and the words that begin in it."""

    audio: Audio
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where to run."""

    device: str = "cpu"
    """`cpu`, `cuda`, `cuda:1`, …"""
    threads: int = 1
    """The share of the processor's cores that is this engine's."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do, as data. Nobody asks for its name."""

    streaming: bool = False
    """Sound leaves inside an utterance, not only at its end."""
    cloning: bool = False
    """Speaks as the voice of a reference clip."""
    languages: tuple[str, ...] = ()
    """Language tags; empty: the voice decides, and a request's language is ignored."""
    speed: tuple[float, float] | None = None
    """Range of speeds the engine renders itself; None: none, effects do it."""
    pitch: tuple[float, float] | None = None
    """Range of semitones the engine renders itself; None: none, effects do it."""
    sampling: frozenset[str] = frozenset()
    """Those of temperature, top_k, top_p, repetition_penalty that matter to it."""
    seed: bool = False
    """The same seed gives the same sound."""
    instructions: bool = False
    marks: bool = False
    low_vram: bool = False
    deepspeed: bool = False
    max_chars: int = 250
    """Longest text of one utterance, characters."""
    concurrency: int = 1
    """Utterances spoken side by side by as many owning threads over one loaded model."""
    slots: int = 1
    """Utterances that share one step (BatchEngine)."""
    variants: tuple[str, ...] = ()
    """Timbres that may follow a voice's name after a `+`, e.g. `en-us+Annie`."""
    free_voices: bool = False
    """Any text is a voice, such as a description of one."""


@dataclass(frozen=True, slots=True)
class ModelRule:
    """What files make a model of an engine, and how it is listed."""

    fixed: tuple[str, ...] = ()
    """Models that need no files of their own."""
    needs: tuple[str, ...] = ()
    """Glob patterns below the home; without a match of one, the fixed models are not there."""
    folder: str = "models"
    """Where models lie, below the engine's folder: one folder each."""
    files: tuple[str, ...] = ()
    """Files every model has."""
    any_of: tuple[tuple[str, ...], ...] = ()
    """Groups of glob patterns, of each of which one must match."""
    labels: tuple[str, ...] = ("{name}",)
    """How a model is listed, `{name}` being its folder; several: several entries."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """An engine as its `model_settings.json` describes it, read without importing it."""

    name: str
    display_name: str
    description: str = ""
    manufacturer: str = ""
    website: str = ""
    capabilities: Capabilities = Capabilities()
    """As far as known before loading; a loaded engine states its own."""
    models: ModelRule = ModelRule()
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Defaults by V2's names (`def_character_voice`, `temperature_set`, …) and the engine's own."""
    settings_schema: Mapping[str, SettingSchema] = field(default_factory=dict)
    """What those of them mean and may be that say so."""
    openai_voices: Mapping[str, str] = field(default_factory=dict)
    """OpenAI's voice names → voices of this engine."""
    shipped_voices: Mapping[str, str] = field(default_factory=dict)
    """Names of the voices that AllTalk V2 ships → voices of this engine."""
    requires: tuple[str, ...] = ()
    """Import names that must be there, e.g. `espeakng_loader`."""
    extra: str = ""
    """The extra of AllTalk that brings them (`pip install alltalk[xtts]`)."""
    environment: Literal["shared", "own"] = "shared"
    """`own`: runs only in a Python environment of its own, in a worker."""
    hidden: bool = False
    """Shown to users only when asked for by name."""
    platforms: tuple[str, ...] = ("windows", "linux", "mac")


@runtime_checkable
class Engine(Protocol):
    """One loaded model. An engine that exists is loaded; a restart is another object."""

    capabilities: Capabilities

    def voices(self) -> Sequence[Voice]:
        """The voices that are part of the model; cloned ones come with the utterance."""
        ...

    def synthesize(self, utterance: Utterance) -> Generator[Chunk | None]:
        """Speak `utterance`; yield each chunk as soon as it is ready, or all of it at once.

        Yields None while working without sound, so that a caller who left is noticed.
        Chunks share one sample rate. A caller that has heard enough closes the generator:
        free what belongs to the utterance in `finally`. Raises UnknownVoice, UnknownLanguage.
        """
        ...

    def close(self) -> None:
        """Free the model."""
        ...


@runtime_checkable
class Restable(Protocol):
    """An engine whose weights can wait outside the accelerator's memory."""

    def rest(self) -> None:
        """Move the weights to the CPU; only called between utterances."""
        ...

    def wake(self) -> None:
        """Move them back."""
        ...


Prepared = Any
"""What `BatchEngine.prepare` makes of an utterance: the engine's own type."""
Stream = Any
"""What `BatchEngine.open` returns: the engine's own type, hashable."""


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """What one step did for one stream."""

    stream: Stream
    chunk: Chunk | None = None
    done: bool = False
    error: Exception | None = None
    """Fails this utterance alone; the stream is then done."""


@runtime_checkable
class BatchEngine(Protocol):
    """An engine whose utterances share their steps."""

    capabilities: Capabilities
    slots: int
    """Streams that may be open at once."""

    def voices(self) -> Sequence[Voice]:
        """As in `Engine`."""
        ...

    def prepare(self, utterance: Utterance) -> Prepared:
        """What can be done before a slot is free: tokens, decoded clips. On a helper thread."""
        ...

    def open(self, prepared: Prepared) -> Stream:
        """Join at the next step. Cheap. Raises NoRoom when there is no slot or memory now."""
        ...

    def step(self) -> Sequence[Event]:
        """Bounded work for all open streams. An exception here fails all of them."""
        ...

    def close_stream(self, stream: Stream) -> None:
        """Free what belongs to `stream`; called once for each, between steps."""
        ...

    def close(self) -> None:
        """Free the model."""
        ...


class _Stopped(Exception):
    """Raised into a library's callback when nobody listens any more."""


Piece = TypeVar("Piece")


def from_callback(
    run: Callable[[Callable[[Piece | None], None]], None], *, ahead: int = 8
) -> Generator[Piece | None]:
    """Turn a library that calls back with sound, or codes, into a generator of them.

    `run(emit)` is called once in a helper thread and calls `emit(piece)` for each; `emit`
    blocks while `ahead` pieces wait unread and raises when the generator was closed, which ends
    `run`. An exception that `run` raises by itself is raised to the reader.
    """
    ready: queue.Queue[Any] = queue.Queue(ahead)
    end, closed = object(), threading.Event()

    def emit(item: Any) -> None:
        while not closed.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=0.05)
                return
        raise _Stopped

    def work() -> None:
        try:
            run(emit)
            emit(end)
        except _Stopped:
            pass
        except BaseException as error:  # handed to the reader, who raises it
            with contextlib.suppress(_Stopped):
                emit(error)

    thread = threading.Thread(target=work, name="engine-callback", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not end:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        closed.set()
        thread.join()
