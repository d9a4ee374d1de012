"""The only table from error to status, and how each API words a failure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Scope

from alltalk import errors
from alltalk.api.json import JSONResponse
from alltalk.errors import AllTalkError

logger = logging.getLogger(__name__)

STATUS: Mapping[type[AllTalkError], int] = {
    errors.TooLarge: 413,
    errors.UnknownEngine: 404,
    errors.UnknownModel: 404,
    errors.BadInput: 400,
    errors.NotFound: 404,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.QueueFull: 429,
    errors.Refused: 503,
    errors.Cancelled: 499,  # not one of the statuses that SDKs repeat by themselves
    errors.DeadlineExceeded: 504,
    errors.OutOfMemory: 507,
    errors.DiskFull: 507,
    errors.AllTalkError: 500,
}
"""The first entry that an error's class descends from, most specific first."""


def status_of(error: AllTalkError) -> int:
    """The HTTP status of `error`."""
    return next(
        status for kind in type(error).__mro__ for known, status in STATUS.items() if known is kind
    )


def install(app: FastAPI) -> None:
    """Answer every failure in the manner of the API it happened in."""
    app.add_exception_handler(AllTalkError, _alltalk)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _left)
    app.add_exception_handler(Exception, _unexpected)


async def answer(scope: Scope, error: AllTalkError) -> Response:
    """The answer to `error` from what stands before the routes."""
    return await _alltalk(Request(scope), error)


async def _alltalk(http: Request, error: Exception) -> Response:
    assert isinstance(error, AllTalkError)
    http.scope["alltalk.error"] = error  # for the metrics
    status = status_of(error)
    if status >= 500 and not isinstance(error, errors.Refused):
        # What a person wrote wrongly into a file is told by the sentence alone.
        cause = None if isinstance(error, errors.ConfigError) else error.__cause__
        logger.error("%s %s: %s", http.method, http.url.path, error, exc_info=cause)
    response = _shape(http)(status, str(error), type(error).__name__, _param(error), None)
    if isinstance(error, errors.Refused):
        response.headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    if isinstance(error, errors.Unauthorized):
        response.headers["WWW-Authenticate"] = 'Bearer realm="AllTalk"'
    return response


async def _validation(http: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems: Sequence[Any] = error.errors()
    first = problems[0] if problems else {"loc": (), "msg": "invalid"}
    field = ".".join(str(part) for part in first["loc"][1:])
    message = f"{field}: {first['msg']}" if field else str(first["msg"])
    http.scope["alltalk.error"] = errors.BadInput(message)
    return _shape(http)(422, message, "InvalidRequest", field or None, jsonable_encoder(problems))


async def _http(http: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = _shape(http)(error.status_code, str(error.detail), "HTTPException", None, None)
    response.headers.update(error.headers or {})
    return response


async def _left(http: Request, error: Exception) -> Response:
    """Nobody reads this: it is for the log and the metrics."""
    return await _alltalk(http, errors.Cancelled("The client left before its request was whole."))


async def _unexpected(http: Request, error: Exception) -> Response:
    message = "AllTalk failed in a way that it did not expect; its log says more."
    return _shape(http)(500, message, type(error).__name__, None, None)


Shape = Callable[[int, str, str, "str | None", Any], Response]


def _shape(http: Request) -> Shape:
    path = http.url.path
    if path.startswith("/v1/"):
        return openai
    if path.startswith("/API/"):
        return backends
    if path.startswith("/api/") or path == "/tts-demo-request":
        return v2_generation if "generate" in path or "preview" in path else v2
    return plain


def openai(status: int, message: str, kind: str, param: str | None, detail: Any) -> Response:
    """OpenAI's error object. Bad input is 400 there, never 422."""
    status = 400 if status == 422 else status
    return JSONResponse({"error": _openai_object(status, message, kind, param)}, status)


def openai_error(error: AllTalkError) -> dict[str, Any]:
    """`error` as OpenAI's error object, where an answer has begun and has its status already."""
    return _openai_object(status_of(error), str(error), type(error).__name__, _param(error))


def _openai_object(status: int, message: str, kind: str, param: str | None) -> dict[str, Any]:
    other = "server_error" if status >= 500 else "invalid_request_error"
    return {
        "message": message,
        "type": _OPENAI_TYPES.get(status, other),
        "param": _OPENAI_PARAMS.get(param or "", param),
        "code": _code(kind),
    }


def v2(status: int, message: str, kind: str, param: str | None, detail: Any) -> Response:
    """AllTalk V2's status calls: clients read `message`, some `detail` or `error`."""
    body = {"status": "error", "error": message, "message": message, "detail": detail or message}
    return JSONResponse(body, status)


def v2_generation(status: int, message: str, kind: str, param: str | None, detail: Any) -> Response:
    """AllTalk V2's generation calls."""
    body = {"status": "generate-failure", "error": message, "detail": detail or message}
    return JSONResponse(body, status)


def backends(status: int, message: str, kind: str, param: str | None, detail: Any) -> Response:
    """The backends API: 200 with `error`, except for an unknown session."""
    body = {"error": message}
    if error_id := _BACKENDS_IDS.get((kind, status)) or ("internal_error" * (status == 500)):
        body["error_id"] = error_id
    return JSONResponse(body, 401 if status == 401 else 200)


def plain(status: int, message: str, kind: str, param: str | None, detail: Any) -> Response:
    """Everything else: the framework's own shape."""
    return JSONResponse({"detail": detail or message}, status)


_OPENAI_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_BACKENDS_IDS = {
    ("InvalidSession", 401): "invalid_session_id",
    ("Forbidden", 403): "bad_permissions",
    ("HTTPException", 404): "bad_route",
}
_OPENAI_PARAMS = {
    "text": "input",
    "format": "response_format",
    "engine": "model",
    "reference": "custom_voice_file",
}


def _param(error: AllTalkError) -> str | None:
    return error.name if isinstance(error, errors.BadValue) else error.param


def _code(kind: str) -> str:
    """UnknownVoice → unknown_voice."""
    return "".join("_" + c.lower() if c.isupper() else c for c in kind).lstrip("_")
