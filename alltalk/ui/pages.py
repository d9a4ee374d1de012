"""Pages: `/ui`, loaded once the server is ready, so that speaking waits for none of it."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import re
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from importlib.util import find_spec
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alltalk.errors import AllTalkError
from alltalk.product import Product
from alltalk.scratch import Scratch
from alltalk.ui import sounds

logger = logging.getLogger(__name__)

PATH = "/ui"
_ELSEWHERE = re.compile(r"/file[=/]\s*https?:", re.IGNORECASE)
"""The path of a file that lies on another server."""

UPLOADS_S = 6 * 3600
"""Seconds that a file is kept which a visitor has uploaded."""
_ANSWERS = "/queue/data"
"""Where Gradio sends a page what its events have led to."""
QUIET_S = 1.0
"""Seconds between two looks whether somebody is being spoken for."""
_UPLOADS = "GRADIO_TEMP_DIR"
"""The environment variable that names the folder of uploads, looked at with each of them."""


class Pages:
    """An application to be mounted at `/ui`."""

    def __init__(self, product: Product, uploads_s: int = UPLOADS_S) -> None:
        self.product, self._uploads_s = product, uploads_s
        self._sounds = sounds.Sounds(product.service)
        self._loading = asyncio.Lock()
        self._app: ASGIApp | None = None
        self._open = AsyncExitStack()
        self._end_streams: Callable[[], None] = lambda: None
        self._is_leaving = False
        self._left = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from the pages, which the first visitor waits for."""
        if not self.product.config.current.gradio_interface:
            app: ASGIApp = PlainTextResponse("The pages are off (`gradio_interface`).\n", 404)
        elif _ELSEWHERE.search(scope["path"]):  # Gradio would fetch it, and serve it as ours
            app = PlainTextResponse("Files of other servers are not served here.\n", 404)
        elif scope.get("method") == "HEAD":  # the landing page asks whether there are any
            app = PlainTextResponse(status_code=200 if find_spec("gradio") else 404)
        elif scope["type"] == "http" and scope["path"].startswith(f"{PATH}/{sounds.PATH}/"):
            app = self._sounds
        else:
            app = await self._loaded()
            if scope["path"].endswith(_ANSWERS):
                receive = self._until_left(receive)
        await app(scope, receive, send)

    async def prepare(self) -> None:
        """Load them as soon as an engine can speak and nobody waits, so that no visitor has to."""
        config = self.product.config.current
        if not (config.gradio_interface and config.launch_gradio and find_spec("gradio")):
            return
        with suppress(AllTalkError):  # the pages are where it can be mended
            await self.product.pool.ready()
        while True:
            await asyncio.sleep(QUIET_S)
            if not len(self.product.service.requests):
                break
        await self._loaded()

    def leave(self) -> None:
        """Let go of the pages that are open: who is to stop waits for no reader of theirs."""
        self._is_leaving = True
        self._end_streams()
        self._letting_go = asyncio.ensure_future(self._let_go())

    async def _let_go(self) -> None:
        """Give the last answers their time once nobody is spoken for, then end all streams."""
        while True:
            await asyncio.sleep(QUIET_S)
            if not len(self.product.service.requests):
                break
        await asyncio.sleep(QUIET_S)
        self._left.set()

    def _until_left(self, receive: Receive) -> Receive:
        """`receive` for a stream of answers, whose reader counts as gone at the end.

        Gradio would keep it open for an answer that the page has missed.
        """

        async def until_left() -> Message:
            if self._left.is_set():
                return {"type": "http.disconnect"}
            told = asyncio.ensure_future(receive())
            left = asyncio.ensure_future(self._left.wait())
            try:
                await asyncio.wait({told, left}, return_when=asyncio.FIRST_COMPLETED)
                return told.result() if told.done() else {"type": "http.disconnect"}
            finally:
                told.cancel()
                left.cancel()

        return until_left

    async def close(self) -> None:
        """Remove what visitors have uploaded. Nobody may ask for anything after that."""
        await self._open.aclose()

    async def _loaded(self) -> ASGIApp:
        async with self._loading:
            if self._app is None:
                try:
                    self._app = await self._load()
                except ModuleNotFoundError as error:
                    logger.warning("The pages cannot be shown: %s", error)
                    return PlainTextResponse(_ADVICE, 404)
                except Exception:  # a library that does not fit: speaking must go on
                    logger.exception("The pages cannot be shown")
                    self._app = PlainTextResponse(_BROKEN, 503)
        return self._app

    async def _load(self) -> ASGIApp:
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when it is imported
        run = self.product.studio.run
        scratch = await run(Scratch)
        self._open.push_async_callback(run, scratch.close)
        self._open.callback(_set, _UPLOADS, os.environ.get(_UPLOADS))
        _set(_UPLOADS, str(scratch.path / "uploads"))
        # Two seconds of work, which no speaker may notice.
        module: Any = await run(importlib.import_module, "alltalk.ui.app")
        built = module.build(self.product, self._sounds, self._uploads_s)
        pages = await run(asyncio.run, built)
        app = await self._open.enter_async_context(module.running(pages, PATH))
        self._end_streams = partial(module.end_streams, app)
        if self._is_leaving:
            self._end_streams()
        loaded: ASGIApp = app
        return loaded


def _set(name: str, value: str | None) -> None:
    """Set that environment variable; None: let there be none."""
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


_BROKEN = "The pages cannot be shown: the log says why.\n"
_ADVICE = "The pages are not installed. Install them with: pip install 'alltalk[ui]'\n"
