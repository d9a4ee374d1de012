"""One line in the log and one count in the metrics for each request. Pure ASGI."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alltalk.errors import AllTalkError
from alltalk.logs import Reported
from alltalk.metrics import Metrics

logger = logging.getLogger(__name__)

POLLED = frozenset({"/api/ready", "/health", "/metrics"})
"""Asked for every second by monitors: logged at debug only."""
UNCOUNTED = "/metrics"


class Observed:
    """Measures each request, and reports what failed: once, with its id.

    The path is logged without its query, where V2's streaming has its text.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on. What comes out as an exception is reported, and raised as `Reported`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, answer = time.perf_counter(), _Answer(send)
        try:
            with self._metrics.answering():
                await self._app(scope, receive, answer.send)
        except Exception as error:
            scope["alltalk.error"] = error
            _report(scope, error)
            raise Reported(str(error)) from error
        finally:
            self._note(scope, answer, time.perf_counter() - began)

    def _note(self, scope: Scope, answer: _Answer, seconds: float) -> None:
        if (error := scope.get("alltalk.error")) is not None:
            self._metrics.failed(error)
        if scope["path"] != UNCOUNTED:
            endpoint = getattr(scope.get("route"), "path", "")
            self._metrics.answered(endpoint, scope["method"], answer.status, seconds)
        level = logging.DEBUG if scope["path"] in POLLED else logging.INFO
        if logger.isEnabledFor(level):
            _log(level, scope, answer, seconds * 1000)


class _Answer:
    """Passes an answer on, and remembers how far it came."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 499
        """Until one was sent: the client left before."""
        self.complete = False

    async def send(self, message: Message) -> None:
        """Send on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.complete = not message.get("more_body", False)
        await self._send(message)


def _report(scope: Scope, error: BaseException) -> None:
    """One line for what we raise on purpose; a traceback for what we did not expect."""
    root = _origin(error)
    what = f"{scope['method']} {scope['path']}"
    if isinstance(root, AllTalkError):
        scope["alltalk.error"] = root
        logger.error("%s failed after its answer had begun: %s", what, root)
    else:
        logger.error("%s failed: %r", what, error, exc_info=error)


def _origin(error: BaseException) -> BaseException:
    """What went wrong first: frameworks wrap what they cannot answer any more."""
    while not isinstance(error, AllTalkError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _log(level: int, scope: Scope, answer: _Answer, ms: float) -> None:
    """The request's line; the same in fields where the log is JSON."""
    method, path, tag = scope["method"], scope["path"], scope.get("alltalk.tag", "")
    end = ("" if answer.complete else " (cut)") + (f" {tag}" if tag else "")
    key = scope.get("alltalk.key")
    fields = {
        "method": method,
        "path": path,
        "status": answer.status,
        "complete": answer.complete,
        "ms": round(ms, 1),
        "tag": tag,
        "client": key.name if key else "",
    }
    logger.log(
        level,
        "%s %s %d in %.1f ms%s",
        method,
        path,
        answer.status,
        ms,
        end,
        extra={"fields": fields},
    )
