"""How hypothesis draws examples: the same in each run, however slow the machine is."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

steady = settings(
    derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=200
)
