"""AllTalk with a Piper voice beside Piper's own server, `python -m piper.http_server`.

    pip install flask torch onnx
    python benchmarks/piper_peer.py [--rounds N] [--seconds S] [--shapes tiny light medium]

The same voices, texts and settings, one connection a request as Piper's server wants it, in turns
in one run. Voices have random weights: `tiny` and `medium` are the genuine network, small and as
large as a published medium voice; `light` is next to nothing, so that it measures the servers.
AllTalk keeps no answers here. Every answer is checked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from load import Answer, Client, percentile, post
from process import Running, alltalk, module

ROOT = Path(__file__).resolve().parent.parent
TEXTS = (
    "The quick brown fox jumps over the lazy dog.",
    "It then looks back, and waits for the others. They do not come.",
    "Nobody knows where it went after that. Some say to the hills. I have my doubts about it.",
)
STILL = {"noise_scale": 0.0, "noise_w_scale": 0.0}
"""Without noise the same text is the same sound, and an answer can be checked by its length."""
CLIENTS = (1, 8)


@dataclass
class Server:
    """One of the two, and what it was measured to do."""

    name: str
    requests: Sequence[bytes]
    """One for each text."""
    running: Running
    sizes: list[int] = field(default_factory=list)
    """Bytes of the right answers."""
    rates: dict[int, list[float]] = field(default_factory=dict)
    """Clients → requests a second, of each round."""
    times_s: dict[int, list[float]] = field(default_factory=dict)

    def check(self, index: int, answer: Answer) -> None:
        """Raises RuntimeError unless the answer is the whole wav of that text."""
        size = len(answer.body)
        if answer.status != 200 or answer.body[:4] != b"RIFF" or size != self.sizes[index]:
            raise RuntimeError(f"{self.name}: {answer.status}, {size} bytes, {answer.body[:80]!r}")


def main() -> None:
    """Measure and print each voice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each run")
    parser.add_argument("--shapes", nargs="+", default=["tiny", "light", "medium"])
    asked = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    for shape in asked.shapes:
        asyncio.run(compare(shape, asked.rounds, asked.seconds))


async def compare(shape: str, rounds: int, seconds: float) -> None:
    """Both servers with a voice of that shape, in turns."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        network = make_voice(home, shape)
        with (
            alltalk("piper", home, ALLTALK_CACHE__ENABLED_V1="false") as ours,
            module(
                "piper.http_server",
                *("-m", str(network), "--host", "127.0.0.1", "--data-dir", str(network.parent)),
                path=b"/info",
            ) as theirs,
        ):
            servers = (
                Server("AllTalk", [speech(network.name, text) for text in TEXTS], ours),
                Server("piper.http_server", [synthesis(text) for text in TEXTS], theirs),
            )
            for server in servers:
                await learn(server)
            for clients in CLIENTS * rounds:
                for server in servers:
                    await load(server, clients, seconds)
            for clients in CLIENTS:
                report(shape, clients, *servers)


def make_voice(home: Path, shape: str) -> Path:
    """A voice in `home`, and the settings that AllTalk speaks it with; returns its network."""
    engine = home / "engines" / "piper"
    command = [sys.executable, "-m", "models.piper", str(engine / "models")]
    command += ["--shape", shape, "--name", f"en_US-{shape}-medium"]
    subprocess.run(command, cwd=ROOT / "tests", check=True, capture_output=True)
    (engine / "model_settings.json").write_text(json.dumps({"settings": STILL}))
    return next((engine / "models").glob("*.onnx"))


def speech(voice: str, text: str) -> bytes:
    """What AllTalk is asked."""
    body = {"model": "tts-1", "input": text, "voice": voice, "response_format": "wav"}
    return post("/v1/audio/speech", body)


def synthesis(text: str) -> bytes:
    """What Piper's server is asked."""
    return post("/synthesize", {"text": text, **STILL})


async def learn(server: Server) -> None:
    """Ask for each text twice: the first answer warms up, the second tells how long it is."""
    for request in server.requests:
        for _ in range(2):
            answer = await ask(server.running.port, request)
        server.sizes.append(len(answer.body))


async def load(server: Server, clients: int, seconds: float) -> None:
    """Let `clients` ask at once for `seconds`, each for one text after the other."""
    times_s: list[float] = []
    started = time.perf_counter()

    async def one(first: int) -> None:
        indices = cycle([*range(first, len(TEXTS)), *range(first)])
        while time.perf_counter() - started < seconds:
            index = next(indices)
            asked_at = time.perf_counter()
            answer = await ask(server.running.port, server.requests[index])
            times_s.append(time.perf_counter() - asked_at)
            server.check(index, answer)

    await asyncio.gather(*(one(client % len(TEXTS)) for client in range(clients)))
    rate = len(times_s) / (time.perf_counter() - started)
    server.rates.setdefault(clients, []).append(rate)
    server.times_s.setdefault(clients, []).extend(times_s)


async def ask(port: int, request: bytes) -> Answer:
    """One request on a connection of its own."""
    async with Client(port) as client:
        return await client.send(request)


def report(shape: str, clients: int, ours: Server, theirs: Server) -> None:
    """Requests a second (median of the rounds) and response times of both, and their ratios."""
    rates = [statistics.median(server.rates[clients]) for server in (ours, theirs)]
    p95s = [percentile(server.times_s[clients], 0.95) * 1e3 for server in (ours, theirs)]
    p50s = [statistics.median(server.times_s[clients]) * 1e3 for server in (ours, theirs)]
    print(f"{shape}, {clients} client(s)")
    for index, server in enumerate((ours, theirs)):
        print(
            f"  {server.name:<18} {rates[index]:8.1f} requests/s   p50 {p50s[index]:7.1f} ms   "
            f"p95 {p95s[index]:7.1f} ms   {server.running.resident_mb:.0f} MB"
        )
    print(f"  {'ratio':<18} {rates[0] / rates[1]:8.2f}{'':35}{p95s[0] / p95s[1]:.2f}", flush=True)


if __name__ == "__main__":
    main()
