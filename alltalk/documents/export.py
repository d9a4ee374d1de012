"""Export: a whole document as one file of sound, with its chapters in it."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from alltalk.documents.joined import JoinedSound
from alltalk.documents.pieces import SAMPLE_BYTES, WAV_HEADER_BYTES
from alltalk.documents.timeline import Timeline
from alltalk.draft import storage_error
from alltalk.errors import EncodeFailed, UnknownFormat

if TYPE_CHECKING:
    from av import AudioStream
    from av.container import OutputContainer

BLOCK = 65_536
"""Samples that are encoded at once."""


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """How FFmpeg is to make a file."""

    name: str
    content_type: str
    codec: str
    container: str
    sample_format: str
    bit_rates: Mapping[int, int]
    """From which sample rate on (descending) how many bits a second; none: it loses nothing."""
    options: Mapping[str, str]
    """Of the container."""

    @property
    def suffix(self) -> str:
        """Of a file, with the dot."""
        return f".{self.name}"

    @classmethod
    def named(cls, name: str) -> ExportFormat:
        """The format called `name`. Raises UnknownFormat."""
        try:
            return EXPORT_FORMATS[name.lower()]
        except KeyError:
            raise UnknownFormat(name, tuple(EXPORT_FORMATS)) from None


EXPORT_FORMATS: Mapping[str, ExportFormat] = {
    each.name: each
    for each in (
        # A wav's sizes have 32 bits: past 4 GB it becomes RF64, which players read as well.
        ExportFormat("wav", "audio/wav", "pcm_s16le", "wav", "s16", {}, {"rf64": "auto"}),
        ExportFormat(
            *("mp3", "audio/mpeg", "libmp3lame", "mp3", "fltp"),
            {32000: 128_000, 16000: 96_000, 0: 48_000},
            {"id3v2_version": "3"},
        ),
        ExportFormat("flac", "audio/flac", "flac", "flac", "s16", {}, {}),
        ExportFormat(
            *("m4b", "audio/mp4", "aac", "ipod", "fltp"),
            {32000: 96_000, 16000: 64_000, 0: 32_000},
            {"movflags": "faststart"},
        ),
    )
}


def write_export(
    sound: JoinedSound,
    timeline: Timeline,
    format: ExportFormat,
    path: Path,
    written: Callable[[float], None] = lambda _: None,
) -> None:
    """Make `sound`, which is that of `timeline`, the file at `path`, whole or not at all.

    `written` is told the share that is done, 0 to 1; what it raises ends the export. mp3 and m4b
    hold the chapters. Raises StorageError, EncodeFailed, NotFound.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        path.parent.mkdir(exist_ok=True)  # not its parents: who deleted them meant it
        _encode(sound, timeline, format, draft, written)
        _sync(draft)
        os.replace(draft, path)
    except OSError as error:
        raise storage_error("write", path, error) from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def _encode(
    sound: JoinedSound,
    timeline: Timeline,
    format: ExportFormat,
    path: Path,
    written: Callable[[float], None],
) -> None:
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(path), "w", format=format.container, options=dict(format.options)) as out:
            out.metadata["title"] = timeline.title
            if format.name in ("mp3", "m4b"):
                out.set_chapters(_chapters(timeline))
            stream = _stream(out, timeline.sample_rate, format)
            sound.seek(WAV_HEADER_BYTES)
            done = 0
            while block := sound.read(BLOCK * SAMPLE_BYTES):
                out.mux(stream.encode(_frame(block, timeline.sample_rate, done)))
                done += len(block) // SAMPLE_BYTES
                written(done / timeline.frames)
            out.mux(stream.encode(None))
    except FFmpegError as error:
        if isinstance(error, OSError) and error.errno:  # a full disk is told as one
            raise OSError(error.errno, error.strerror) from error
        raise EncodeFailed(f"The {format.name} could not be made: {error}.") from error


def _stream(out: OutputContainer, sample_rate: int, format: ExportFormat) -> AudioStream:
    stream = cast("AudioStream", out.add_stream(cast(Any, format.codec), sample_rate))
    stream.layout = "mono"
    stream.format = format.sample_format
    if format.bit_rates:
        stream.bit_rate = next(b for rate, b in format.bit_rates.items() if sample_rate >= rate)
    return stream


def _frame(block: bytes, sample_rate: int, position: int) -> Any:
    from av import AudioFrame

    samples = np.frombuffer(block, "<i2").reshape(1, -1)
    frame = AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    frame.sample_rate = sample_rate
    frame.time_base = Fraction(1, sample_rate)
    frame.pts = position
    return frame


def _chapters(timeline: Timeline) -> list[Any]:
    base = Fraction(1, timeline.sample_rate)
    return [
        {
            "id": number,
            "start": chapter.start,
            "end": chapter.end,
            "time_base": base,
            "metadata": {"title": chapter.title},
        }
        for number, chapter in enumerate(timeline.chapters)
    ]


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
