"""What the server and an engine's process say to each other: a JSON line, then raw samples.

    server → child    Load, Speak, Cancel, Rest, Wake; the end of the stream means stop
    child → server    Ready | Failed; then Sound, Done, Failed per utterance; Beat, Rested

A message is a frozen dataclass. Its line is `{"op": "<class>", <fields>}`, made and read by the
fields' types, so a field added to `Utterance` crosses by itself. Only Sound has a body: float32
little-endian samples, counted in its line. Readers are strict: what does not fit is a BadFrame,
after which nothing more can be believed of the connection.
"""

from __future__ import annotations

import functools
import json
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from alltalk.audio import Audio
from alltalk.engine import Capabilities, Chunk, Mark, Place, Voice
from alltalk.errors import AllTalkError, rebuild
from alltalk.serving.loop import Job

MAX_LINE = 4 << 20
"""Longest line, bytes."""
MAX_SAMPLES = 1 << 20
"""Most samples of one frame; longer chunks cross as several."""


class BadFrame(ValueError):
    """The other end sent what is no message of this protocol."""


@dataclass(frozen=True, slots=True)
class Load:
    """Load this engine; the first message, and the only one of its kind."""

    engine: str
    model: str
    home: Path
    place: Place
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Speak:
    """Put the job in line."""

    job: Job


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nobody listens to this job any more. Unknown ids are ignored: it may just have ended."""

    id: str


@dataclass(frozen=True, slots=True)
class Rest:
    """Free the accelerator. Answered by Rested or Failed, like Wake."""


@dataclass(frozen=True, slots=True)
class Wake:
    """Undo Rest."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The engine is loaded, and this is what it can do."""

    capabilities: Capabilities
    voices: tuple[Voice, ...]
    restable: bool
    """It knows Rest and Wake."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A chunk of a job; its samples follow the line."""

    id: str
    sample_rate: int
    samples: int
    """How many float32 values follow."""
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """A job's last chunk has been sent."""

    id: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A job ended with an error; without an id: loading, resting or waking did."""

    id: str | None
    error: str
    """The class's name in `alltalk.errors`."""
    message: str
    details: Mapping[str, Any]
    """The plain attributes of the error, such as `retry_after_s`."""


@dataclass(frozen=True, slots=True)
class Beat:
    """No step hangs, and there was something to speak since the last beat."""


@dataclass(frozen=True, slots=True)
class Rested:
    """The engine has gone to rest, or has woken."""


Down = Load | Speak | Cancel | Rest | Wake
Up = Ready | Sound | Done | Failed | Beat | Rested
Asking = Load | Rest | Wake
"""Messages that are answered."""
Answer = Ready | Rested
"""How, unless by Failed."""

_DOWN: Mapping[str, type[Down]] = {
    kind.__name__: kind for kind in (Load, Speak, Cancel, Rest, Wake)
}
_UP: Mapping[str, type[Up]] = {
    kind.__name__: kind for kind in (Ready, Sound, Done, Failed, Beat, Rested)
}


def encode(message: Down | Up) -> bytes:
    """The message's line. Raises ValueError if it is over MAX_LINE."""
    line = json.dumps({"op": type(message).__name__, **pack(message)}).encode() + b"\n"
    if len(line) > MAX_LINE:
        raise ValueError(f"a {type(message).__name__} of {len(line)} bytes is over {MAX_LINE}")
    return line


def decode_down(line: bytes) -> Down:
    """The message that the server sent. Raises BadFrame."""
    return _decode(_DOWN, line)


def decode_up(line: bytes) -> Up:
    """The message that the child sent; a Sound's body has still to be read. Raises BadFrame."""
    message = _decode(_UP, line)
    if isinstance(message, Sound) and not (
        0 <= message.samples <= MAX_SAMPLES and message.sample_rate > 0
    ):
        raise BadFrame(f"{message.samples} samples at {message.sample_rate} Hz")
    return message


def encode_chunk(job_id: str, chunk: Chunk) -> Iterator[bytes]:
    """The frames that carry a chunk of a job: one, unless it is longer than MAX_SAMPLES."""
    samples, marks = chunk.audio.samples.astype("<f4", copy=False), chunk.marks
    for start in range(0, max(1, len(samples)), MAX_SAMPLES):
        piece = samples[start : start + MAX_SAMPLES]
        head = Sound(job_id, chunk.audio.sample_rate, len(piece), marks if start == 0 else ())
        yield encode(head) + piece.tobytes()


def decode_chunk(head: Sound, body: bytes) -> Chunk:
    """The chunk of a Sound and the `4 * head.samples` bytes that followed it."""
    samples = np.frombuffer(body, "<f4").astype(np.float32, copy=False)
    return Chunk(Audio(samples, head.sample_rate), head.marks)


def failure(error: BaseException, job_id: str | None = None) -> Failed:
    """`error` as a message; one that is not ours becomes SynthesisFailed at the other end."""
    plain = {name: value for name, value in vars(error).items() if _is_plain(value)}
    return Failed(job_id, type(error).__name__, str(error), plain)


def error_of(failed: Failed) -> AllTalkError:
    """The error as it was before it crossed the pipe."""
    error = rebuild(failed.error, failed.message)
    vars(error).update(failed.details)
    return error


def pack(value: Any) -> Any:
    """`value` as JSON: dataclasses become objects; tuples and sets arrays; paths strings."""
    if is_dataclass(value):
        return {field.name: pack(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: pack(each) for key, each in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple | list):
        return [pack(each) for each in value]
    if isinstance(value, Path):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value


def unpack(kind: Any, value: Any) -> Any:
    """The `kind` that `pack` made `value` of. Raises BadFrame where it does not fit."""
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        return _unpack_fields(kind, value)
    if origin in (Union, types.UnionType):
        return None if value is None else unpack(arguments[0], value)
    if origin is tuple and isinstance(value, list):
        return _unpack_tuple(arguments, value)
    if origin is frozenset and isinstance(value, list):
        return frozenset(unpack(arguments[0], each) for each in value)
    if origin is Mapping and isinstance(value, dict):
        return value
    if origin is Literal and value in arguments:
        return value
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is float and type(value) in (int, float):
        return float(value)
    if kind in (str, int, bool) and type(value) is kind:
        return value
    raise BadFrame(f"{str(value)[:80]!r} is not of type {kind}")


_Message = TypeVar("_Message")


def _decode(kinds: Mapping[str, type[_Message]], line: bytes) -> _Message:
    try:
        content = json.loads(line)
    except ValueError as error:
        raise BadFrame(f"no JSON: {line[:80]!r}") from error
    if not isinstance(content, dict) or not isinstance(op := content.pop("op", None), str):
        raise BadFrame(f"no message: {line[:80]!r}")
    if op not in kinds:
        raise BadFrame(f"no message is called {op[:40]!r}")
    message: _Message = unpack(kinds[op], content)
    return message


def _unpack_fields(kind: type, value: Any) -> Any:
    hints = _hints(kind)
    if not isinstance(value, dict) or value.keys() != hints.keys():
        raise BadFrame(f"{str(value)[:80]!r} has not the fields of {kind.__name__}")
    return kind(**{name: unpack(hints[name], each) for name, each in value.items()})


def _unpack_tuple(kinds: tuple[Any, ...], value: list[Any]) -> tuple[Any, ...]:
    if kinds[-1] is Ellipsis:
        return tuple(unpack(kinds[0], each) for each in value)
    if len(kinds) != len(value):
        raise BadFrame(f"{len(value)} values, not {len(kinds)}")
    return tuple(unpack(kind, each) for kind, each in zip(kinds, value, strict=True))


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)
