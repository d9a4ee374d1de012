"""Guarded routes: those that change the server are not for other people's web pages.

A page of any origin can have its reader's browser send requests here. What such a request could
break is guarded: it must come from our own pages, from a program that is no browser, or with an API
key. A page that had its own name resolve to this machine (DNS rebinding) counts as its own
origin, so the name in `Host` is checked too.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from alltalk.api.errors import answer
from alltalk.config import Server
from alltalk.errors import Forbidden

_SAFE = ("GET", "HEAD", "OPTIONS")
_PREFIXES = ("/API/", "/admin/", "/update-settings", "/api/requests")
"""Guarded whatever the method."""
_CHANGED = (
    *("/v1/voices", "/v1/rvc-voices", "/v1/documents", "/v1/catalogue"),
    *("/ui", "/login", "/logout", "/api/tokens"),
)
"""Guarded, with all below, where the method is not one that only reads."""
_PROBES = ("/health", "/api/ready", "/metrics")
_HOST = re.compile(r"\[(?P<six>[^\]]*)\](?::\d*)?|(?P<name>[^:]*)(?::\d*)?")
_PRIVATE_ENDINGS = (".localhost", ".local", ".internal", ".home.arpa")
"""Domains that nobody can register."""


class Guard:
    """Refuses with 403 what only our own pages, programs and holders of a key may ask for."""

    def __init__(self, app: ASGIApp, settings: Callable[[], Server]) -> None:
        self._app, self._settings = app, settings
        self._machine = socket.gethostname().lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is allowed."""
        problem = self._problem(scope) if scope["type"] == "http" else ""
        if not problem:
            await self._app(scope, receive, send)
            return
        response = await answer(scope, Forbidden(problem))
        response.status_code = 403  # also where the API's own failures are 200
        await response(scope, receive, send)

    def _problem(self, scope: Scope) -> str:
        """Why the request is refused; empty: it is not."""
        if scope.get("alltalk.proof") == "bearer":
            return ""
        settings, headers = self._settings(), Headers(scope=scope)
        if guarded(scope["path"], scope["method"]) and not same_origin(headers):
            return (
                "Pages of other sites may not ask for this. "
                "Use AllTalk's own pages, a program, or an API key."
            )
        host = headers.get("host", "")
        if self._checks_host(scope, settings) and not known_host(
            host, (self._machine, *settings.allowed_hosts)
        ):
            return (
                f"This server is not known as {host[:80]!r}. Ask for it by its address, "
                "or add that name to server.allowed_hosts."
            )
        return ""

    def _checks_host(self, scope: Scope, settings: Server) -> bool:
        """What pages of any origin may read anyway, a rebound one may as well."""
        if guarded(scope["path"], scope["method"]):
            return True
        return "*" not in settings.cors_allow_origins and scope["path"] not in _PROBES


def guarded(path: str, method: str) -> bool:
    """True for requests that change the server or read its backends."""
    if method == "DELETE" or path.startswith(_PREFIXES):
        return True
    if method in _SAFE:
        return False
    return any(path == each or path.startswith(f"{each}/") for each in _CHANGED)


def same_origin(headers: Headers) -> bool:
    """True unless a browser sends this for a page of another origin.

    Browsers send `Sec-Fetch-Site` to localhost and over TLS, and `Origin` with all that is not
    a plain GET; a page can forge neither. The scheme is not compared: behind a proxy that ends
    TLS it is another.
    """
    if site := headers.get("sec-fetch-site"):
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
    except ValueError:
        return False


def known_host(host: str, names: Sequence[str]) -> bool:
    """True when a foreign page cannot have made `host` (a `Host` header) mean this machine.

    That is: an IP address, a name without dots, one that ends like no public name, or one of
    `names`, where `*` means any and `*.example.com` the names below. Nothing at all is no browser.
    """
    found = _HOST.fullmatch(host.strip().lower())
    if found is None:
        return False
    if found["six"] is not None:
        return _is_address(found["six"])
    name = (found["name"] or "").rstrip(".")
    if "." not in name or _is_address(name) or name.endswith(_PRIVATE_ENDINGS):
        return True
    return any(_matches(name, each.lower()) for each in names)


def _matches(name: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return name.endswith(pattern[1:])
    return pattern in ("*", name)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
