"""What work costs the processor, however busy the machine is."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable


def cpu_s(work: Callable[[], object]) -> float:
    """Seconds of the processor that `work` takes of this thread."""
    gc.disable()  # it takes longer the more all other tests have left behind
    try:
        start = time.thread_time()
        work()
        return time.thread_time() - start
    finally:
        gc.enable()


def is_within(limit_s: float, work: Callable[[], object], tries: int = 3) -> bool:
    """Whether `work` takes less than `limit_s` at its best.

    Who shares the caches, or takes a virtual processor away, makes one try take longer, not all.
    """
    return any(cpu_s(work) < limit_s for _ in range(tries))
