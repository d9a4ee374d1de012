"""What the server itself costs: start, memory, overhead, first sound, responsiveness.

python benchmarks/server.py [--requests N]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import tempfile
from pathlib import Path

from load import Answer, Client, get, load, percentile, post
from process import alltalk, script

SENTENCE = "The quick brown fox jumps over the lazy dog."
THREE = f"{SENTENCE} It then looks back, and waits for the others. They do not come."
TONE = post(
    "/v1/audio/speech",
    {
        "model": "tts-1",
        "input": "one two three",
        "voice": "low",
        "response_format": "wav",
        "cache": False,
    },
)


def main() -> None:
    """Run every measurement and print it beside what it is held against."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=600, help="of each load")
    requests = parser.parse_args().requests
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    start()
    asyncio.run(overhead(requests))
    asyncio.run(first_sound())
    asyncio.run(responsiveness())


def start() -> None:
    """Time from process start to `Ready`, and memory then; median of five."""
    times, sizes = [], []
    for _ in range(5):
        with alltalk() as server:
            times.append(server.ready_s)
            sizes.append(server.resident_mb)
    row("start to Ready", f"{statistics.median(times):.2f} s", "at most 1.5 s")
    row("resident memory then", f"{statistics.median(sizes):.0f} MB", "at most 150 MB")


async def overhead(requests: int) -> None:
    """AllTalk with the tone engine beside a bare route that answers the same bytes."""
    with alltalk("tone") as server, tempfile.NamedTemporaryFile(suffix=".wav") as file:
        async with Client(server.port) as client:
            wav = (await client.send(TONE)).body
        file.write(wav)
        file.flush()
        with script(Path(__file__).with_name("bare.py"), file.name) as bare:
            for clients in (1, 8):
                ours = await _measured(server.port, clients, requests, len(wav))
                theirs = await _measured(bare.port, clients, requests, len(wav))
                row(
                    f"wav, {clients} client(s): median",
                    f"{ours[0]:.2f} ms",
                    f"bare {theirs[0]:.2f}",
                )
                row("  requests a second", f"{ours[1]:.0f}", f"bare {theirs[1]:.0f}")


async def _measured(port: int, clients: int, requests: int, size: int) -> tuple[float, float]:
    """Median milliseconds, and requests a second."""

    def check(answer: Answer) -> bool:
        return answer.status == 200 and len(answer.body) == size

    await load(port, TONE, clients=clients, requests=50, check=check)
    started = asyncio.get_running_loop().time()
    answers = await load(port, TONE, clients=clients, requests=requests, check=check)
    rate = len(answers) / (asyncio.get_running_loop().time() - started)
    return statistics.median(answer.total_s for answer in answers) * 1e3, rate


async def first_sound() -> None:
    """Time to the first bytes of three sentences, streamed, with eSpeak."""
    for format in ("wav", "mp3", "opus"):
        body = {
            "model": "tts-1",
            "input": THREE,
            "voice": "alloy",
            "response_format": format,
            "cache": False,
        }
        with alltalk() as server:
            async with Client(server.port) as client:
                answers = [await client.send(post("/v1/audio/speech", body)) for _ in range(60)]
        firsts = [answer.first_s * 1e3 for answer in answers[10:]]
        totals = [answer.total_s * 1e3 for answer in answers[10:]]
        row(
            f"first sound, {format}, three sentences",
            f"{statistics.median(firsts):.1f} ms",
            f"at most 20 ms; the whole answer {statistics.median(totals):.1f} ms",
        )


async def responsiveness() -> None:
    """`/api/ready` while 16 clients ask for long mp3 answers."""
    body = {
        "model": "tts-1",
        "input": THREE * 8,
        "voice": "alloy",
        "response_format": "mp3",
        "cache": False,
    }
    times: list[float] = []
    with alltalk() as server:

        async def speak() -> None:
            async with Client(server.port) as client:
                while len(times) < 400:
                    assert (await client.send(post("/v1/audio/speech", body))).status == 200

        async def poll() -> None:
            async with Client(server.port) as client:
                while len(times) < 400:
                    await asyncio.sleep(0.01)
                    times.append((await client.send(get("/api/ready"))).total_s * 1e3)

        await asyncio.gather(poll(), *(speak() for _ in range(16)))
    row(
        "/api/ready beside 16 mp3 requests: 99th percentile",
        f"{percentile(times, 0.99):.1f} ms",
        f"at most 10 ms; median {statistics.median(times):.1f} ms",
    )


def row(what: str, ours: str, beside: str) -> None:
    """One line of the table."""
    print(f"{what:<52} {ours:>12}   {beside}", flush=True)


if __name__ == "__main__":
    main()
