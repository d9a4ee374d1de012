"""Folder: one document on disk, with all that was spoken of it. Blocking; safe for threads.

    document.json         the lines, their manners, their order
    pieces/17.json        what was spoken of line 17; names its sound
    pieces/17-4f2a….wav   the sound

Every file appears whole or not at all, and a piece is there once its json is: a crash costs the
line that was being spoken, and nothing else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from alltalk.documents.document import Document, Line
from alltalk.documents.pieces import SAMPLE_BYTES, WAV_HEADER_BYTES, Heard, LineState, Piece
from alltalk.draft import remove_stale, storage_error, write_whole
from alltalk.errors import NotFound, StorageError

logger = logging.getLogger(__name__)

DOCUMENT = "document.json"
PIECES = "pieces"
EXPORTS = "exports"


class Folder:
    """One document that is open. There is one object for each, whoever asks."""

    def __init__(self, path: Path, document: Document, pieces: Mapping[int, Piece]) -> None:
        """Use `made` or `opened`."""
        self.path = path
        self._document = document
        self._pieces = dict(pieces)
        self._writing = threading.RLock()
        """Held by who changes what is on the disk."""
        self._lock = threading.RLock()
        """Held only while memory is changed: who looks never waits for a disk."""
        self._is_gone = False
        self._readers = 0
        self._unwanted: set[Path] = set()
        self._fingerprints: dict[int, tuple[Line, str]] = {}
        self._fingerprinted: Document | None = None

    @classmethod
    def made(cls, path: Path, document: Document) -> Folder:
        """A new one. Raises StorageError."""
        write_whole(path / DOCUMENT, document.to_json())
        return cls(path, document, {})

    @classmethod
    def opened(cls, path: Path) -> Folder:
        """The one at `path`, tidied up after a crash. Raises NotFound, StorageError."""
        try:
            document = Document.from_json((path / DOCUMENT).read_bytes())
        except FileNotFoundError as error:
            raise NotFound("There is no such document; it may have been deleted.") from error
        except OSError as error:
            raise storage_error("read", path / DOCUMENT, error) from error
        except ValueError as error:
            raise StorageError(f"{path / DOCUMENT} is damaged and cannot be read.") from error
        if (path / EXPORTS).is_dir():
            remove_stale(path / EXPORTS, 0.0)
        return cls(path, document, _tidied(path / PIECES, document.by_id))

    @property
    def id(self) -> str:
        """Who knows it may do everything with the document."""
        return self.path.name

    @property
    def is_gone(self) -> bool:
        """True once it is deleted."""
        return self._is_gone

    @property
    def document(self) -> Document:
        """As it is now."""
        return self._document

    @property
    def pieces(self) -> Mapping[int, Piece]:
        """What was spoken, by the line's id, as of now."""
        with self._lock:
            return MappingProxyType(dict(self._pieces))

    def now(self) -> tuple[Document, Mapping[int, Piece]]:
        """The document and its pieces of one moment."""
        with self._lock:
            return self._document, self.pieces

    # Changes

    def change(self, edit: Callable[[Document], Document]) -> Document:
        """Make the document what `edit` makes of it, and keep it. Raises what `edit` raises.

        Changes that meet come one after the other; each sees the one before. Raises NotFound once
        the document is deleted, StorageError.
        """
        with self._writing:
            self._check_there()
            before = self._document
            after = edit(before)
            if after is before:
                return before
            write_whole(self.path / DOCUMENT, after.to_json())
            gone = set(self._pieces) - {line.id for line in after.lines}
            with self._lock:
                self._document = after
                forgotten = [self._pieces.pop(id) for id in gone]
            for piece in forgotten:
                _unlink(self.path / PIECES / f"{piece.line}.json")
                self._discard(piece)
            return after

    def keep(
        self, line: Line, fingerprint: str, content: bytes, heard: Collection[Heard] = ()
    ) -> Piece:
        """Keep the wav `content` as what was spoken of `line`, in place of what was there.

        `fingerprint` is of the document it was spoken for. Raises NotFound where the line has been
        removed meanwhile, StorageError.
        """
        name = f"{line.id}-{secrets.token_hex(8)}.wav"
        rate = int.from_bytes(content[24:28], "little")
        frames = (len(content) - WAV_HEADER_BYTES) // SAMPLE_BYTES
        piece = Piece(line.id, fingerprint, line.text, name, rate, frames, tuple(heard))
        with self._writing:
            self._check_there()
            self._document.line(line.id)
            write_whole(self.path / PIECES / name, content)
            write_whole(self.path / PIECES / f"{line.id}.json", piece.to_json())
            with self._lock:
                old, self._pieces[line.id] = self._pieces.get(line.id), piece
            if old is not None:
                self._discard(old)
        return piece

    def delete(self) -> None:
        """Remove all of it. Whoever reads it has what is open. Raises StorageError."""
        with self._writing:
            self._check_there()
            gone = self.path.with_name(f".{self.id}.deleted")
            try:
                os.replace(self.path, gone)
            except OSError as error:
                raise storage_error("delete", self.path, error) from error
            self._is_gone = True
        shutil.rmtree(gone, ignore_errors=True)  # what stays is swept at the next start

    # What there is

    def state(self, line: Line) -> LineState:
        """How far `line`, of the document as it is now, has come."""
        piece = self._pieces.get(line.id)
        if piece is None:
            return LineState.NEW
        same = piece.fingerprint == self.fingerprint(line)
        return LineState.SPOKEN if same else LineState.CHANGED

    def fingerprint(self, line: Line) -> str:
        """As `Document.fingerprint`, made once for each line as long as it is the same."""
        with self._lock:
            document = self._document
            if self._fingerprinted is not document:
                known = self._fingerprinted
                if known is None or known.manner != document.manner:
                    self._fingerprints.clear()
                self._fingerprinted = document
            found = self._fingerprints.get(line.id)
            if found is None or found[0] is not line:
                found = self._fingerprints[line.id] = (line, document.fingerprint(line))
            return found[1]

    def open_piece(self, id: int) -> BinaryIO:
        """The sound of the line of that id. Raises NotFound."""
        with self._lock:
            if (piece := self._pieces.get(id)) is None:
                raise NotFound(f"Line {id} has not been spoken yet.")
            return self.open_sound(piece)

    def open_sound(self, piece: Piece) -> BinaryIO:
        """The sound of `piece`; it is there for as long as somebody is `reading`."""
        try:
            return (self.path / PIECES / piece.sound).open("rb")
        except OSError as error:
            raise NotFound("That sound is not there any more; it was spoken anew.") from error

    @contextmanager
    def reading(self) -> Generator[None]:
        """Inside, no sound goes that was there at the start; lines are spoken anew all the same."""
        with self._lock:
            self._readers += 1
        try:
            yield
        finally:
            with self._lock:
                self._readers -= 1
                unwanted = [] if self._readers else list(self._unwanted)
                self._unwanted.difference_update(unwanted)
            for path in unwanted:
                _unlink(path)

    def _discard(self, piece: Piece) -> None:
        """Remove its sound, at once or when nobody reads any more."""
        path = self.path / PIECES / piece.sound
        with self._lock:
            if self._readers:
                self._unwanted.add(path)
                return
        _unlink(path)

    def _check_there(self) -> None:
        if self._is_gone:
            raise NotFound("The document has been deleted.")


def _tidied(folder: Path, lines: Collection[int]) -> dict[int, Piece]:
    """The pieces in `folder`; what belongs to none is removed."""
    if not folder.is_dir():
        return {}
    remove_stale(folder, 0.0)
    found: dict[int, Piece] = {}
    for path in sorted(folder.glob("*.json")):
        piece = _read(path)
        if piece is not None and piece.line in lines and (folder / piece.sound).is_file():
            found[piece.line] = piece
        else:
            _unlink(path)
    wanted = {piece.sound for piece in found.values()}
    for path in folder.glob("*.wav"):
        if path.name not in wanted:
            _unlink(path)
    return found


def _read(path: Path) -> Piece | None:
    """None for what is damaged: the line is spoken anew then."""
    try:
        return Piece.from_json(path.read_bytes())
    except ValueError:
        logger.warning("%s is damaged; its line will have to be spoken again.", path)
        return None
    except OSError as error:
        raise storage_error("read", path, error) from error


def _unlink(path: Path) -> None:
    """What cannot be removed now is removed when the document is opened next."""
    with contextlib.suppress(OSError):
        path.unlink()
