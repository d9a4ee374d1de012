"""Fetches the files of models: resumed where they broke off, checked against what was published."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit, urlunsplit

import httpx

from alltalk.errors import DownloadFailed
from alltalk.models.catalogue import ModelFile
from alltalk.models.partial import Partial
from alltalk.models.threads import to_its_end

HUGGING_FACE = "https://huggingface.co"
"""The address that catalogues name; `HF_ENDPOINT` stands in for it."""
TRIES = 3
"""Connections in a row that may bring nothing."""

_SHA256 = re.compile(r'"?([0-9a-f]{64})"?')


@dataclass(frozen=True, slots=True)
class Hub:
    """Where models come from, and as whom they are asked for."""

    endpoint: str = HUGGING_FACE
    """Hugging Face or a mirror of it; no slash at the end."""
    token: str = field(default="", repr=False)
    """For gated models. It is sent to the endpoint and nowhere else."""

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Hub:
        """As `HF_ENDPOINT` and `HF_TOKEN` say."""
        endpoint = environ.get("HF_ENDPOINT", "").strip().rstrip("/")
        return cls(endpoint or HUGGING_FACE, environ.get("HF_TOKEN", "").strip())

    def locate(self, url: str) -> str:
        """`url` at the endpoint, if it is Hugging Face's."""
        parts, ours = urlsplit(url), urlsplit(self.endpoint)
        if f"{parts.scheme}://{parts.netloc}" != HUGGING_FACE:
            return url
        return urlunsplit((ours.scheme, ours.netloc, ours.path + parts.path, parts.query, ""))

    def headers(self, url: str) -> dict[str, str]:
        """Who asks, for a request to the endpoint. Redirected elsewhere, the client drops it."""
        is_ours = urlsplit(url)[:2] == urlsplit(self.endpoint)[:2]
        return {"Authorization": f"Bearer {self.token}"} if self.token and is_ours else {}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a file has come."""

    path: str
    """As in its `ModelFile`."""
    received: int
    """Bytes, those of earlier tries included."""
    size: int | None
    """Bytes; None: nobody says."""


Report = Callable[[Progress], None]
"""Is told about progress, on the event loop."""


class Fetcher:
    """Fetches files. An async context; several at once share its connections."""

    def __init__(self, hub: Hub, *, silence_s: float = 30.0, pause_s: float = 0.5) -> None:
        """`silence_s`: how long a server may say nothing. `pause_s`: before the next try; grows."""
        self._hub, self._pause_s = hub, pause_s
        # Compressed on the way, a file's length and parts would not be those published.
        self._client = httpx.AsyncClient(
            timeout=silence_s, follow_redirects=True, headers={"Accept-Encoding": "identity"}
        )

    async def __aenter__(self) -> Fetcher:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def fetch(self, file: ModelFile, place: Path, report: Report) -> str:
        """Bring `file` to `<place>.partial`, whole and checked; returns its SHA-256.

        What has arrived stays for the next call, unless it proves wrong. Raises DownloadFailed,
        StorageError.
        """
        partial = await to_its_end(Partial, place)
        with contextlib.closing(partial):
            published = await self._receive_all(file, partial, report)
            await to_its_end(_check, file, partial, file.sha256 or published)
            await to_its_end(partial.finish)
            return partial.digest.sha256

    async def _receive_all(self, file: ModelFile, partial: Partial, report: Report) -> str:
        """Connect until all is there; the SHA-256 that the server names, or nothing."""
        barren = 0
        while True:
            had = partial.size
            try:
                return await self._receive(file, partial, report)
            except httpx.TransportError as error:
                barren = 0 if partial.size > had else barren + 1
                if barren == TRIES:
                    raise DownloadFailed(_unreachable(file, error)) from error
                await asyncio.sleep(self._pause_s * 2**barren)
            except (httpx.InvalidURL, httpx.TooManyRedirects) as error:
                raise DownloadFailed(f"{file.url} cannot be fetched: {error}.") from error

    async def _receive(self, file: ModelFile, partial: Partial, report: Report) -> str:
        """What is missing of `file`, over one connection."""
        if file.size is not None and partial.size == file.size:
            report(Progress(file.path, partial.size, file.size))
            return ""  # all came before; checking tells whether it is right
        url = self._hub.locate(file.url)
        headers = self._hub.headers(url) | partial.wanted(bool(file.sha256 or file.md5))
        async with self._client.stream("GET", url, headers=headers) as answer:
            published = _published_sha256(answer)
            if answer.headers.get("content-range") == f"bytes */{partial.size}":
                return published  # nothing is missing (416)
            _refuse(file, answer)
            if not await to_its_end(_accept, partial, answer):
                raise httpx.RemoteProtocolError("it sent another part than was asked for")
            await to_its_end(_refuse_other_size, file, partial)
            size = file.size if file.size is not None else partial.expected
            report(Progress(file.path, partial.size, size))
            async for piece in answer.aiter_raw():
                await to_its_end(partial.write, piece)
                report(Progress(file.path, partial.size, size))
            return published


def _accept(partial: Partial, answer: httpx.Response) -> bool:
    if answer.status_code == 416:  # what is here is longer than the file is now
        partial.restart()
        return False
    return partial.accept(answer.status_code, answer.headers)


def _check(file: ModelFile, partial: Partial, sha256: str) -> None:
    """Remove what is not the file that was published. Raises DownloadFailed, StorageError."""
    if file.size not in (None, partial.size):
        raise _other(file, partial, f"it has {partial.size} bytes, not {file.size}")
    if sha256 not in ("", partial.digest.sha256):
        raise _other(file, partial, f"its SHA-256 is {partial.digest.sha256}, not {sha256}")
    if file.md5 not in ("", partial.digest.md5):
        raise _other(file, partial, f"its MD5 is {partial.digest.md5}, not {file.md5}")


def _refuse_other_size(file: ModelFile, partial: Partial) -> None:
    """Before anything comes. Raises DownloadFailed, StorageError."""
    if None not in (file.size, partial.expected) and partial.expected != file.size:
        raise _other(file, partial, f"it has {partial.expected} bytes, not {file.size}")


def _other(file: ModelFile, partial: Partial, difference: str) -> DownloadFailed:
    partial.discard()
    return DownloadFailed(
        f"{file.path} from {urlsplit(file.url).netloc} is not the file that was published: "
        f"{difference}. It was removed. If another try ends like this, the file was changed there "
        "or on the way."
    )


def _refuse(file: ModelFile, answer: httpx.Response) -> None:
    """Raises DownloadFailed, and TransportError for what may pass."""
    host, status = answer.url.host, answer.status_code
    if status in (401, 403):
        raise DownloadFailed(
            f"{host} gives {file.path} only to those it knows. Agree to its terms at {file.url}, "
            "and set HF_TOKEN to an access token of your account there."
        )
    if status in (408, 429) or status >= 500:
        raise httpx.RemoteProtocolError(f"it answers {status}")
    if status not in (200, 206, 416):
        raise DownloadFailed(f"{answer.url} cannot be fetched: the server answers {status}.")


def _published_sha256(answer: httpx.Response) -> str:
    """Hugging Face names the SHA-256 of a large file before it redirects to where that lies."""
    tags = (each.headers.get("x-linked-etag", "") for each in (*answer.history, answer))
    return next((found[1] for tag in tags if (found := _SHA256.fullmatch(tag))), "")


def _unreachable(file: ModelFile, error: httpx.TransportError) -> str:
    why = str(error) or type(error).__name__
    return (
        f"{file.path} could not be fetched from {urlsplit(file.url).netloc}: {why}. Is there a "
        "network here? It may need a proxy (HTTPS_PROXY) or a mirror (HF_ENDPOINT). What has "
        "arrived is kept for the next try."
    )
