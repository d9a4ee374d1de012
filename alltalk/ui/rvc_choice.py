"""The choice of an RVC voice and its pitch, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from alltalk.conversion import Conversions
from alltalk.errors import AllTalkError, BadInput
from alltalk.speech import Conversion
from alltalk.ui.parts import Update, choice

SWITCHED_OFF = "Voice conversion is switched off. Switch it on on the page “Voices”, “RVC voices”."
NO_VOICE = "There is no RVC voice yet. Add one on the page “Voices”, under “RVC voices”."
NOT_CHOSEN = "Choose an RVC voice first."
LEFT_ALONE = "None"


@dataclass(frozen=True, slots=True)
class RvcOffer:
    """What sound can be converted to now."""

    voices: tuple[str, ...]
    reason: str
    """Why there is no voice, and what to do about it; empty: there are some."""
    is_off: bool = False
    """All that is missing is to switch it on."""


async def offered(conversions: Conversions) -> RvcOffer:
    """What `conversions` can do now."""
    try:
        await conversions.require_installed()
    except AllTalkError as error:
        return RvcOffer((), str(error))
    if not conversions.enabled:
        return RvcOffer((), SWITCHED_OFF, is_off=True)
    voices = await conversions.voices()
    return RvcOffer(tuple(voices), "" if voices else NO_VOICE)


class RvcChoice:
    """Two fields for one role."""

    def __init__(self, voice: str, pitch: str) -> None:
        """`voice` and `pitch` are their labels."""
        with gr.Row():
            self.voice = gr.Dropdown([(LEFT_ALONE, "")], value="", label=voice, min_width=200)
            self.pitch = gr.Slider(-24, 24, value=0, step=1, label=pitch, min_width=200)

    @property
    def fields(self) -> list[Any]:
        """For inputs and outputs."""
        return [self.voice, self.pitch]

    def asked(self, values: Mapping[Any, Any]) -> Conversion | None:
        """What is chosen, by the fields' values."""
        voice = values[self.voice]
        return Conversion(voice, values[self.pitch]) if voice else None

    def offering(self, offer: RvcOffer, now: str, wanted: str) -> Update:
        """The fields with that to choose from; `now` is chosen, and `wanted` if it is there."""
        names = [(LEFT_ALONE, ""), *((name, name) for name in offer.voices)]
        can = bool(offer.voices)
        return {
            self.voice: choice(names, now, wanted, interactive=can),
            self.pitch: gr.update(interactive=can),
        }


def needed(conversion: Conversion | None) -> Conversion:
    """Raises BadInput where no voice was chosen."""
    if conversion is None:
        raise BadInput(NOT_CHOSEN)
    return conversion
