"""Taking a document away from the Long text page: it is made, and a link saves it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import BinaryIO

from alltalk.documents import EXPORT_FORMATS, ExportFormat
from alltalk.ui.long_text_layout import TICK_S
from alltalk.ui.long_text_shown import Page
from alltalk.ui.long_text_view import link_html, status_html
from alltalk.ui.parts import Update


class Export:
    """What happens where `page` has the document taken away."""

    def __init__(self, page: Page) -> None:
        self._page, self._texts = page, page.texts

    def wire(self, on: Callable[..., None]) -> None:
        """Connect the components by `on`."""
        page = self._page
        asked = [page.id, page.format, page.leave_out]
        on(page.export.click, self._export, asked, [page.exported])

    async def _export(self, id: str, format: str, leave_out: bool) -> AsyncGenerator[Update]:
        """How far it is, then the link, which has it made anew if it was changed by then."""
        title = (await self._texts.open(id)).document.title
        link = {self._page.exported: link_html(id, format, leave_out, title)}
        if format not in EXPORT_FORMATS:
            await self._texts.timeline(id, leave_out=leave_out)  # what is missing is told now
            yield link
            return
        share = 0.0

        def written(now: float) -> None:
            nonlocal share
            share = now

        chosen = ExportFormat.named(format)
        made = self._texts.exported(id, chosen, leave_out=leave_out, written=written)
        task = asyncio.create_task(made)
        task.add_done_callback(_close)
        try:
            while not task.done():
                yield {self._page.exported: status_html(f"Making the {format}: {share:.0%}")}
                await asyncio.wait({task}, timeout=TICK_S / 2)
            await task
        finally:
            task.cancel()
        yield link


def _close(task: asyncio.Task[BinaryIO]) -> None:
    """Close what was made, for it is read by whoever follows the link."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()
