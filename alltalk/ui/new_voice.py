"""A new voice on the Voices page: recordings uploaded or made, checked, and added."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gradio as gr

from alltalk.clips import decode, make_reference
from alltalk.errors import BadInput
from alltalk.product import Product
from alltalk.ui.long_text_view import clock, shown_text, status_html
from alltalk.ui.parts import Update, connect, uploaded
from alltalk.ui.picture import picture_html
from alltalk.voices import TRANSCRIPT_CHARS, NewVoice

ANY = "Any"
_NO_CLONING = (
    "speaks only as its own voices. What is added here is kept for an engine that clones, "
    "such as XTTS: see the page “Engines”."
)


class NewVoiceForm:
    """Its components, and what happens when they are used."""

    def __init__(self, product: Product) -> None:
        self._service, self._studio = product.service, product.studio
        self._note = gr.HTML(elem_id="voices-note")
        with gr.Row():
            self._files = gr.File(
                label="Recordings; several are a set of one speaker",
                file_count="multiple",
                elem_id="voices-files",
                height=150,
            )
            self._record = gr.Audio(
                sources=["microphone"],
                type="filepath",
                label="Or record one",
                elem_id="record",
                buttons=["download"],  # sharing would send it to another server
            )
        self._checked = gr.HTML(elem_id="voices-checked")
        with gr.Row():
            self._name = gr.Textbox(
                label="Name of the new voice", max_lines=1, placeholder="Empty: the file's name"
            )
            self._language = gr.Dropdown([(ANY, "")], value="", label="Language it speaks")
            self._said = gr.Textbox(
                label="What is said in the recording",
                placeholder="Some engines clone better so.",
                max_length=TRANSCRIPT_CHARS,
            )
        self._replace = gr.Checkbox(label="Replace a voice of that name")
        self._add_button = gr.Button("Add this voice", variant="primary")
        self._message = gr.HTML(elem_id="voices-added")

    def wire(self, listed: Callable[[str], Awaitable[Update]], shown: Sequence[Any]) -> None:
        """Connect the components; `listed` tells the components `shown` of the new voice."""
        self._listed = listed
        clips: list[Any] = [self._files, self._record]
        for each in clips:
            connect(each.change, self._check, clips, [], self._checked)
        fields = [*clips, self._name, self._said, self._language, self._replace]
        connect(self._add_button.click, self._add, fields, [*shown, *fields], self._message)

    @property
    def outputs(self) -> list[Any]:
        """What `offering` changes."""
        return [self._note, self._language]

    def offering(self) -> Update:
        """The languages of the engine that is there now, and whether it clones."""
        current = self._service.pool.current
        offer = current.offer if current else None
        tags = sorted(offer.capabilities.languages) if offer else []
        note = f"{offer.engine} {_NO_CLONING}" if offer and not offer.capabilities.cloning else ""
        return {
            self._note: status_html(note),
            self._language: gr.update(choices=[(ANY, ""), *((tag, tag) for tag in tags)]),
        }

    async def _check(self, files: list[str] | None, recorded: str | None) -> Update:
        """How the clips look, and what better ones would not have, before they are added."""
        longest_s = self._service.config.voices.max_clip_s
        paths = self._paths(files, recorded)
        found = [await self._studio.run(checked_html, path, longest_s) for path in paths]
        return {self._checked: "".join(found)}

    async def _add(
        self,
        files: list[str] | None,
        recorded: str | None,
        name: str,
        said: str,
        language: str,
        replace: bool,
    ) -> Update:
        paths = self._paths(files, recorded)
        if not paths:
            raise BadInput("Choose a recording, or make one with the microphone.")
        if not name and not files:
            raise BadInput("Give the recorded voice a name.")
        with ExitStack() as stack:
            clips = [(each.name, stack.enter_context(each.open("rb"))) for each in paths]
            name = name or paths[0].stem
            added = await self._studio.add(NewVoice(name, clips, language, said, replace))
        hints = " ".join(added.warnings)
        return {
            **await self._listed(added.voice.name),
            **dict.fromkeys((self._files, self._record)),
            **dict.fromkeys((self._name, self._said, self._language), ""),
            self._replace: False,
            self._message: status_html(f"{added.voice.name} is there now. {hints}"),
        }

    def _paths(self, files: list[str] | None, recorded: str | None) -> list[Path]:
        """Raises TooLarge."""
        largest = self._studio.largest_bytes
        return [*uploaded(files, largest), *uploaded(recorded, largest)]


def checked_html(path: Path, longest_s: float) -> str:
    """A clip's length, its picture, and what a better one would not have.

    Raises UnreadableClip where no voice can be made of it.
    """
    with path.open("rb") as file:
        reference = make_reference(decode(file, path.name, longest_s), path.name)
    hints = "".join(f"<li>{shown_text(each)}</li>" for each in reference.warnings)
    said = "Look at:" if hints else "Nothing to improve."
    title = f"{path.name[:80]}: {clock(reference.audio.seconds)} of sound. {said}"
    return f"<p>{shown_text(title)}</p><ul>{hints}</ul>{picture_html(reference.audio)}"
