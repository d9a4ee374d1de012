"""Servers as child processes, for measuring them from outside."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    port: int
    process: subprocess.Popen[bytes]
    ready_s: float
    """Seconds from the start of the process to its first good answer."""

    @property
    def resident_mb(self) -> float:
        """Memory of the process now, MB."""
        return self._status("VmRSS") / 1024

    @property
    def threads(self) -> int:
        """Threads it has now."""
        return self._status("Threads")

    @property
    def open_files(self) -> int:
        """File descriptors it has now, sockets among them."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    @property
    def children(self) -> int:
        """Processes it has started and not buried."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(len((task / "children").read_text().split()) for task in tasks)

    def _status(self, name: str) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(f"{name}:"))
        return int(line.split()[1])


@contextmanager
def alltalk(
    engine: str = "espeak", home: Path | None = None, **settings: str
) -> Generator[Running]:
    """`alltalk serve` in `home`, else an empty one, with `settings` as environment variables."""
    with tempfile.TemporaryDirectory() as empty:
        given = {
            "ALLTALK_SERVER__LOG_LEVEL": "warning",
            "ALLTALK_SPEECH__ENGINE": engine,
            "ALLTALK_LAUNCH_GRADIO": "false",  # loaded when they are looked at, if at all
        }
        environ = {**os.environ, **given, **settings}
        port = _free_port()
        command = ["-m", "alltalk", "serve", "--home", str(home or empty), "--port", str(port)]
        with _server(command, port, b"/api/ready", b"Ready", environ) as running:
            yield running


@contextmanager
def script(path: Path, *arguments: str) -> Generator[Running]:
    """A server that `path` starts on the port given as its first argument."""
    port = _free_port()
    with _server([str(path), str(port), *arguments], port, b"/", b"", dict(os.environ)) as running:
        yield running


@contextmanager
def module(name: str, *arguments: str, path: bytes) -> Generator[Running]:
    """A server that `python -m name … --port PORT` starts; once `path` answers, it is ready."""
    port = _free_port()
    command = ["-m", name, *arguments, "--port", str(port)]
    with _server(command, port, path, b"", dict(os.environ)) as running:
        yield running


@contextmanager
def _server(
    command: Sequence[str], port: int, path: bytes, good: bytes, environ: dict[str, str]
) -> Generator[Running]:
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], env=environ)
    try:
        while not _answers(port, path, good):
            if process.poll() is not None or time.perf_counter() - started > 60:
                raise RuntimeError(f"{' '.join(command)} did not start")
            time.sleep(0.005)
        yield Running(port, process, time.perf_counter() - started)
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int, path: bytes, good: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n" % path)
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
    except OSError:
        return False
    return b" 200 " in answer.split(b"\r\n", 1)[0] and answer.endswith(good)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
