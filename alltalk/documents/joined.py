"""JoinedSound: a timeline as one wav file that is nowhere: its bytes are read from the pieces."""

from __future__ import annotations

import bisect
import io
from typing import BinaryIO

from alltalk.documents.folder import Folder
from alltalk.documents.pieces import SAMPLE_BYTES, WAV_HEADER_BYTES
from alltalk.documents.timeline import Timeline
from alltalk.encode import wav_header


class JoinedSound(io.RawIOBase):
    """All of `timeline`, with silence for its pauses; can be read from any place on.

    Its pieces stay for as long as it is open.
    """

    def __init__(self, folder: Folder, timeline: Timeline) -> None:
        super().__init__()
        self._folder, self._timeline = folder, timeline
        self._header = wav_header(timeline.sample_rate, timeline.frames)
        self._starts = [WAV_HEADER_BYTES + each.start * SAMPLE_BYTES for each in timeline.stretches]
        self.size = WAV_HEADER_BYTES + timeline.frames * SAMPLE_BYTES
        """Bytes."""
        self.digest = timeline.digest
        """Changes with its bytes."""
        self._at = 0
        self._file: BinaryIO | None = None
        self._number = -1
        self._held = folder.reading()
        self._held.__enter__()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """As much as lies in one piece, or between two."""
        content = self._next(min(len(buffer), self.size - self._at))
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)

    def read(self, size: int = -1) -> bytes:
        """Exactly `size` bytes, fewer only at the end. Raises NotFound where a piece is gone."""
        left = self.size - self._at if size < 0 else min(size, self.size - self._at)
        parts = []
        while left > 0:
            part = self._next(left)
            self._at += len(part)
            left -= len(part)
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        if not self.closed:
            self._held.__exit__(None, None, None)
            if self._file is not None:
                self._file.close()
        super().close()

    def _next(self, most: int) -> bytes:
        """Some bytes from here on, at most `most`, none at the end only."""
        if most <= 0:
            return b""
        if self._at < WAV_HEADER_BYTES:
            return self._header[self._at : self._at + most]
        number = bisect.bisect_right(self._starts, self._at) - 1
        stretch = self._timeline.stretches[number]
        into = self._at - self._starts[number]
        sound_bytes = stretch.piece.frames * SAMPLE_BYTES
        if into >= sound_bytes:
            return bytes(min(most, sound_bytes + stretch.pause * SAMPLE_BYTES - into))
        file = self._opened(number)
        file.seek(WAV_HEADER_BYTES + into)
        content = file.read(min(most, sound_bytes - into))
        if not content:
            raise OSError(f"{stretch.piece.sound} is shorter than it was")
        return content

    def _opened(self, number: int) -> BinaryIO:
        if self._file is None or self._number != number:
            if self._file is not None:
                self._file.close()
            self._file = self._folder.open_sound(self._timeline.stretches[number].piece)
            self._number = number
        return self._file
