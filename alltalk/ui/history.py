"""History: the clips that a visitor's browser remembers, heard again, saved and deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from alltalk.errors import BadInput, NotFound
from alltalk.studio import Studio
from alltalk.ui.asked_twice import AskedTwice
from alltalk.ui.held import Choices
from alltalk.ui.kept import Kept, Memory
from alltalk.ui.long_text_view import status_html
from alltalk.ui.parts import Update
from alltalk.ui.player import drawn, player_html
from alltalk.ui.sounds import Sounds

MOST_KEPT = 50
"""Clips that a browser remembers."""
SHOWN_CHARS = 80
"""Of a clip's text."""


class History:
    """Its components, and what happens when they are used."""

    def __init__(self, studio: Studio, sounds: Sounds, player: Any, picture: Any) -> None:
        """`player` and `picture` are where a clip is heard and seen."""
        self._studio, self._sounds = studio, sounds
        self._player, self._picture = player, picture
        self._kept = Kept("alltalk-spoken", MOST_KEPT)
        self.change = self._kept.change
        """What `adding` sets."""
        with gr.Column(visible=False) as self._past:
            self._clips = Choices([], label="Your clips, kept by this browser", elem_id="clips")
            with gr.Row():
                self._replay_button = gr.Button("Play again", size="sm", min_width=100)
                self._deletion = AskedTwice("Delete", "clips-delete", size="sm", min_width=100)
            self._deletion.build_question("Really delete it")

    def wire(self, on: Callable[..., Any], loaded: Any, status: Any) -> None:
        """Connect the components by `on`; `loaded` is the event of a page that is opened."""
        self._status = status
        heard = [self._player, self._picture]
        self.follow(loaded)
        on(self._replay_button.click, self._replay, [self._clips], heard)
        self._deletion.wire(self._clips, self._loss, status)
        gone = [*heard, self.change, *self._deletion.outputs]
        self.follow(on(self._deletion.really.click, self._delete, [self._deletion.meant], gone))

    def follow(self, event: Any) -> None:
        """Show the clips once `event` is over, which may set `change`."""
        self._kept.follow(event, self._shown, [self._past, self._clips])

    def adding(self, name: str, text: str) -> Update:
        """For an answer to an event that is followed: one clip more, which is chosen."""
        return self._kept.adding(name, text[:SHOWN_CHARS])

    async def _replay(self, name: str | None) -> Update:
        name = _chosen(name)
        picture, _ = await drawn(self._studio, self._sounds, name)
        return {self._player: player_html(name), self._picture: picture}

    async def _loss(self, name: str | None) -> str:
        _chosen(name)
        return "The clip is deleted here and on the server."

    async def _delete(self, name: str | None) -> Update:
        name = _chosen(name)
        try:
            await self._sounds.delete(name)
            said = "Deleted."
        except NotFound:
            said = "The server had deleted it already."
        emptied = {self._player: "", self._picture: "", self._status: status_html(said)}
        return {**emptied, **self._kept.removing(name), **self._deletion.over()}

    async def _shown(self, memory: Memory) -> Update:
        """The newest first, with the highest number. One that was just added is chosen."""
        known = memory["known"]
        clips = [(f"{number}. {text}", name) for number, (name, text) in enumerate(known, 1)][::-1]
        changed = memory["changed"]
        added = changed if any(name == changed for name, _ in known) else None
        value = {} if changed is None else {"value": added}
        return {
            self._past: gr.update(visible=bool(clips)),
            self._clips: gr.update(choices=clips, **value),
        }


def _chosen(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise BadInput("Choose one of your clips first.")
    return name
