"""How threads that compute together wait for each other."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from alltalk.cores import wait_asleep

SHOW = """
import os, sys
from alltalk.cli import main
sys.argv = ["alltalk", "--version"]
try:
    main()
except SystemExit:
    os.environ["OMP_DISPLAY_ENV"] = "true"
    import torch
"""


def test_what_somebody_has_set_stands():
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        environ = {name: "1"}
        wait_asleep(environ)
        assert environ == {name: "1"}


def test_threads_of_torch_sleep_while_they_wait():
    """As OpenMP itself tells it."""
    pytest.importorskip("torch")
    unsaid = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SHOW], env=unsaid, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    if "OMP_WAIT_POLICY" not in run.stderr:
        pytest.skip("torch computes without OpenMP here")
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in run.stderr
