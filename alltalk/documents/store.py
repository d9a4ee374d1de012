"""DocumentStore: all documents of a home. Blocking; safe for threads."""

from __future__ import annotations

import re
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from alltalk.documents.document import (
    SAMPLE_RATES,
    Document,
    Manner,
    NewLine,
    checked_title,
)
from alltalk.documents.folder import DOCUMENT, Folder
from alltalk.draft import storage_error
from alltalk.errors import BadInput, BadValue, NotFound, TextTooLong

KEPT_OPEN = 8
"""Documents held in memory though nobody asks for them now."""
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept."""

    max_documents: int
    max_characters: int
    """Of one document."""


class DocumentStore:
    """Documents by their ids, which nobody can guess: there is no list of them for visitors."""

    def __init__(self, root: Path, limits: Callable[[], Limits]) -> None:
        """`root` need not be there yet. `limits`: those in force now."""
        self.root = root
        self._limits = limits
        self._lock = threading.Lock()
        self._open: WeakValueDictionary[str, Folder] = WeakValueDictionary()
        self._recent: OrderedDict[str, Folder] = OrderedDict()

    @property
    def limits(self) -> Limits:
        """Those in force now."""
        return self._limits()

    def create(
        self,
        title: str,
        lines: Sequence[NewLine],
        manner: Manner | None = None,
        sample_rate: int = 24_000,
    ) -> Folder:
        """A new document. Raises BadInput, TextTooLong, StorageError."""
        if sample_rate not in SAMPLE_RATES:
            known = ", ".join(str(rate) for rate in SAMPLE_RATES)
            raise BadValue("sample_rate", f"{sample_rate} is not one of {known}.")
        empty = Document(
            checked_title(title),
            manner=manner or Manner(),
            sample_rate=sample_rate,
            made_s=time.time(),
        )
        document = empty.inserted(lines, 0)
        self.check_length(document)
        most = self.limits.max_documents
        if len(self.ids()) >= most:
            raise BadInput(
                f"There are {most} documents, as many as documents.max_documents allows. "
                "Delete one that is no longer needed, or have the setting raised."
            )
        id = secrets.token_hex(16)
        with self._lock:
            return self._remember(Folder.made(self.root / id, document))

    def check_length(self, document: Document) -> None:
        """Raises TextTooLong for a document that the settings do not allow."""
        if document.characters > (most := self.limits.max_characters):
            raise TextTooLong(document.characters, most)

    def open(self, id: str) -> Folder:
        """The document of that id. Raises NotFound, StorageError."""
        if not _ID.fullmatch(id):
            raise NotFound("There is no such document; it may have been deleted.")
        with self._lock:
            folder = self._open.get(id) or Folder.opened(self.root / id)
            return self._remember(folder)

    def delete(self, id: str) -> None:
        """Remove that document. Raises NotFound, StorageError."""
        folder = self.open(id)
        with self._lock:
            self._recent.pop(id, None)
            self._open.pop(id, None)
            folder.delete()

    def ids(self) -> list[str]:
        """Of all documents: not for visitors."""
        try:
            names = [path.name for path in self.root.iterdir() if _ID.fullmatch(path.name)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise storage_error("read", self.root, error) from error
        return sorted(name for name in names if (self.root / name / DOCUMENT).is_file())

    def sweep(self) -> None:
        """Remove what was being deleted when the server ended."""
        for path in self.root.glob(".*.deleted"):
            shutil.rmtree(path, ignore_errors=True)

    def _remember(self, folder: Folder) -> Folder:
        self._open[folder.id] = self._recent[folder.id] = folder
        self._recent.move_to_end(folder.id)
        while len(self._recent) > KEPT_OPEN:
            self._recent.popitem(last=False)
        return folder
