"""The server as an ASGI application: the product behind its doors."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp

from alltalk import __version__
from alltalk.api import (
    backends,
    catalogue,
    conversion,
    document_files,
    documents,
    engines,
    errors,
    files,
    generate,
    generator,
    health,
    login,
    openai,
    pages,
    requests,
    streaming,
    voice_registry,
    voices,
)
from alltalk.api import control as control_routes
from alltalk.api import settings as settings_routes
from alltalk.api.json import JSONResponse
from alltalk.api.security import around
from alltalk.api.sessions import Sessions
from alltalk.autoplay import Autoplay
from alltalk.documents import LARGEST_FILE
from alltalk.home import Home
from alltalk.presence import announced
from alltalk.product import build, running
from alltalk.tokens import TokenSigner, home_secret
from alltalk.ui.pages import PATH as PAGES_PATH
from alltalk.ui.pages import Pages

logger = logging.getLogger(__name__)

ROUTERS = (
    *(openai, generate, streaming, health, voices, engines, control_routes, requests, files),
    *(settings_routes, pages, generator, voice_registry, conversion, backends, login),
    *(documents, document_files, catalogue),
)
"""Routes are tried in this order: what is asked for most comes first."""
LARGEST_BODY = 16 * 1024 * 1024
"""Bytes, of what is held in memory. Uploaded files go to disk as they arrive."""
MOST_CLIPS = 10
"""Of the largest size, in one upload."""


def create_app(home: Home | None = None, *, engine: str | None = None) -> FastAPI:
    """The whole server as an ASGI application."""
    product = build(home or Home.find(), engine=engine)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        service, metrics = product.service, product.metrics
        async with (
            running(product),
            announced(
                service.config.presence,
                service.config.port,
                lambda: health.node_state(service, metrics),
            ),
        ):
            try:
                yield
            finally:
                await app.state.pages.close()
        autoplay.close()

    app = _Application(
        title="AllTalk",
        version=__version__,
        lifespan=lifespan,
        default_response_class=JSONResponse,
        summary="Text to speech on your own machine.",
    )
    app.state.service, app.state.metrics = product.service, product.metrics
    app.state.answers, app.state.control = product.answers, product.control
    app.state.autoplay = autoplay = Autoplay()
    app.state.studio, app.state.conversions = product.studio, product.conversions
    app.state.long_texts, app.state.installs = product.long_texts, product.installs
    app.state.signer = TokenSigner(home_secret(product.home.root))
    app.state.sessions, app.state.server_id = Sessions(), uuid.uuid4().hex
    errors.install(app)
    for module in ROUTERS:
        app.include_router(module.router)
    app.state.pages = Pages(product)
    app.mount(PAGES_PATH, app.state.pages)
    return app


class _Application(FastAPI):
    """What stands before every answer, unexpected failures' included, is put outermost."""

    def build_middleware_stack(self) -> ASGIApp:
        """FastAPI's own stack inside ours."""
        inner = around(
            super().build_middleware_stack(),
            config=lambda: self.state.service.config,
            metrics=self.state.metrics,
            signer=self.state.signer,
            largest_body=lambda path: _largest_body(
                path, self.state.studio.largest_bytes, self.state.conversions.largest_bytes
            ),
        )
        return backends.AnyCase(inner)


def _largest_body(path: str, clip_bytes: int, rvc_bytes: int) -> int:
    """Bytes of a request to `path`."""
    if path == "/v1/rvc-voices":
        return 2 * rvc_bytes + LARGEST_BODY
    if path.startswith(f"{PAGES_PATH}/"):
        return max(LARGEST_FILE, 2 * rvc_bytes, MOST_CLIPS * clip_bytes) + LARGEST_BODY
    if path == "/v1/documents":
        return LARGEST_FILE + LARGEST_BODY
    if path == "/v1/voices":
        return MOST_CLIPS * clip_bytes + LARGEST_BODY
    has_clip = path.startswith(("/v1/audio/speech", "/v1/audio/convert"))
    return clip_bytes + LARGEST_BODY if has_clip else LARGEST_BODY
