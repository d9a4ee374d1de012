"""Sessions of the backends API: ids that its clients ask for once and send with every call."""

from __future__ import annotations

import secrets
from collections import OrderedDict

MOST = 1000
"""Sessions remembered; the one unused for longest goes first."""


class Sessions:
    """The ids handed out."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, None] = OrderedDict()

    def new(self) -> str:
        """A new session's id."""
        id = secrets.token_hex(20).upper()
        self._known[id] = None
        if len(self._known) > MOST:
            self._known.popitem(last=False)
        return id

    def knows(self, id: str) -> bool:
        """True for an id that was handed out; it then counts as just used."""
        if id not in self._known:
            return False
        self._known.move_to_end(id)
        return True
