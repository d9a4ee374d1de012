"""Reading a request's fields, whichever way the client encoded them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Container
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.types import Message

LONGEST_FIELD = 8 * 1024 * 1024
"""Bytes of one form field; the whole body is bounded by `security.BodyLimit`."""
LAST_BYTES = 512
"""Of a form, in which its last boundary is looked for: that has 74, some clients add line ends."""

Model = TypeVar("Model", bound=BaseModel)


async def form_fields(http: Request, keep_empty: Container[str] = ()) -> dict[str, Any]:
    """The fields of an urlencoded or multipart form; a JSON object serves as well.

    A field sent twice counts with its last value, an empty one as not sent (clients rely on both)
    unless `keep_empty` has its name.
    A part that calls itself a file is its text.
    """
    if "json" in http.headers.get("content-type", ""):
        fields = await json_fields(http)
    else:
        async with opened_form(http) as form:
            fields = {name: await _text(value) for name, value in form.multi_items()}
    return {name: value for name, value in fields.items() if value != "" or name in keep_empty}


@asynccontextmanager
async def opened_form(http: Request) -> AsyncGenerator[FormData]:
    """The form, whose files are open inside.

    Raises RequestValidationError for a multipart body without its last boundary: the parser takes
    what has come for all there is, and would drop the fields that have not.
    """
    body = _Body(http)
    async with Request(http.scope, body).form(max_part_size=LONGEST_FIELD) as form:
        kind, options = parse_options_header(http.headers.get("content-type", ""))
        if kind == b"multipart/form-data" and b"--%s--" % options[b"boundary"] not in body.end:
            raise _unreadable("form_truncated", "The form ends before its last boundary.")
        yield form


async def sent_fields(http: Request) -> dict[str, Any]:
    """The fields of a form or JSON body, if there is a body, and those of the query, which win."""
    queried = {name: value for name, value in http.query_params.multi_items() if value != ""}
    body = await form_fields(http) if await http.body() else {}
    return {**body, **queried}


async def json_value(http: Request) -> Any:
    """The body as JSON. Raises RequestValidationError."""
    body = await http.body()
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _unreadable("json_invalid", f"The body is not JSON: {error}") from error


async def json_fields(http: Request) -> dict[str, Any]:
    """The body as a JSON object. Raises RequestValidationError."""
    value = await json_value(http)
    if not isinstance(value, dict):
        raise _unreadable("dict_type", "The body is JSON, but not an object.")
    return value


def validated(model: type[Model], fields: Any, place: str = "body") -> Model:
    """`fields` as a `model`. Raises RequestValidationError, which names each bad field."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        raise RequestValidationError(
            [{**problem, "loc": (place, *problem["loc"])} for problem in problems]
        ) from error


def documented(model: type[BaseModel], *content_types: str, query: bool = False) -> dict[str, Any]:
    """`openapi_extra` for a route that reads `model` by itself, from its body or its query."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    if query:
        required = schema.get("required", ())
        return {
            "parameters": [
                {"name": name, "in": "query", "required": name in required, "schema": field}
                for name, field in schema["properties"].items()
            ]
        }
    content = {content_type: {"schema": schema} for content_type in content_types}
    return {"requestBody": {"required": True, "content": content}}


FORM = ("application/x-www-form-urlencoded", "multipart/form-data")


async def _text(value: UploadFile | str) -> str:
    if isinstance(value, str):
        return value
    return (await value.read()).decode("utf-8", "replace")


class _Body:
    """Passes a request's body on, and remembers its last bytes."""

    def __init__(self, http: Request) -> None:
        self._pieces = http.stream()
        self.end = b""

    async def __call__(self) -> Message:
        piece = await anext(self._pieces, b"")
        self.end = (self.end + piece[-LAST_BYTES:])[-LAST_BYTES:]
        return {"type": "http.request", "body": piece, "more_body": bool(piece)}


def _unreadable(kind: str, message: str) -> RequestValidationError:
    return RequestValidationError([{"type": kind, "loc": ("body",), "msg": message, "input": None}])
