"""The log: one line per event on standard error, for people or as JSON, with the request's id."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TextIO

from alltalk.config import Config

_request_id: ContextVar[str] = ContextVar("request_id", default="")

PARTS: Mapping[str, tuple[str, ...]] = {
    "debug_transcode": ("alltalk.encode",),
    "debug_tts": ("alltalk.serving",),
    "debug_tts_variables": ("alltalk.serving", "alltalk.engines"),
    "debug_openai": ("alltalk.api.openai",),
    "debug_concat": ("alltalk.assemble",),
    "debug_rvc": ("alltalk.effects",),
    "debug_api": ("alltalk.api",),
    "debug_narrator": ("alltalk.narration",),
    "debug_gradio_IP": ("alltalk.ui",),
}
"""Keys of `debugging` → the loggers that each makes talk."""


class Reported(Exception):
    """Stands for an error that the log has already; nobody reports it again.

    Raised to have the server cut the connection: a client that was told 200 must see that
    something is missing.
    """


def configure(config: Config, stream: TextIO | None = None) -> None:
    """Log as `config` says, to `stream` (standard error). Again: as the new settings say."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if config.server.log_format == "json" else TextLines())
    handler.addFilter(_complete)
    handler.addFilter(_unreported)
    handler.set_name("alltalk")
    root = logging.getLogger()
    for former in [each for each in root.handlers if each.get_name() == "alltalk"]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)  # libraries: uvicorn, httpx, …
    logging.getLogger("alltalk").setLevel(config.server.log_level.upper())
    _loosen(config)


def is_configured() -> bool:
    """True where this program's log is ours: not inside somebody else's."""
    return any(each.get_name() == "alltalk" for each in logging.getLogger().handlers)


@contextmanager
def within_request(id: str) -> Generator[None]:
    """Lines logged inside, and by tasks begun inside, carry the request's id."""
    before = _request_id.set(id)
    try:
        yield
    finally:
        _request_id.reset(before)


class TextLines(logging.Formatter):
    """`2026-01-31 12:00:00 INFO [id] message`"""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s%(in_request)s %(message)s", "%Y-%m-%d %H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback follows on lines of its own."""
        id = getattr(record, "request_id", "")
        record.in_request = f" [{id}]" if id else ""
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:
        """As the format says; what callers send cannot begin a line of its own."""
        return super().formatMessage(record).replace("\r", "\\r").replace("\n", "\\n")


class JsonLines(logging.Formatter):
    """An object a line: time, level, logger, message, request_id, and `extra={"fields": {…}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """Without line breaks; a traceback is the field `exception`."""
        seen = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": getattr(record, "request_id", ""),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            seen["exception"] = self.formatException(record.exc_info)
        return json.dumps(seen, ensure_ascii=False, default=str)


def _complete(record: logging.LogRecord) -> bool:
    """Give the record the id of the request that logs it."""
    record.request_id = _request_id.get()
    return True


def _unreported(record: logging.LogRecord) -> bool:
    """False for what a library says of an error that was reported."""
    return not (record.exc_info and isinstance(record.exc_info[1], Reported))


def _loosen(config: Config) -> None:
    """Have the parts talk that `debugging` names, and no others."""
    wanted = {
        name for key, names in PARTS.items() for name in names if getattr(config.debugging, key)
    }
    for name in {name for names in PARTS.values() for name in names}:
        level = logging.DEBUG if name in wanted else logging.NOTSET
        logging.getLogger(name).setLevel(level)
