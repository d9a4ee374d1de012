"""Previews: a few words heard while they are spoken, for as long as somebody listens."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import partial
from typing import Any

import gradio as gr

from alltalk.errors import Cancelled, NotFound
from alltalk.speech import SpeechRequest, Ticket
from alltalk.ui.parts import Update
from alltalk.ui.player import player_html
from alltalk.ui.sounds import LOOKED_AFTER_S, Sounds


class Preview:
    """A player for one preview at a time, put where it is made."""

    def __init__(self, sounds: Sounds, id: str) -> None:
        """`id` is the player's in the page."""
        self._sounds = sounds
        self.player = gr.HTML(elem_id=id)
        self.last = gr.State("")
        """The name of the sound that the player has."""

    @property
    def outputs(self) -> list[Any]:
        """What `heard` changes."""
        return [self.player, self.last]

    def again(self, click: Any) -> Any:
        """`click` of the button that begins one, also while another is being spoken."""
        return partial(click, trigger_mode="multiple")

    async def heard(
        self, request: SpeechRequest, ticket: Ticket, last: str
    ) -> AsyncGenerator[Update]:
        """Speak `request` instead of the sound `last`, until it ends or nobody listens any more.

        Raises what keeps it from being spoken, or from being spoken to its end.
        """
        if last:
            self._sounds.stop(last)
            with suppress(NotFound):  # it was stopped, or swept
                await self._sounds.delete(last)  # nothing lists it
        take = self._sounds.begin(request, ticket)
        try:
            yield {self.player: "", self.last: take.name}
            async for _ in take.waiting(LOOKED_AFTER_S):  # Gradio looks whether the page is open
                yield {}
            yield {self.player: player_html(take.name)}
            async for _ in take.going_on(LOOKED_AFTER_S):
                yield {}
        except Cancelled:  # for another one, or by who sees it on the page Status
            return
        finally:
            take.stop()  # whoever closed the page hears no more
