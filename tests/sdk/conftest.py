"""A live server for the official SDKs, and what it counted of their requests."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from live import Live, live_server
from prometheus_client.parser import text_string_to_metric_families


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Live]:
    """A server with the tone engine."""
    with live_server(tmp_path_factory.mktemp("home")) as live:
        yield live


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds of somebody humming at 550 Hz."""
    time_s = np.arange(8 * 24_000) / 24_000
    swelling = np.abs(np.sin(2 * np.pi * 1.5 * time_s))
    path = tmp_path_factory.mktemp("clips") / "clip.wav"
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * 550 * time_s) * swelling, 24_000)
    return path


@pytest.fixture(scope="session")
def requests_at(server: Live) -> Callable[[str], dict[str, int]]:
    """The requests so far at an endpoint, by status; repeated ones count again."""

    def read(endpoint: str) -> dict[str, int]:
        text = httpx.get(f"{server.url}/metrics", timeout=60).text
        return {
            sample.labels["status"]: int(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "alltalk_requests_total" and sample.labels["endpoint"] == endpoint
        }

    return read
