"""What the Long text page shows: of a document its lines and the chosen one; of none, the start."""

from __future__ import annotations

from typing import Any

import gradio as gr

from alltalk.documents import Manner
from alltalk.product import Product
from alltalk.ui.kept import Memory
from alltalk.ui.long_text_layout import Layout
from alltalk.ui.long_text_view import (
    Shown,
    field_values,
    player_html,
    progress_html,
    status_html,
)
from alltalk.ui.parts import Update

_UNCHANGED: Any = object()


class Page(Layout):
    """The components, and updates that have them show something. Nothing is changed here."""

    def __init__(self, product: Product) -> None:
        super().__init__()
        self.texts, self._service = product.long_texts, product.service

    @property
    def everything(self) -> list[Any]:
        """What opening and closing a document changes."""
        return [*self.shown_components, *self.editor_components, self.kept.change]

    async def opened(self, id: str) -> Update:
        """That document, which the browser then remembers. Raises NotFound, StorageError."""
        folder = await self.texts.open(id)
        document = folder.document
        manner = document.manner
        return {
            **await self.view(id, 0, chosen=None),
            **await self.editor(id, None),
            self.id: id,
            self.start: gr.update(visible=False),
            self.desk: gr.update(visible=True),
            self.player: "",
            self.exported: "",
            self.whole_title: document.title,
            **dict(zip(self.whole, field_values(manner), strict=True)),
            **self.kept.adding(id, document.title, opens=True),
        }

    def closed(self) -> Update:
        """No document."""
        return {
            self.id: "",
            self.start: gr.update(visible=True),
            self.desk: gr.update(visible=False),
            self.timer: gr.Timer(active=False),
            self.player: "",
            **self.kept.closing(),
        }

    def without(self, id: str) -> Update:
        """No document, and that one is known no more."""
        return {**self.closed(), **self.kept.removing(id)}

    async def known_documents(self, memory: Memory) -> Update:
        """The visitor's documents, to open one."""
        known = [(title, id) for id, title in memory["known"]]
        return {
            self.known_row: gr.update(visible=bool(known)),
            self.known: gr.update(choices=known, value=known[-1][1] if known else None),
        }

    async def view(self, id: str, page: int, chosen: int | None = _UNCHANGED) -> Update:
        """The lines of that page, and how far all of them are.

        The choice stays as it is unless `chosen` says otherwise: it may have changed meanwhile.
        """
        if not id:
            return {self.timer: gr.Timer(active=False)}
        folder, progress = await self.texts.open(id), await self.texts.progress(id)
        document, pieces = folder.now()
        shown = Shown(folder, document, pieces, progress, 0)
        page = min(max(page, 0), shown.pages - 1)
        shown = Shown(folder, document, pieces, progress, page)
        choices = await self.texts.run(shown.choices)
        is_speaking = progress.state != "idle"
        several = shown.pages > 1
        lines = {} if chosen is _UNCHANGED else {"value": chosen}
        return {
            self.page: page,
            self.title: f"## {_plain(document.title)}",
            self.progress: progress_html(progress),
            self.lines: {**gr.update(choices=choices), **lines},
            self.place: f"Page {page + 1} of {shown.pages}" if several else "",
            self.previous: gr.update(visible=several, interactive=page > 0),
            self.next: gr.update(visible=several, interactive=page + 1 < shown.pages),
            self.speak: gr.update(interactive=not is_speaking),
            self.stop: gr.update(interactive=is_speaking),
            self.play: gr.update(interactive=bool(pieces)),
            self.timer: gr.Timer(active=is_speaking),
        }

    async def editor(self, id: str, line: int | None) -> Update:
        """The chosen line's own text and manner."""
        folder = await self.texts.open(id)
        known = folder.document.by_id.get(line or 0)
        manner = known.manner if known else Manner()
        problem = ""
        if known:
            problem = (await self.texts.progress(id)).failures.get(known.id, "")
        fields = (self.voice, self.language, self.speed, self.pitch, self.pause_s)
        values = dict(zip(fields, field_values(manner), strict=True))
        needs = [self.save, self.again, self.play_from, self.up, self.down, self.removal.ask]
        return {
            self.why: status_html(problem, wrong=True)
            or ("" if known else status_html("Choose a line to change it, or to hear it.")),
            self.edited: known.id if known else None,
            self.text: gr.update(value=known.text if known else "", interactive=known is not None),
            **values,
            self.chapter: known.begins_chapter if known else False,
            **{button: gr.update(interactive=known is not None) for button in needs},
        }

    async def player_from(self, id: str, start: int | None) -> str:
        """Of what is spoken, from the line of id `start` on."""
        timeline = await self.texts.timeline(id, start, leave_out=True)
        return player_html(id, start, timeline.digest)

    async def choices(self) -> Update:
        """The voices and languages of the engine that is there now."""
        voices = await self._service.lane().run(self._service.voices)
        offers = self._service.pool.offers
        tags = sorted(offers[0].capabilities.languages) if offers else []
        known = {
            "Voice": [voice.name for voice in voices],
            "Language": ["auto", *tags] if tags else [],
        }
        return {
            each: gr.update(choices=[(first, ""), *((name, name) for name in known[each.label])])
            for each, first in self.choosable
        }


def _plain(title: str) -> str:
    """`title` without meaning to Markdown."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>()#+-.!|$~" else c for c in title)
