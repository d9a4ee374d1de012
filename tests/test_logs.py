"""What the log says, and what it keeps to itself."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest

from alltalk import logs
from alltalk.config import Config

logger = logging.getLogger("alltalk.test")


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """The loggers of this process as the test found them."""
    names = ["", "alltalk", *{name for part in logs.PARTS.values() for name in part}]
    before = {name: logging.getLogger(name).level for name in names}
    handlers = list(logging.getLogger().handlers)
    yield
    logging.getLogger().handlers[:] = handlers
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def configured(**sections: dict[str, object]) -> io.StringIO:
    """The log as `sections` of the settings say, written into what is returned."""
    stream = io.StringIO()
    logs.configure(Config.model_validate(sections), stream)
    return stream


def test_a_line_for_people_ends_with_its_message():
    stream = configured()
    logger.info("AllTalk listens on http://127.0.0.1:%s", 7851)
    assert stream.getvalue().endswith(" INFO AllTalk listens on http://127.0.0.1:7851\n")


def test_a_line_for_programs_is_one_object_with_the_request_and_the_fields():
    stream = configured(server={"log_format": "json"})
    with logs.within_request("abc"):
        logger.info("two\nlines", extra={"fields": {"status": 200}})
    (line,) = stream.getvalue().splitlines()
    seen = json.loads(line)
    assert seen.pop("time").endswith("Z")
    assert seen == {
        "level": "info",
        "logger": "alltalk.test",
        "message": "two\nlines",
        "request_id": "abc",
        "status": 200,
    }


def test_a_traceback_is_part_of_its_line_in_json():
    stream = configured(server={"log_format": "json"})
    try:
        raise KeyError("gone")
    except KeyError:
        logger.exception("failed")
    (line,) = stream.getvalue().splitlines()
    assert "KeyError: 'gone'" in json.loads(line)["exception"]


def test_what_a_caller_sends_cannot_begin_a_line_of_its_own():
    stream = configured()
    logger.warning("no voice %s", "x\n2026-01-01 00:00:00 INFO all is well\r")
    assert len(stream.getvalue().splitlines()) == 1


async def test_requests_at_once_log_under_their_own_ids():
    stream = configured()

    async def request(id: str) -> None:
        with logs.within_request(id):
            await asyncio.sleep(0)
            await asyncio.create_task(spoken(id))

    async def spoken(id: str) -> None:
        logger.info("of %s", id)

    await asyncio.gather(*(request(f"r{number}") for number in range(20)))
    logger.info("outside")
    *lines, outside = stream.getvalue().splitlines()
    assert sorted(line.split(" INFO ")[1] for line in lines) == sorted(
        f"[r{number}] of r{number}" for number in range(20)
    )
    assert outside.endswith(" INFO outside")


def test_libraries_speak_up_only_to_warn():
    stream = configured(server={"log_level": "debug"})
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("httpx").info("GET http://other/?text=private")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    assert "Invalid HTTP request" in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 1


def test_an_error_that_was_reported_is_not_told_again():
    stream = configured()
    try:
        raise logs.Reported("cut")
    except logs.Reported:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    assert stream.getvalue() == ""


def test_a_part_can_be_made_to_talk_alone_and_to_be_quiet_again():
    encode, assemble = (logging.getLogger(f"alltalk.{name}") for name in ("encode", "assemble"))
    stream = configured(debugging={"debug_transcode": True})
    encode.debug("encoding")
    assemble.debug("joining")
    assert stream.getvalue().endswith("DEBUG encoding\n")
    assert "joining" not in stream.getvalue()
    stream = configured()
    encode.debug("encoding")
    assert stream.getvalue() == ""


def test_new_settings_replace_the_old_ones():
    former, latter = configured(), configured(server={"log_level": "error"})
    logger.info("quiet")
    logger.error("loud")
    assert former.getvalue() == ""
    assert latter.getvalue().count("\n") == 1


def test_the_keys_that_make_parts_talk_are_settings():
    assert set(logs.PARTS) <= Config().debugging.model_dump().keys()
