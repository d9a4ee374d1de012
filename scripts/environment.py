"""Make .venv what pyproject.toml says; `make` calls it as `python scripts/environment.py TARGET`.

TARGET is `serve` (what running needs) or `test` (what testing needs, system packages included).
A second run does nothing until one of the files it reads has changed. `--exact` rebuilds a .venv
whose Python is not the one that runs this file. Needs only the standard library.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = {"serve": "ui", "test": "ui,xtts,rvc,test"}
CONSTRAINTS = {"serve": (), "test": ("constraints/dev.txt",)}
READS = ("pyproject.toml", "alltalk/__init__.py", "scripts/environment.py")


def main() -> None:
    """Bring .venv up to date, or leave with one sentence that says what to do."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=EXTRAS)
    parser.add_argument("--exact", action="store_true", help="rebuild a .venv of another Python")
    asked = parser.parse_args()
    if asked.target == "test":
        install_system_packages(read_packages(ROOT / "packages.txt"))
    folder = ROOT / ".venv"
    if not is_usable(folder, exact=asked.exact):
        create(folder)
    stamp, expected = folder / f".alltalk-{asked.target}", fingerprint(ROOT, folder, asked.target)
    if not stamp.is_file() or stamp.read_text() != expected:
        install(folder, asked.target)
        stamp.write_text(expected)
    if asked.target == "test" and (found := sorted(cuda_packages(folder))):
        raise SystemExit(
            f".venv holds CUDA packages ({', '.join(found)}), and tests run on the CPU build of "
            "torch. Remove .venv and run again with "
            "PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu"
        )


def is_usable(folder: Path, *, exact: bool) -> bool:
    """True if the environment in `folder` runs where it was made, and has a Python we support.

    With `exact` its Python must also have the version of this one.
    """
    probe = "import sys, pip; print(*sys.version_info[:2])"
    try:
        found = subprocess.run(
            [folder / "bin/python", "-c", probe], capture_output=True, text=True, check=True
        ).stdout.split()
        made_here = str(folder / "bin") in (folder / "bin/pip").read_text()  # its first line
    except (OSError, subprocess.CalledProcessError):
        return False
    version = int(found[0]), int(found[1])
    return made_here and (version == sys.version_info[:2] if exact else version >= (3, 11))


def create(folder: Path) -> None:
    """Make a fresh environment in `folder`; what was there is removed."""
    _say(f"Creating {folder} with Python {sys.version.split()[0]}")
    try:
        venv.create(folder, clear=True, with_pip=True, symlinks=True)
    except (OSError, subprocess.CalledProcessError):
        shutil.rmtree(folder, ignore_errors=True)
        raise SystemExit(
            f"{sys.executable} cannot make a virtual environment. On Debian and Ubuntu: "
            "apt install python3-venv"
        ) from None


def install(folder: Path, target: str) -> None:
    """Install AllTalk (editable) and the extras of `target`, with pip's own settings."""
    _say(f"Installing what `make {target}` needs into {folder}; the first time takes a while")
    command = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--editable", f"{ROOT}[{EXTRAS[target]}]"]
    for constraint in CONSTRAINTS[target]:
        command += ["--constraint", str(ROOT / constraint)]
    if code := subprocess.run(command, cwd=ROOT).returncode:
        raise SystemExit(f"pip ended with {code}: what it says above is the reason.")


def fingerprint(root: Path, folder: Path, target: str) -> str:
    """A digest of all that decides what `target` installs into `folder`."""
    digest = hashlib.sha256(f"{target} {folder} {EXTRAS[target]}".encode())
    digest.update((folder / "pyvenv.cfg").read_bytes())
    for name in (*READS, *CONSTRAINTS[target]):
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def cuda_packages(folder: Path) -> Iterator[str]:
    """Names of installed packages that carry CUDA."""
    for found in folder.glob("lib/python*/site-packages/*.dist-info"):
        name = found.name.split("-")[0].replace("_", "-").lower()
        if name.startswith(("nvidia-", "cuda-")):
            yield name


def read_packages(file: Path) -> dict[str, str]:
    """Debian package → the program that shows it is there; one of each on a line."""
    lines = (line.partition("#")[0].split() for line in file.read_text().splitlines())
    return {words[0]: words[1] for words in lines if words}


def install_system_packages(packages: dict[str, str]) -> None:
    """Install those of `packages` whose program is missing, where that needs no password."""
    missing = [name for name, program in packages.items() if not shutil.which(program)]
    if not missing:
        return
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    apt = [*prefix, "apt-get", "--quiet", "--yes"]
    try:
        subprocess.run([*apt, "update"], check=True)
        subprocess.run([*apt, "install", "--no-install-recommends", *missing], check=True)
    except (OSError, subprocess.CalledProcessError):
        _say(f"Not installed: {', '.join(missing)}. Tests that need them skip; under CI they fail.")


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


if __name__ == "__main__":
    main()
