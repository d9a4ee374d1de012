"""Uploads: multipart bodies read as they arrive, their files kept on disk and not in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager, closing
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

import python_multipart as multipart
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from alltalk.api.body import LONGEST_FIELD
from alltalk.clips import OneOffVoice
from alltalk.errors import BadInput, BadValue, Cancelled, TooLarge, UnreadableClip
from alltalk.studio import Studio

CLIP_FIELDS = ("custom_voice_file", "speaker_wav")
"""Where a one-off clip is sent; the first that is there counts."""
MOST_PARTS = 200
_IN_MEMORY = 1024 * 1024
"""Bytes of a file that are held before it goes to disk."""
_TURN = 256 * 1024
"""Bytes parsed in one turn of the lane."""


@dataclass(frozen=True, slots=True, eq=False)
class Upload:
    """One file of a form."""

    field: str
    name: str
    """As the client calls it; never a path of ours."""
    file: BinaryIO


class Form:
    """A multipart form: its fields, the last value of each, and its files in their order."""

    def __init__(self, boundary: bytes, largest_bytes: int) -> None:
        """`largest_bytes`: of one file. Raises BadInput for a boundary that is none."""
        self.fields: dict[str, str] = {}
        self.uploads: list[Upload] = []
        self.is_complete = False
        self._largest = largest_bytes
        self._part = _Part()
        self._parts = 0
        self._parser = multipart.MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._open,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._finish,
            },
        )

    def upload(self, *fields: str) -> Upload | None:
        """The file sent as the first of `fields` that has one."""
        sent = {each.field: each for each in reversed(self.uploads)}
        return next((sent[field] for field in fields if field in sent), None)

    def feed(self, content: bytes) -> None:
        """The next bytes of the body. Raises BadInput, TooLarge."""
        try:
            self._parser.write(content)
        except FormParserError as error:
            raise BadInput(f"The multipart body is malformed: {error}.") from error

    def close(self) -> None:
        """Delete the files."""
        for file in (self._part.file, *(each.file for each in self.uploads)):
            if file is not None:
                file.close()

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise BadInput(f"The form has more than {MOST_PARTS} parts.")
        self._part = _Part()

    def _header_name(self, content: bytes, start: int, end: int) -> None:
        self._part.header += content[start:end]

    def _header_value(self, content: bytes, start: int, end: int) -> None:
        self._part.value += content[start:end]

    def _header_end(self) -> None:
        if self._part.header.lower() == b"content-disposition":
            self._part.disposition = self._part.value
        self._part.header = self._part.value = b""

    def _open(self) -> None:
        _, options = parse_options_header(self._part.disposition)
        if b"name" not in options:
            raise BadInput("A part of the multipart body has no name.")
        self._part.field = options[b"name"].decode("utf-8", "replace")
        if b"filename" in options:
            self._part.name = options[b"filename"].decode("utf-8", "replace")
            self._part.file = cast("BinaryIO", SpooledTemporaryFile(max_size=_IN_MEMORY))  # noqa: SIM115 (closed in `close`)

    def _data(self, content: bytes, start: int, end: int) -> None:
        part, limit = self._part, self._largest if self._part.file else LONGEST_FIELD
        part.size += end - start
        if part.size > limit:
            raise TooLarge(part.size, limit)
        if part.file:
            part.file.write(content[start:end])
        else:
            part.text += content[start:end]

    def _end(self) -> None:
        part, self._part = self._part, _Part()
        if part.file is None:
            self.fields[part.field] = part.text.decode("utf-8", "replace")
        elif not part.name and not part.size:  # how browsers send a choice that was not made
            part.file.close()
        else:
            part.file.seek(0)
            self.uploads.append(Upload(part.field, part.name or "clip", part.file))

    def _finish(self) -> None:
        self.is_complete = True


@asynccontextmanager
async def read_form(
    http: Request, studio: Studio, largest_bytes: int | None = None
) -> AsyncGenerator[Form]:
    """The request's multipart body. Its files are deleted at the end of the block.

    `largest_bytes` of one file; None: that of a clip.

    Raises BadInput where it is malformed, cut off, or no multipart body at all, and TooLarge as
    soon as a file is.
    """
    content_type, options = parse_options_header(http.headers.get("content-type"))
    if content_type != b"multipart/form-data" or not options.get(b"boundary"):
        raise BadInput("Send a multipart/form-data body, with its boundary in Content-Type.")
    try:
        form = Form(options[b"boundary"], largest_bytes or studio.largest_bytes)
    except FormParserError as error:
        raise BadInput(f"The multipart body is malformed: {error}.") from error
    try:
        async for turn in _turns(http):
            await studio.run(form.feed, turn)
        if not form.is_complete:
            raise BadInput("The multipart body is cut off before its end.")
        yield form
    finally:
        form.close()


async def read_clip(form: Form, studio: Studio) -> OneOffVoice | None:
    """The voice of the clip in `form`, for this request alone; None: it has none.

    Its file lives until `close`: hold it with `while_spoken`. Raises BadValue, which names the
    field.
    """
    upload = form.upload(*CLIP_FIELDS)
    if upload is None:
        return None
    try:
        return await studio.one_off(upload.file, upload.name)
    except UnreadableClip as error:
        raise BadValue(upload.field, str(error)) from error


async def while_spoken(clip: OneOffVoice, sound: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """`sound`, which is spoken with `clip`: at its end, however that comes, the clip goes."""
    with closing(clip):
        async with aclosing(sound):
            async for piece in sound:
                yield piece


@dataclass(slots=True)
class _Part:
    """The part that is being read."""

    field: str = ""
    name: str = ""
    disposition: bytes = b""
    header: bytes = b""
    value: bytes = b""
    text: bytes = b""
    size: int = 0
    file: BinaryIO | None = None


async def _turns(http: Request) -> AsyncGenerator[bytes]:
    """The body in pieces worth a turn of a lane. Raises Cancelled when the client leaves."""
    waiting = bytearray()
    try:
        async for content in http.stream():
            waiting += content
            if len(waiting) >= _TURN:
                yield bytes(waiting)
                waiting.clear()
    except ClientDisconnect as error:
        raise Cancelled("The client left before all of its form had arrived.") from error
    if waiting:
        yield bytes(waiting)
