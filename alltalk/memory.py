"""Giving memory that is not needed any more back to the system."""

from __future__ import annotations

import ctypes
import gc
import sys


def give_back() -> None:
    """Collect garbage, and have the C library return what is free.

    glibc keeps freed memory for the next crowd; without this a server stays as large as its
    busiest minute. Blocks for some milliseconds. Elsewhere than on glibc it only collects.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
