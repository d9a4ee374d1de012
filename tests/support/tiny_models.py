"""Models with random weights, made once and kept between runs: for engines, and homes full of them.

A maker is a script in tests/models/. It runs in a process of its own, so that tests neither import
torch for it nor hear its warnings.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from alone import alone

TESTS = Path(__file__).resolve().parent.parent
PLACES = {"piper": "models", "vits": "models/tiny", "xtts": "models/tiny"}
"""Engine → where below its folder the files of its maker belong."""
DECIDING = ("torch", "onnx", "piper-tts", "coqui-tts", "transformers", "faiss-cpu")
"""Packages whose versions decide what is made."""


def tiny(engine: str, *arguments: str) -> Path:
    """The folder that `python -m models.<engine> FOLDER <arguments>` fills, now or in an earlier
    run. Not to be written to: copy it."""
    folder = _kept() / f"{engine}-{_digest(engine, arguments)}"
    with alone(folder.with_suffix(".lock")):
        if not folder.is_dir():
            _make(engine, arguments, folder)
    return folder


def _make(engine: str, arguments: tuple[str, ...], folder: Path) -> None:
    """The folder, whole or not at all."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
        made = Path(draft, "made")
        command = [sys.executable, "-m", f"models.{engine}", str(made), *arguments]
        run = subprocess.run(command, cwd=TESTS, capture_output=True, text=True)
        if run.returncode:
            raise RuntimeError(f"{' '.join(command)}:\n{run.stderr}")
        made.rename(folder)


def add_tiny(home: Path, engine: str, *arguments: str) -> None:
    """Put a tiny model of `engine` into `home`, beside what is there."""
    shutil.copytree(
        tiny(engine, *arguments), home / "engines" / engine / PLACES[engine], dirs_exist_ok=True
    )


def _kept() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "alltalk-tests")


def _digest(engine: str, arguments: tuple[str, ...]) -> str:
    """Another one when something else would be made."""
    source = (TESTS / "models" / f"{engine}.py").read_bytes()
    made_of = [source, repr(arguments).encode(), *(_version(name).encode() for name in DECIDING)]
    return hashlib.sha256(b"\0".join(made_of)).hexdigest()[:16]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"
