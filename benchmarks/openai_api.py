"""What OpenAI's API costs here: kept answers, mp3, first sound, equal requests; beside its bounds.

python benchmarks/openai_api.py [--quick]

Speaks with the tone engine. Needs an `ffmpeg` program for one figure, and says so where there is
none. `--quick` asks for less of everything. Exit status 1 when a figure is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from load import Answer, Client, get, load, percentile, post
from process import Running, alltalk, script

from alltalk.engine import Place, Utterance, Voice
from alltalk.engines.tone.engine import load as load_tone

LONG = " ".join(["word"] * 23)
"""88 kB of wav."""
TWO_SECONDS = " ".join(["word"] * 25)
STEP_S = 0.1
"""Seconds that the slow engine computes a word."""
CLIENTS = 8


class Report:
    """Prints a line a figure, and remembers whether one was missed."""

    missed = False

    def row(self, what: str, ours: str, bound: str, *, good: bool = True) -> None:
        """One line of the table."""
        self.missed |= not good
        print(f"{what:<44} {ours:>12}   {bound}{'' if good else '   MISSED'}", flush=True)


def main() -> None:
    """Run every measurement; status 1 when one misses its bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="ask for less of everything")
    share = 0.2 if parser.parse_args().quick else 1.0
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    report = Report()
    asyncio.run(kept_answers(report, int(4000 * share)))
    asyncio.run(mp3_answers(report, int(400 * share)))
    for format in ("wav", "mp3", "opus"):
        asyncio.run(first_sound(report, format, max(5, int(30 * share))))
    asyncio.run(equal_requests(report))
    sys.exit(report.missed)


async def kept_answers(report: Report, requests: int) -> None:
    """Answers from the cache beside a bare route; the rounds take turns, the medians count."""
    raw = speech(LONG, "wav")
    with alltalk("tone") as server, tempfile.NamedTemporaryFile(suffix=".wav") as file:
        wav = await _kept(server.port, raw)
        file.write(wav)
        file.flush()
        ours, theirs = [], []
        with script(Path(__file__).with_name("bare.py"), file.name) as bare:
            for _ in range(5):
                ours.append(await _rate(server.port, raw, requests, len(wav)))
                theirs.append(await _rate(bare.port, raw, requests, len(wav)))
    rate, beside = statistics.median(ours), statistics.median(theirs)
    report.row(
        f"kept {len(wav) / 1000:.0f} kB wav, {CLIENTS} clients, a second",
        f"{rate:.0f}",
        "at least 2000",
        good=rate >= 2000,
    )
    report.row(
        "  beside a bare Starlette route",
        f"{rate / beside:.2f}",
        f"at least 0.25; bare {beside:.0f} a second",
        good=rate >= beside / 4,
    )


async def mp3_answers(report: Report, requests: int) -> None:
    """Whole mp3 answers beside one ffmpeg program a request, and `/api/ready` meanwhile."""
    raw = speech(TWO_SECONDS, "mp3", cache=False)
    with alltalk("tone") as server:
        async with Client(server.port) as client:
            pcm = (await client.send(speech(TWO_SECONDS, "pcm"))).body
        await _rate(server.port, raw, CLIENTS * 2)
        alone = await _ready_ms(server.port, asyncio.sleep(1.0))
        rates: list[float] = []

        async def measured() -> None:
            rates.append(await _rate(server.port, raw, requests))

        beside = await _ready_ms(server.port, measured())
    report.row(
        "/api/ready beside mp3 answers: 99th percentile",
        f"{beside:.1f} ms",
        f"at most 10 ms; alone {alone:.1f} ms",
        good=beside <= max(10.0, 2 * alone),
    )
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        report.row("mp3 of 2 s clips, a second", f"{rates[0]:.0f}", "no ffmpeg to hold it against")
        return
    programs = await _ffmpeg_rate(ffmpeg, pcm, max(CLIENTS, requests // 4))
    report.row(
        "mp3 of 2 s clips, a second",
        f"{rates[0]:.0f}",
        f"at least 1.2 times the {programs:.0f} of an ffmpeg a request",
        good=rates[0] >= 1.2 * programs,
    )


async def first_sound(report: Report, format: str, rounds: int) -> None:
    """Time to the first byte, streamed, beside the engine's own first chunk."""
    raw = speech("one two three", format, cache=False)
    with slow_home() as home, alltalk("tone", home) as server:
        async with Client(server.port) as client:
            await client.send(raw)
            firsts = [(await client.send(raw)).first_s * 1e3 for _ in range(rounds)]
    own = statistics.median(_engine_first_ms() for _ in range(rounds))
    later = statistics.median(firsts) - own
    report.row(
        f"first sound, {format}, after the engine's own",
        f"{later:.1f} ms",
        f"at most 5 ms; the engine's {own:.1f} ms",
        good=later <= 5.0,
    )


async def equal_requests(report: Report) -> None:
    """64 at once that want the same: the characters spoken tell how many were synthesized."""
    text = "sixty four callers want the same"
    with slow_home() as home, alltalk("tone", home) as server:
        raw = speech(text, "wav")
        answers = await load(server.port, raw, clients=64, requests=1, check=_good)
        spoken = await _characters(server)
    report.row(
        f"{len(answers)} equal requests: syntheses",
        f"{spoken / len(text):.0f}",
        "1",
        good=len(answers) == 64 and spoken == len(text),
    )


def speech(text: str, format: str, **more: Any) -> bytes:
    """A request for speech."""
    body = {"model": "tts-1", "input": text, "voice": "low", "response_format": format}
    return post("/v1/audio/speech", {**body, **more})


@contextmanager
def slow_home() -> Generator[Path]:
    """A home whose tone engine takes STEP_S for a word."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "engines/tone"
        folder.mkdir(parents=True)
        settings = json.dumps({"settings": {"step_s": STEP_S}})
        (folder / "model_settings.json").write_text(settings)
        yield Path(home)


async def _kept(port: int, raw: bytes) -> bytes:
    """The answer, once it comes with its length: from the cache."""
    async with Client(port) as client:
        answer = await client.send(raw)
        while answer.body[4:8] == b"\xff\xff\xff\xff":
            await asyncio.sleep(0.01)
            answer = await client.send(raw)
    return answer.body


async def _rate(port: int, raw: bytes, requests: int, size: int | None = None) -> float:
    """Answers a second."""

    def check(answer: Answer) -> bool:
        return answer.status == 200 and size in (None, len(answer.body))

    began = time.perf_counter()
    answers = await load(port, raw, clients=CLIENTS, requests=requests, check=check)
    return len(answers) / (time.perf_counter() - began)


async def _ready_ms(port: int, work: Any) -> float:
    """How long `/api/ready` takes while `work` is done: 99th percentile, milliseconds."""
    task, times = asyncio.ensure_future(work), []
    async with Client(port) as client:
        while not task.done():
            times.append((await client.send(get("/api/ready"))).total_s * 1e3)
            await asyncio.sleep(0.01)
    await task
    return percentile(times, 0.99)


async def _ffmpeg_rate(ffmpeg: str, pcm: bytes, runs: int) -> float:
    """Clips a second that go through a program each, CLIENTS at once."""
    options = ("-loglevel", "error", "-f", "s16le", "-ar", "24000", "-ac", "1", "-i", "pipe:0")
    left = iter(range(runs))

    async def one() -> None:
        for _ in left:
            program = await asyncio.create_subprocess_exec(
                *(ffmpeg, *options, "-f", "mp3", "-qscale:a", "2", "pipe:1"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            encoded, _ = await program.communicate(pcm)
            assert encoded

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(CLIENTS)))
    return runs / (time.perf_counter() - began)


def _engine_first_ms() -> float:
    """From the utterance to its first chunk, in this process and nothing around it."""
    tone = load_tone(Path(), "tone-a", Place(), {"step_s": STEP_S})
    began = time.perf_counter()
    sound = tone.synthesize(Utterance("one two three", Voice("low"), "en"))
    next(chunk for chunk in sound if chunk is not None)
    return (time.perf_counter() - began) * 1e3


async def _characters(server: Running) -> float:
    """Spoken by the server so far."""
    async with Client(server.port) as client:
        text = (await client.send(get("/metrics"))).body.decode()
    lines = [each for each in text.splitlines() if each.startswith("alltalk_characters_total{")]
    return sum(float(line.split()[-1]) for line in lines)


def _good(answer: Answer) -> bool:
    return answer.status == 200


if __name__ == "__main__":
    main()
