"""What lies on the Long text page: its components, built inside Blocks. Nothing happens here."""

from __future__ import annotations

from typing import Any

import gradio as gr

from alltalk.documents import EXPORT_FORMATS, SAMPLE_RATES, SUFFIXES
from alltalk.ui.asked_twice import AskedTwice
from alltalk.ui.held import Choices, Held
from alltalk.ui.kept import Kept
from alltalk.ui.long_text_view import STYLE

TICK_S = 1.0
"""Seconds between two looks at a document that is being spoken."""
MOST_KEPT = 10_000
"""Documents that a browser remembers: about a megabyte of the five that it has room for."""
FORMATS = (*EXPORT_FORMATS, "srt", "vtt")
AS_DOCUMENT = "As the document"
AS_SETTINGS = "As the settings say"


class Layout:
    """The components, by name."""

    def __init__(self) -> None:
        gr.HTML(STYLE)
        # Kept by the visitor's own browser, so that no two visitors see each other's documents.
        self.kept = Kept("alltalk-documents", MOST_KEPT)
        self.id = Held("", visible=False)
        self.page = Held(0, visible=False)  # type: ignore[arg-type]  # a number is JSON, too
        self.timer = gr.Timer(TICK_S, active=False)
        self.status = gr.HTML(elem_id="long-text-message")
        with gr.Column(elem_id="long-text-start") as self.start:
            self._build_start()
        with gr.Column(visible=False, elem_id="long-text-document") as self.desk:
            self._build_desk()

    def _build_start(self) -> None:
        with gr.Row(visible=False) as self.known_row:
            self.known = gr.Dropdown(
                [],
                label="Your documents",
                info="Kept by this browser.",
                scale=3,
                allow_custom_value=True,  # which the server cannot know: see `held.py`
            )
            self.reopen = gr.Button("Open", scale=1)
        self.new_title = gr.Textbox(label="Title", max_lines=1, placeholder="Empty: its beginning")
        self.new_text = gr.Textbox(
            label="Text",
            lines=8,
            max_lines=16,
            placeholder="Paste the text here, or choose a file below.",
        )
        self.new_file = gr.File(
            label=f"Or a file: {', '.join(SUFFIXES)}", file_types=list(SUFFIXES), height=150
        )
        with gr.Row():
            self.new_split = gr.Radio(
                [("Paragraphs", "paragraphs"), ("Sentences", "sentences")],
                value="paragraphs",
                label="A line is one of its",
            )
            self.new_kind = gr.Radio(
                [("Plain text", "txt"), ("Markdown", "md")], value="txt", label="The pasted text is"
            )
        with gr.Row():
            self.new_voice, self.new_language = _voice_fields(AS_SETTINGS)
            self.new_rate = gr.Dropdown(
                [(f"{rate} Hz", rate) for rate in SAMPLE_RATES], value=24_000, label="Sample rate"
            )
        self.make = gr.Button("Make lines of it", variant="primary")

    def _build_desk(self) -> None:
        self.title = gr.Markdown()
        self.progress = gr.HTML(elem_id="long-text-progress")
        with gr.Row():
            self.speak = gr.Button("Speak all", variant="primary", min_width=130)
            self.stop = gr.Button("Stop", variant="stop", min_width=130)
            self.play = gr.Button("Play all", min_width=130)
            self.leave = gr.Button("All documents", min_width=130)
        self.player = gr.HTML(elem_id="long-text-player")
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                self.lines = Choices(
                    [], label="Lines", elem_id="long-text-lines", elem_classes="long-text-lines"
                )
                with gr.Row():
                    self.previous = gr.Button("◀ Previous page", size="sm", min_width=80)
                    self.next = gr.Button("Next page ▶", size="sm", min_width=80)
                self.place = gr.Markdown()
            with gr.Column(scale=2, min_width=320):
                self._build_editor()
        with gr.Accordion("Take it away", open=False):
            self._build_export()
        with gr.Accordion("All lines: title, voice and manner", open=False):
            self._build_whole()

    def _build_editor(self) -> None:
        self.why = gr.HTML()
        self.edited = gr.State(None)
        """The line that the fields show: another may have been chosen since."""
        self.text = gr.Textbox(label="Text of the chosen line", lines=4, max_lines=12)
        self.voice, self.language, self.speed, self.pitch, self.pause_s = _manner_fields(
            AS_DOCUMENT
        )
        self.chapter = gr.Checkbox(label="A chapter begins here; the text is its title")
        with gr.Row():
            self.save = gr.Button("Save", size="sm", min_width=80)
            self.again = gr.Button("Save and speak", size="sm", variant="primary", min_width=80)
            self.play_from = gr.Button("Play from here", size="sm", min_width=80)
        with gr.Row():
            self.up = gr.Button("Move up", size="sm", min_width=80)
            self.down = gr.Button("Move down", size="sm", min_width=80)
            self.removal = AskedTwice("Remove", "lines-remove", size="sm", min_width=80)
        self.removal.build_question("Really remove it")
        with gr.Accordion("Add lines", open=False):
            self.added = gr.Textbox(label="Text to add below the chosen line", lines=3)
            self.add = gr.Button("Add", size="sm")

    def _build_export(self) -> None:
        with gr.Row():
            self.format = gr.Dropdown(list(FORMATS), value="m4b", label="Format")
            self.leave_out = gr.Checkbox(
                label="Leave out what is not spoken", info="Otherwise all lines have to be."
            )
        self.export = gr.Button("Make the file")
        self.exported = gr.HTML(elem_id="long-text-export")

    def _build_whole(self) -> None:
        self.whole_title = gr.Textbox(label="Title", max_lines=1)
        self.whole = _manner_fields(AS_SETTINGS)
        self.change = gr.Button("Save for all lines")
        self.deletion = AskedTwice("Delete this document", "document-delete")
        self.deletion.build_question("Really delete it")

    @property
    def choosable(self) -> list[tuple[Any, str]]:
        """Fields for voices and languages, and what it is called to leave them open."""
        return [
            *((each, AS_SETTINGS) for each in (self.new_voice, self.new_language)),
            *((each, AS_SETTINGS) for each in self.whole[:2]),
            *((each, AS_DOCUMENT) for each in (self.voice, self.language)),
        ]

    @property
    def shown_components(self) -> list[Any]:
        """What shows a document's lines and how far they are."""
        return [
            *(self.page, self.title, self.progress, self.lines, self.place, self.previous),
            *(self.next, self.speak, self.stop, self.play, self.timer),
        ]

    @property
    def editor_components(self) -> list[Any]:
        """What shows the chosen line, and what opening another document changes."""
        return [
            *(self.why, self.edited, self.text, self.voice, self.language, self.speed, self.pitch),
            *(self.pause_s, self.chapter, self.save, self.again, self.play_from, self.up),
            *(self.down, self.removal.ask),
            *(self.id, self.start, self.desk, self.player, self.exported, self.whole_title),
            *(*self.whole, self.known_row, self.known),
        ]


def _manner_fields(first: str) -> tuple[Any, Any, Any, Any, Any]:
    """Voice, language, speed, pitch and pause, each of which may be left open."""
    with gr.Row():
        voice, language = _voice_fields(first)
    with gr.Row():
        speed = gr.Number(
            None, label="Speed", minimum=0.25, maximum=4, step=0.05, min_width=90, placeholder="1"
        )
        pitch = gr.Number(
            None,
            label="Semitones",
            minimum=-24,
            maximum=24,
            step=1,
            min_width=90,
            placeholder="0",
        )
        pause_s = gr.Number(
            None,
            label="Pause, s",
            minimum=0,
            maximum=60,
            step=0.1,
            min_width=90,
            placeholder="0.4",
        )
    return voice, language, speed, pitch, pause_s


def _voice_fields(first: str) -> tuple[Any, Any]:
    """Voice and language; `first` is what it is called to leave them open."""
    voice, language = (
        gr.Dropdown([(first, "")], value="", label=label, allow_custom_value=True, min_width=220)
        for label in ("Voice", "Language")
    )
    return voice, language
