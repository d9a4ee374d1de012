"""What stands before every route: ids, log, CORS, keys, guard, sizes of bodies. Pure ASGI."""

from __future__ import annotations

import re
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alltalk.api.cors import CrossOrigin
from alltalk.api.guard import Guard
from alltalk.api.keys import ApiKeys
from alltalk.api.observe import Observed
from alltalk.config import Config
from alltalk.errors import TooLarge
from alltalk.logs import within_request
from alltalk.metrics import Metrics
from alltalk.serving.requests import new_id
from alltalk.tokens import TokenSigner

_TAG = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class RequestIds:
    """Gives each request its id, and tells it in `X-Request-ID`.

    The id cancels (`DELETE /api/requests/{id}`), so it is ours and cannot be guessed. One that a
    client sends is a tag: listed and told back, but no right to anything.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with the id in `scope`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope).get("x-request-id", "")
        scope["alltalk.id"] = new_id()
        scope["alltalk.tag"] = sent if _TAG.fullmatch(sent) else ""

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = scope["alltalk.id"]
                if scope["alltalk.tag"]:
                    headers["X-Request-Tag"] = scope["alltalk.tag"]
            await send(message)

        with within_request(scope["alltalk.id"]):
            await self._app(scope, receive, send_with_id)


class BodyLimit:
    """Refuses bodies over a size, by their announced length at once, else as they arrive."""

    def __init__(self, app: ASGIApp, limit: Callable[[str], int]) -> None:
        """`limit`: path → bytes."""
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; reading too much raises TooLarge in the route."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit, read = self._limit(scope["path"]), 0
        announced = Headers(scope=scope).get("content-length", "")

        async def counted() -> Message:
            nonlocal read
            if announced.isdigit() and int(announced) > limit:
                raise TooLarge(int(announced), limit)
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                raise TooLarge(read, limit)
            return message

        await self._app(scope, counted, send)


def around(
    app: ASGIApp,
    *,
    config: Callable[[], Config],
    metrics: Metrics,
    signer: TokenSigner,
    largest_body: Callable[[str], int],
) -> ASGIApp:
    """`app` inside all of it, from the request's id inwards.

    `config`: the settings in force now; `largest_body`: path → bytes.
    """
    app = BodyLimit(app, largest_body)
    app = Guard(app, lambda: config().server)
    app = ApiKeys(app, lambda: config().server.api_keys, signer)
    app = CrossOrigin(app, lambda: config().server)
    app = Observed(app, metrics)
    return RequestIds(app)
