"""A server that plays the hub: files with digests, parts of them, and all that goes wrong."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Shared:
    """One file on the server, and how it behaves."""

    content: bytes
    etag: str | None = '"first"'
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    """Bytes after which the next answers break off."""
    status: int = 200
    redirect: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    held: threading.Event | None = None
    """Set: send the second half."""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def md5(self) -> str:
        return hashlib.md5(self.content, usedforsecurity=False).hexdigest()


class LocalHub:
    """Files by path, and what was asked for."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.files: dict[str, Shared] = {}
        self.asked: list[tuple[str, Mapping[str, str]]] = []

    def share(self, path: str, content: bytes, **how: object) -> Shared:
        """Put a file on the server."""
        self.files[path] = Shared(content, **how)  # type: ignore[arg-type]
        return self.files[path]

    def headers_of(self, path: str) -> list[Mapping[str, str]]:
        """The headers of all requests for `path`, in lower case."""
        return [headers for asked, headers in self.asked if asked == path]


@contextmanager
def local_hub() -> Iterator[LocalHub]:
    """The server at work inside."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # clients hang up
    server.hub = hub = LocalHub(server.server_port)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield hub
    finally:
        for file in hub.files.values():
            if file.held:
                file.held.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def absent_hub() -> Iterator[LocalHub]:
    """One that nobody answers for: its port is taken, so that no other program can come there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield LocalHub(taken.getsockname()[1])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        hub: LocalHub = self.server.hub  # type: ignore[attr-defined]
        path = self.path.partition("?")[0]
        hub.asked.append((path, {k.lower(): v for k, v in self.headers.items()}))
        file = hub.files.get(path, Shared(b"no such file", status=404))
        if file.redirect:
            self._head(302, {"Location": file.redirect, "Content-Length": "0", **file.headers})
        elif file.status != 200:
            self._head(file.status, {"Content-Length": "0"})
        else:
            self._send(file)

    def _send(self, file: Shared) -> None:
        start, size = self._start(file), len(file.content)
        if start is not None and start >= size:
            self._head(416, {"Content-Range": f"bytes */{size}", "Content-Length": "0"})
            return
        body = file.content[start or 0 :]
        headers = {"Content-Length": str(len(body)), **file.headers}
        if file.etag:
            headers["ETag"] = file.etag
        if start is not None:
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        self._head(200 if start is None else 206, headers)
        if file.cuts:
            self.wfile.write(body[: file.cuts.pop(0)])
            self.close_connection = True
        elif file.held:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            file.held.wait(600)
            self.wfile.write(body[len(body) // 2 :])
        else:
            self.wfile.write(body)

    def _start(self, file: Shared) -> int | None:
        """Where the part begins that is asked for; None: all of it is sent."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        unchanged = self.headers.get("If-Range", file.etag) == file.etag
        return int(asked[1]) if asked and file.ranges and unchanged else None

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""
