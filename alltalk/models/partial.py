"""A file on its way here: what has arrived is kept, and goes on where it broke off.

It lies in `<place>.partial`; beside it, in `<place>.tag`, the server's name for this version of
it (the ETag). A tag makes the server send all anew when the file was changed meanwhile.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from alltalk.draft import storage_error

PIECE = 1 << 20
"""Bytes read at once."""
_PART = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class Digest:
    """SHA-256 and MD5 of bytes that come piece by piece."""

    def __init__(self) -> None:
        self._sha256, self._md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)

    def update(self, piece: bytes) -> None:
        """Count `piece` in."""
        self._sha256.update(piece)
        self._md5.update(piece)

    @property
    def sha256(self) -> str:
        """Lower-case hex."""
        return self._sha256.hexdigest()

    @property
    def md5(self) -> str:
        """Lower-case hex."""
        return self._md5.hexdigest()


def digest_of(path: Path) -> Digest:
    """Of the file's content. Raises StorageError."""
    digest = Digest()
    with _disk("read", path), path.open("rb") as stream:
        while piece := stream.read(PIECE):
            digest.update(piece)
    return digest


class Partial:
    """What has arrived of one file, open for more. Blocking; one caller at a time."""

    def __init__(self, place: Path) -> None:
        """Opens what is there of the file for `place`, or nothing. Raises StorageError."""
        self.path = place.with_name(place.name + ".partial")
        self.size = 0
        """Bytes."""
        self.expected: int | None = None
        """Bytes of the whole, as the server said; None: it did not."""
        self.digest = Digest()
        self._tag_file = place.with_name(place.name + ".tag")
        with _disk("write", self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._stream: BinaryIO = self.path.open("a+b", buffering=0)
            self._tag = self._tag_file.read_text("utf-8") if self._tag_file.is_file() else ""
        self._count()

    def wanted(self, is_checkable: bool) -> dict[str, str]:
        """Headers that ask for the rest; none, and all will come, where the rest may not fit.

        Without a tag it is asked for only if a digest will tell (`is_checkable`).
        """
        if not self.size or not (self._tag or is_checkable):
            return {}
        return {"Range": f"bytes={self.size}-", **({"If-Range": self._tag} if self._tag else {})}

    def accept(self, status: int, headers: Mapping[str, str]) -> bool:
        """Be ready for an answer's body. False: it is another part than was asked for.

        An answer with the whole file (200) begins anew. Raises StorageError.
        """
        if status == 206:
            part = _PART.fullmatch(headers.get("content-range", ""))
            if part is None or int(part[1]) != self.size:
                self.restart()
                return False
            whole = part[2]
        else:
            self.restart()
            whole = headers.get("content-length", "")
        self.expected = int(whole) if whole.isdigit() else None
        self._remember(headers.get("etag", ""))
        return True

    def write(self, piece: bytes) -> None:
        """Append. Raises StorageError, and keeps what is there."""
        with _disk("write", self.path):
            rest = memoryview(piece)
            while rest:
                written = self._stream.write(rest)
                self.digest.update(rest[:written].tobytes())
                self.size += written
                rest = rest[written:]

    def restart(self) -> None:
        """Forget what has arrived. Raises StorageError."""
        with _disk("write", self.path):
            self._stream.truncate(0)
            self._remember("")
        self._count()

    def discard(self) -> None:
        """Remove it: it is wrong. Raises StorageError."""
        self._stream.close()
        with _disk("remove", self.path):
            self.path.unlink(missing_ok=True)
            self._tag_file.unlink(missing_ok=True)

    def finish(self) -> None:
        """It is whole: put it on the disk and forget its tag. Raises StorageError."""
        with _disk("write", self.path):
            os.fsync(self._stream.fileno())
            self._tag_file.unlink(missing_ok=True)

    def close(self) -> None:
        """Keep what is there for another time."""
        self._stream.close()

    def _remember(self, tag: str) -> None:
        """Only a strong tag means the same bytes (RFC 9110, 13.1.5)."""
        self._tag = "" if tag.startswith("W/") else tag
        with _disk("write", self._tag_file):
            if self._tag:
                self._tag_file.write_text(self._tag, "utf-8")
            else:
                self._tag_file.unlink(missing_ok=True)

    def _count(self) -> None:
        """Size and digest of what lies there."""
        self.size, self.digest = 0, Digest()
        with _disk("read", self.path):
            self._stream.seek(0)
            while piece := self._stream.read(PIECE):
                self.size += len(piece)
                self.digest.update(piece)


@contextlib.contextmanager
def _disk(verb: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise storage_error(verb, path, error) from error
