"""History: the clips that a visitor's browser remembers, heard again, saved and deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from alltalk.errors import BadInput, NotFound
from alltalk.studio import Studio
from alltalk.ui.asked_twice import AskedTwice
from alltalk.ui.long_text_view import status_html
from alltalk.ui.parts import Update, outside_tabs
from alltalk.ui.player import drawn, player_html
from alltalk.ui.sounds import Sounds

MOST_KEPT = 50
"""Clips that a browser remembers."""
SHOWN_CHARS = 80
"""Of a clip's text."""

Memory = list[dict[str, Any]]
"""The newest clip first: its `name`, and its `text`."""


class History:
    """Its components, and what happens when they are used."""

    def __init__(self, studio: Studio, sounds: Sounds, player: Any, picture: Any) -> None:
        """`player` and `picture` are where a clip is heard and seen."""
        self._studio, self._sounds = studio, sounds
        self._player, self._picture = player, picture
        self.memory = outside_tabs(
            lambda: gr.BrowserState([], storage_key="alltalk-clips", secret="clips")
        )
        self.spoken = gr.State(None)
        """What was spoken last, to be put down as `adding` says."""
        with gr.Column(visible=False) as self._past:
            self._clips = gr.Radio([], label="Your clips, kept by this browser", elem_id="clips")
            with gr.Row():
                self._replay_button = gr.Button("Play again", size="sm", min_width=100)
                self._deletion = AskedTwice("Delete", "clips-delete", size="sm", min_width=100)
            self._deletion.build_question("Really delete it")

    @property
    def outputs(self) -> list[Any]:
        """What shows the clips."""
        return [self._past, self._clips, self.memory]

    def wire(self, on: Callable[..., None], loaded: Any, status: Any) -> None:
        """Connect the components by `on`; `loaded` is the event of a page that is opened."""
        self._status = status
        heard = [self._player, self._picture]
        on(loaded, self._remembered, [self.memory], [self._past, self._clips])
        on(self._replay_button.click, self._replay, [self._clips], heard)
        self._deletion.wire(self._clips, self._loss, status)
        gone = [*heard, *self.outputs, *self._deletion.outputs]
        on(self._deletion.really.click, self._delete, [self._deletion.meant, self.memory], gone)
        self.spoken.change(
            self._add,
            [self.spoken, self.memory],
            self.outputs,
            concurrency_limit=None,
            show_progress="hidden",
            queue=False,
            api_visibility="private",
        )

    def adding(self, name: str, text: str) -> Update:
        """For an answer with `spoken` in its outputs: one clip more, which is chosen.

        It joins what the browser remembers by then, not when it began to be spoken.
        """
        return {self.spoken: {"name": name, "text": text[:SHOWN_CHARS]}}

    async def _add(self, clip: dict[str, Any], memory: Memory) -> Update:
        return self._shown([clip, *memory][:MOST_KEPT], clip["name"])

    async def _remembered(self, memory: Memory) -> Update:
        shown = self._shown(memory, None)
        return {each: shown[each] for each in (self._past, self._clips)}

    async def _replay(self, name: str | None) -> Update:
        name = _chosen(name)
        picture, _ = await drawn(self._studio, self._sounds, name)
        return {self._player: player_html(name), self._picture: picture}

    async def _loss(self, name: str | None) -> str:
        _chosen(name)
        return "The clip is deleted here and on the server."

    async def _delete(self, name: str, memory: Memory) -> Update:
        left = [each for each in memory if each["name"] != name]
        try:
            await self._sounds.delete(name)
            said = "Deleted."
        except NotFound:
            said = "The server had deleted it already."
        emptied = {self._player: "", self._picture: "", self._status: status_html(said)}
        return {**emptied, **self._shown(left, None), **self._deletion.over()}

    def _shown(self, memory: Memory, chosen: str | None) -> Update:
        clips = [(f"{number}. {each['text']}", each["name"]) for number, each in _numbered(memory)]
        return {
            self._past: gr.update(visible=bool(clips)),
            self._clips: gr.update(choices=clips, value=chosen),
            self.memory: memory,
        }


def _numbered(memory: Sequence[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    """The newest first, with the highest number."""
    return [(len(memory) - place, each) for place, each in enumerate(memory)]


def _chosen(name: str | None) -> str:
    if not name:
        raise BadInput("Choose one of your clips first.")
    return name
