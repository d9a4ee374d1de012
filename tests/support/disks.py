"""Disks that a test may fill or pin, where this machine lets it."""

from __future__ import annotations

import shutil
import subprocess
import sys


def mounted(*arguments: str) -> bool:
    """Run `mount` with `arguments`; False where it is not there, or refuses."""
    if not sys.platform.startswith("linux") or not shutil.which("mount"):
        return False
    return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0
