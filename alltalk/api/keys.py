"""Who calls: API keys as bearer tokens, links with `?token=`, a page's cookie."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from http.cookies import CookieError, SimpleCookie
from typing import Literal
from urllib.parse import parse_qs, quote, unquote

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from alltalk.api.errors import answer
from alltalk.api.guard import same_origin
from alltalk.errors import Unauthorized
from alltalk.keys import ApiKey, Role, find_key
from alltalk.tokens import TokenSigner

COOKIE = "alltalk_session"
COOKIE_PATH = "cookie:/"
"""What a cookie's token is signed for: no path that could be asked for."""
LINK_TTL_S = 3600.0
"""Seconds that a signed link is good for: as long as a page with a player may stay open."""

OPEN = frozenset(
    {
        *("/api/ready", "/health", "/login", "/logout", "/favicon.ico"),
        *("/docs", "/redoc", "/openapi.json"),
    }
)
"""Paths that need no key, besides `/static/`."""

Proof = Literal["", "bearer", "token", "cookie"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as far as shown."""

    key: ApiKey | None = None
    """None: nobody known, or no key is set."""
    proof: Proof = ""
    role: Role = Role.USER


class ApiKeys:
    """Finds out who calls. Once a key is set, refuses with 401 whoever shows none.

    Leaves `alltalk.key` (ApiKey or None), `alltalk.role` and `alltalk.proof` in the scope.
    """

    def __init__(
        self, app: ASGIApp, keys: Callable[[], Sequence[ApiKey]], signer: TokenSigner
    ) -> None:
        self._app, self._keys, self._signer = app, keys, signer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on whoever may come in."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        keys = self._keys()
        caller = self._caller(scope, keys) if keys else Caller(role=_role_without_keys(scope))
        scope["alltalk.key"], scope["alltalk.role"] = caller.key, caller.role
        scope["alltalk.proof"] = caller.proof
        if keys and caller.key is None and not is_open(scope["path"]):
            await self._refuse(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _caller(self, scope: Scope, keys: Sequence[ApiKey]) -> Caller:
        headers = Headers(scope=scope)
        if key := find_key(keys, _bearer(headers)):
            return Caller(key, "bearer", Role.named(key.role))
        token = _query_token(scope)
        if token and (key := self._signer.check(scope["path"], token, keys)):
            return Caller(key, "token", Role.USER)
        token = _cookie(headers) if same_origin(headers) else ""
        if token and (key := self._signer.check(COOKIE_PATH, token, keys)):
            return Caller(key, "cookie", Role.named(key.role))
        return Caller()

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        response = _to_login(scope) or await answer(scope, Unauthorized(_ADVICE))
        await response(scope, receive, send)


_ADVICE = (
    "This server needs an API key: send it as `Authorization: Bearer KEY`. "
    "`alltalk keys add NAME` makes one."
)


def is_open(path: str) -> bool:
    """True for what needs no key: whether the server is there, and static pages."""
    return path in OPEN or path.startswith("/static/")


def role_of(scope: Scope) -> Role:
    """What the caller may do. Without keys, whoever calls from this machine may do everything."""
    role: Role = scope.get("alltalk.role", Role.USER)
    return role


def signed_path(http: HTTPConnection, path: str) -> str:
    """`path` (of a URL, no query) with a token, where the caller needed a key to get here."""
    key: ApiKey | None = http.scope.get("alltalk.key")
    if key is None:
        return path
    signer: TokenSigner = http.app.state.signer
    return f"{path}?token={signer.sign(unquote(path), key, LINK_TTL_S)}"


def _role_without_keys(scope: Scope) -> Role:
    """ADMIN for this machine's own programs; what a proxy forwards came from elsewhere."""
    forwarded = {b"forwarded", b"x-forwarded-for", b"x-real-ip"}
    if any(name in forwarded for name, _ in scope["headers"]):
        return Role.USER
    client = scope["client"]
    return Role.ADMIN if client and _is_this_machine(client[0]) else Role.USER


@lru_cache(maxsize=1024)
def _is_this_machine(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback)


def _bearer(headers: Headers) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _query_token(scope: Scope) -> str:
    """The `?token=` of a request that only reads."""
    if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
        return ""
    query: bytes = scope["query_string"]
    return parse_qs(query.decode("latin-1")).get("token", [""])[-1]


def _cookie(headers: Headers) -> str:
    cookies: SimpleCookie = SimpleCookie()
    try:
        cookies.load(headers.get("cookie", ""))
    except CookieError:
        return ""
    return str(cookies[COOKIE].value) if COOKIE in cookies else ""


def _to_login(scope: Scope) -> Response | None:
    """Somebody who opens a page is asked for a key; programs are told that one is missing."""
    accept = Headers(scope=scope).get("accept", "")
    if scope["method"] != "GET" or "text/html" not in accept:
        return None
    return RedirectResponse(f"/login?next={quote(local_path(scope['path']))}", 303)


def local_path(path: str) -> str:
    r"""`path` if it stays on this server, else `/`: to browsers `//host` and `/\host` do not."""
    local = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if local and path.isprintable() else "/"
