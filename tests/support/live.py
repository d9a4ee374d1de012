"""A live AllTalk server in a process of its own, spoken to over real HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

PATIENCE_S = 100.0
"""How long a server may take to start or to stop: less than pytest's limit, which tells less."""
_QUICK = {"ALLTALK_LAUNCH_GRADIO": "false"}
"""Without visitors there is no need to load pages."""


@dataclass(frozen=True)
class Live:
    """A server that is ready."""

    home: Path
    port: int
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def live_server(
    home: Path,
    engine: str = "tone",
    environ: Mapping[str, str] | None = None,
    *,
    may_fail: bool = False,
    port: int = 0,
) -> Generator[Live]:
    """`alltalk serve` for `home` on `port` (0: a free one), until the block ends.

    It must not have logged a traceback by then, unless its engine `may_fail`.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "alltalk", "serve", "--home", str(home), "--port", str(port)],
        env={**os.environ, **_QUICK, "ALLTALK_SPEECH__ENGINE": engine, **(environ or {})},
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []
    # Somebody must read what it logs: a full pipe would stop the server.
    reader = threading.Thread(target=lambda: lines.extend(process.stderr or ()), daemon=True)
    reader.start()
    try:
        server = Live(home, _port(process, lines), process)
        _wait_until_ready(server)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        reader.join(60)
        if process.stderr is not None:
            process.stderr.close()
    assert may_fail or "Traceback" not in "".join(lines), "".join(lines)


def _port(process: subprocess.Popen[str], lines: list[str]) -> int:
    """The port that the server says it listens on."""
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        for line in list(lines):
            if "listens on http://" in line:
                return int(line.strip().rsplit(":", 1)[1])
        time.sleep(0.01)
    raise AssertionError("the server did not start: " + "".join(lines))


def _wait_until_ready(server: Live) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while httpx.get(f"{server.url}/api/ready", timeout=PATIENCE_S).text != "Ready":
        assert time.monotonic() < deadline, f"not ready after {PATIENCE_S:g} s"
        time.sleep(0.02)
