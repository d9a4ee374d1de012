"""Which web pages may read the answers: those of any origin, unless settings narrow it."""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from alltalk.api.guard import guarded
from alltalk.config import Server

EXPOSED = (
    *("X-Request-ID", "X-Request-Tag", "X-Cache", "X-Route"),
    *("Retry-After", "Content-Disposition"),
)
"""Headers that pages may read."""


class CrossOrigin:
    """Adds the CORS headers and answers preflights.

    Stands outside of everything that can fail, so that pages may read errors too. Never with
    credentials: no cookie of ours is meant for another page. Guarded routes are closed to other
    pages, except that with API keys set a page may try: `Guard` lets in who has one.
    """

    def __init__(self, app: ASGIApp, settings: Callable[[], Server]) -> None:
        self._app, self._settings = app, settings
        self._allowed: tuple[str, ...] | None = None
        self._open: ASGIApp = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        settings = self._settings()
        if scope["type"] != "http" or (
            guarded(scope["path"], _method(scope)) and not settings.api_keys
        ):
            await self._app(scope, receive, send)
        else:
            await self._for(settings.cors_allow_origins)(scope, receive, send)

    def _for(self, origins: tuple[str, ...]) -> ASGIApp:
        """The middleware for `origins`, made again when they were changed."""
        if origins != self._allowed:
            self._allowed, self._open = origins, self._made(origins)
        return self._open

    def _made(self, origins: tuple[str, ...]) -> ASGIApp:
        if not origins:
            return self._app
        return CORSMiddleware(
            self._app,
            allow_origins=origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )


def _method(scope: Scope) -> str:
    """The method that is asked for: of a preflight, the one that it announces."""
    announced = Headers(scope=scope).get("access-control-request-method")
    method: str = scope["method"]
    return announced if announced and method == "OPTIONS" else method
