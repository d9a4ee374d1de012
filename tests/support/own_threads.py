"""The threads of a process that has no others' tests in it, as Linux counts them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

PATIENCE_S = 60.0


def alone(program: str) -> None:
    """Run `program`, which may import from here, in a process of its own; it must end well."""
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    subprocess.run([sys.executable, "-c", program], env=environ, check=True)


def threads() -> int:
    """How many there are, once as many were seen several times in a row.

    One that has ended, and was waited for, is listed until the system has cleared it away.
    """
    seen = [_listed()]
    while seen[-5:] != [seen[-1]] * 5:
        time.sleep(0.01)
        seen.append(_listed())
    return seen[-1]


def wait_until_threads_are(count: int) -> None:
    """Return once there are no more than `count`; fails where that does not come."""
    deadline = time.monotonic() + PATIENCE_S
    while (left := _listed()) > count:
        assert time.monotonic() < deadline, f"{left} threads instead of {count}"
        time.sleep(0.01)


def _listed() -> int:
    return len(os.listdir("/proc/self/task"))
