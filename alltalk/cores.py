"""Cores: how threads that compute together wait for each other."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

_SAID = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Variables by which somebody has decided it already."""


def wait_asleep(environ: MutableMapping[str, str] = os.environ) -> None:
    """Have OpenMP's threads, which torch and FAISS compute with, sleep while they wait.

    They would spin for milliseconds at every operator: on cores that another engine, the encoder
    or another program needs too, waiting for each other then takes most of the time. It is read
    when the library is loaded, so this comes before torch is imported; it holds for the processes
    that this one starts, too. What is set already stands.
    """
    if not any(name in environ for name in _SAID):
        environ["OMP_WAIT_POLICY"] = "passive"
