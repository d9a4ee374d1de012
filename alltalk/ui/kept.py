"""Kept: what a visitor's browser remembers, which all of its tabs change."""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from alltalk.ui.held import Held
from alltalk.ui.parts import Update, quietly

Memory = dict[str, Any]
"""`known`: pairs of an id and a title, the newest last. `open`: the id of one of them, or empty.

After an event, `changed` is the id that it changed, and None where it changed none.
"""


class Kept:
    """Ids and titles, and which of them is open.

    A tab that wrote back all that it had read would undo what others did meanwhile. So an event
    says only what it changes, and the browser puts that into what it remembers by then.
    """

    def __init__(self, key: str, most: int) -> None:
        """`key` is its own in the browser, which remembers the newest `most`."""
        self.change = Held(visible=False)
        """Input of an event with `js=read`: a Memory. Output: what a method below returns."""
        names = {"key": json.dumps(key), "most": str(most)}
        self.read, self._merge = (_READ % names + rest for rest in (_AS_LAST_INPUT, _MERGED))

    def follow(
        self, event: Any, show: Callable[[Memory], Awaitable[Update]], outputs: list[Any]
    ) -> None:
        """Once `event` is over, remember what it changed, and `show` what is remembered then."""
        quietly(
            event.then,
            show,
            [self.change],
            outputs,
            js=self._merge,
        )

    def adding(self, id: str, title: str, *, opens: bool = False) -> Update:
        """It is the newest, and open if it `opens`."""
        return self._changing(id=id, title=title, open=id if opens else None)

    def removing(self, id: str) -> Update:
        """It is known no more."""
        return self._changing(id=id, title=None, open=None)

    def closing(self) -> Update:
        """None is open."""
        return self._changing(id=None, title=None, open="")

    def _changing(self, **change: str | None) -> Update:
        # Events that change nothing leave the last change where it is: it is known by its number.
        return {self.change: {**change, "number": secrets.token_hex(8)}}


_READ = """(...values) => {
    const key = %(key)s, most = %(most)s;
    let kept = {open: '', known: []};
    try {
        const read = JSON.parse(localStorage.getItem(key));
        if (Array.isArray(read?.known)) kept = read;
    } catch (error) {
        console.error(error);
    }
"""
_AS_LAST_INPUT = """
    return [...values.slice(0, -1), kept];
}"""
_MERGED = """
    const [change] = values, merged = (window.alltalkMerged ??= {});
    if (!change?.number || merged[key] === change.number) return [{...kept, changed: null}];
    merged[key] = change.number;
    kept.known = kept.known.filter(([id]) => id !== change.id);
    if (change.title !== null) kept.known.push([change.id, change.title]);
    kept.known = kept.known.slice(-most);
    const open = change.open ?? kept.open;
    kept.open = kept.known.some(([id]) => id === open) ? open : '';
    try {
        localStorage.setItem(key, JSON.stringify(kept));
    } catch (error) {
        console.error(error);
    }
    return [{...kept, changed: change.id}];
}"""
