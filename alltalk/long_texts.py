"""LongTexts: what the doors do with documents: make, change, speak, hear, export, delete them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import BinaryIO, Literal, ParamSpec, TypeVar

from alltalk.documents import (
    EXPORTS,
    Block,
    Document,
    DocumentStore,
    ExportFormat,
    Folder,
    JoinedSound,
    Limits,
    Manner,
    NewLine,
    Split,
    Text,
    Timeline,
    read_file,
    timeline_of,
    to_lines,
    write_export,
)
from alltalk.errors import BadValue, Cancelled
from alltalk.home import Home
from alltalk.reading import Progress, Reading, progress_of
from alltalk.service import SpeechService
from alltalk.serving.lane import Lane
from alltalk.subtitles import to_srt, to_vtt

P = ParamSpec("P")
R = TypeVar("R")
Subtitles = Literal["srt", "vtt"]
REMEMBERED = 64
"""Readings that ended whose failures are still told."""


class LongTexts:
    """Every document of a home, by its id. Who knows an id may do everything with it.

    Files are read and written on two lanes of their own: an export of hours keeps no line from
    being saved.
    """

    def __init__(self, home: Home, service: SpeechService, limits: Callable[[], Limits]) -> None:
        """`limits`: those in force now."""
        self._store = DocumentStore(home.documents, limits)
        self._service = service
        self._files, self._exports = Lane("documents"), Lane("exports")
        self._readings: dict[str, Reading] = {}

    # Documents

    async def read(self, name: str, file: BinaryIO) -> Text:
        """What an uploaded file says. Raises BadInput, TooLarge, TextTooLong."""
        return await self._files.run(read_file, name, file, self._store.limits.max_characters)

    async def pasted(self, text: str, reader: Callable[[str, int], Iterator[Block]]) -> Text:
        """What `reader` (`read_plain`, `read_markdown`) finds in `text`. Raises TextTooLong."""
        most = self._store.limits.max_characters
        return await self._files.run(lambda: Text("", "", tuple(reader(text, most))))

    async def create(
        self,
        title: str,
        text: Text,
        split: Split = "paragraphs",
        manner: Manner | None = None,
        sample_rate: int = 24_000,
    ) -> Folder:
        """A new document of `text`; without a `title`, under its own or its first words.

        Raises BadInput, StorageError.
        """

        def make() -> Folder:
            language = (manner and manner.language) or text.language
            lines = to_lines(text.blocks, split, "" if language == "auto" else language)
            named = title.strip() or text.title or _first_words(lines[0].text)
            return self._store.create(named, lines, manner, sample_rate)

        return await self._files.run(make)

    async def open(self, id: str) -> Folder:
        """The document of that id. Raises NotFound, StorageError."""
        return await self._files.run(self._store.open, id)

    async def change(self, id: str, edit: Callable[[Document], Document]) -> Document:
        """As `Folder.change`. Raises TextTooLong where it grew beyond what settings allow."""
        folder = await self.open(id)

        def checked(document: Document) -> Document:
            after = edit(document)
            if after.characters > document.characters:
                self._store.check_length(after)
            return after

        return await self._files.run(folder.change, checked)

    async def insert(
        self, id: str, lines: Sequence[NewLine], place: int, manner: Manner | None = None
    ) -> Document:
        """As `Document.inserted`."""
        return await self.change(id, lambda document: document.inserted(lines, place, manner))

    async def delete(self, id: str) -> None:
        """Stop speaking the document, and remove all of it. Raises NotFound, StorageError."""
        if (reading := self._readings.pop(id, None)) is not None:
            reading.stop()
            await reading.ended()
        await self._files.run(self._store.delete, id)

    # Speaking

    async def speak(
        self, id: str, ids: Sequence[int] | None = None, *, client: str = "", named: bool = False
    ) -> Progress:
        """Speak the lines of those ids, even again; None: all that are not spoken as they stand.

        Returns at once; goes on when nobody looks. `client`, `named`: as in a Ticket.
        Raises NotFound.
        """
        folder = await self.open(id)
        if ids is not None:
            await self._files.run(folder.document.check_known, ids)
        reading = self._readings.get(id)
        if reading is None or reading.folder is not folder:
            reading = Reading(folder, self._service, self._files, client=client, named=named)
            self._readings[id] = reading
            self._forget_ended()
        reading.ask(ids)
        return await reading.progress()

    async def stop(self, id: str) -> None:
        """Speak no more of it; what is finished stays. Returns when nothing is under way."""
        if (reading := self._readings.get(id)) is not None:
            reading.stop()
            await reading.ended()

    async def progress(self, id: str) -> Progress:
        """How far it is. Raises NotFound."""
        folder = await self.open(id)
        reading = self._readings.get(id)
        if reading is not None:
            return await reading.progress()
        return await self._files.run(progress_of, folder)

    # Hearing and taking away

    async def piece(self, id: str, line: int) -> BinaryIO:
        """The sound of one line. Raises NotFound."""
        folder = await self.open(id)
        return await self._files.run(folder.open_piece, line)

    async def timeline(
        self, id: str, start: int | None = None, *, leave_out: bool = False
    ) -> Timeline:
        """As `timeline_of`."""
        folder = await self.open(id)
        return await self._files.run(timeline_of, folder, start=start, leave_out=leave_out)

    async def sound(self, id: str, start: int | None = None) -> JoinedSound:
        """What is spoken, from the line of id `start` on, as one wav; close it when it was read."""
        folder = await self.open(id)

        def joined() -> JoinedSound:
            return JoinedSound(folder, timeline_of(folder, start=start, leave_out=True))

        return await self._files.run(joined)

    async def subtitles(self, id: str, kind: str, *, leave_out: bool = False) -> str:
        """An srt or vtt file, by when each part is heard in an export. Raises BadInput."""
        if kind not in ("srt", "vtt"):
            raise BadValue("subtitles", f"{kind[:20]!r} is neither srt nor vtt.")
        timeline = await self.timeline(id, leave_out=leave_out)
        return await self._files.run(to_srt if kind == "srt" else to_vtt, timeline.cues())

    async def exported(
        self,
        id: str,
        format: ExportFormat,
        *,
        leave_out: bool = False,
        written: Callable[[float], None] = lambda _: None,
    ) -> BinaryIO:
        """The whole document as one file, open: another export may remove it by its name.

        One that was made before serves again. `written` is told the share that is done, on another
        thread. Who is cancelled meanwhile ends the export. Raises BadInput where lines are missing,
        and what `write_export` raises.
        """
        folder = await self.open(id)
        left = threading.Event()
        files: list[BinaryIO] = []

        def told(share: float) -> None:
            if left.is_set():
                raise Cancelled("The export was stopped.")
            written(share)

        def made() -> BinaryIO:
            files.append(_exported(folder, format, leave_out, told))
            if left.is_set():
                files[0].close()
            return files[0]

        try:
            return await self._exports.run(made)
        except asyncio.CancelledError:  # nobody takes what is made, or was made just now
            left.set()
            for file in files:
                file.close()
            raise

    async def run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What `call` returns, made where it blocks nobody."""
        return await self._files.run(call, *args, **kwargs)

    async def start(self) -> None:
        """Tidy up after a crash."""
        await self._files.run(self._store.sweep)

    async def close(self) -> None:
        """Stop speaking, and begin nothing more."""
        for reading in self._readings.values():
            reading.stop()
        for reading in self._readings.values():
            await reading.ended()
        self._files.close()
        self._exports.close()

    def _forget_ended(self) -> None:
        ended = [id for id, reading in self._readings.items() if not reading.is_running]
        for id in ended[: max(0, len(self._readings) - REMEMBERED)]:
            del self._readings[id]


def _first_words(text: str) -> str:
    """A title for lines that come without one."""
    return text if len(text) <= 60 else text[:60].rsplit(" ", 1)[0] + "…"


def _exported(
    folder: Folder, format: ExportFormat, leave_out: bool, written: Callable[[float], None]
) -> BinaryIO:
    exports = folder.path / EXPORTS
    with folder.reading():  # so that no sound of the timeline goes before it is joined
        timeline = timeline_of(folder, leave_out=leave_out)
        path = exports / f"{timeline.digest}{format.suffix}"
        if not path.is_file():
            with JoinedSound(folder, timeline) as sound:
                write_export(sound, timeline, format, path, written)
            for other in exports.glob(f"*{format.suffix}"):
                if other != path:
                    with suppress(OSError):  # not everywhere can a file go that somebody reads
                        other.unlink()
    written(1.0)
    return path.open("rb")
