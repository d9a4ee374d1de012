"""Runs the command line: its `main` in this process, or the installed `alltalk` in a child."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from alltalk.cli import main

HELLO = "Hello. Is anybody there?"


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.decode().splitlines()


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that no test changes: its engines are the built-in ones."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def hello() -> str:
    """A text of two sentences."""
    return HELLO


@pytest.fixture
def alltalk(
    shared_home: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Iterator[Callable[..., Done]]:
    """`alltalk("say", "Hello", stdin=b"")`: the command line in this process."""
    on_terminate = signal.getsignal(signal.SIGTERM)

    def run(*arguments: object, stdin: bytes = b"", home: Path = shared_home) -> Done:
        monkeypatch.setenv("ALLTALK_HOME", str(home))
        monkeypatch.setattr(sys, "argv", ["alltalk", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capfdbinary.readouterr()
        return Done(int(left.value.code or 0), out, err.decode())

    yield run
    signal.signal(signal.SIGTERM, on_terminate)


@pytest.fixture
def start(shared_home: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """`start("say", "-", …)`: the installed command in a child process, on pipes."""
    children: list[subprocess.Popen[bytes]] = []

    def run(*arguments: object, home: Path = shared_home, **more: object) -> subprocess.Popen:
        program = shutil.which("alltalk", path=str(Path(sys.executable).parent))
        assert program, "the command `alltalk` is not installed in this environment"
        environ = {**os.environ, "ALLTALK_HOME": str(home), **more.pop("environ", {})}
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        with _interruptible():
            command = [program, *map(str, arguments)]
            child = subprocess.Popen(command, env=environ, **{**pipes, **more})
        children.append(child)
        return child

    yield run
    for child in children:
        with child:  # closes its pipes, and waits
            if child.poll() is None:
                child.kill()


@contextmanager
def _interruptible() -> Iterator[None]:
    """A child started inside obeys ^C, though a suite that is a background job ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
