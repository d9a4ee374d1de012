"""Pages: `/ui`, loaded when somebody first looks, so that speaking waits for none of it."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import re
from importlib.util import find_spec

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from alltalk.product import Product
from alltalk.ui import sounds

logger = logging.getLogger(__name__)

PATH = "/ui"
_ELSEWHERE = re.compile(r"/file[=/]\s*https?:", re.IGNORECASE)
"""The path of a file that lies on another server."""


class Pages:
    """An application to be mounted at `/ui`."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._sounds = sounds.Sounds(product.service)
        self._loading = asyncio.Lock()
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from the pages, which the first visitor waits for."""
        if not self._product.config.current.gradio_interface:
            app: ASGIApp = PlainTextResponse("The pages are off (`gradio_interface`).\n", 404)
        elif _ELSEWHERE.search(scope["path"]):  # Gradio would fetch it, and serve it as ours
            app = PlainTextResponse("Files of other servers are not served here.\n", 404)
        elif scope.get("method") == "HEAD":  # the landing page asks whether there are any
            app = PlainTextResponse(status_code=200 if find_spec("gradio") else 404)
        elif scope["type"] == "http" and scope["path"].startswith(f"{PATH}/{sounds.PATH}/"):
            app = self._sounds
        else:
            app = await self._loaded()
        await app(scope, receive, send)

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
        # Two seconds of work, which no speaker may notice.
        app = await self._product.studio.run(importlib.import_module, "alltalk.ui.app")
        pages = await self._product.studio.run(app.build, self._product, self._sounds)
        started: ASGIApp = await app.started(pages, PATH)
        return started


_BROKEN = "The pages cannot be shown: the log says why.\n"
_ADVICE = "The pages are not installed. Install them with: pip install 'alltalk[ui]'\n"
