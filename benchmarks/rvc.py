"""What voice conversion costs: time, memory, and what a stream adds to it.

    pip install 'alltalk[rvc]'
    python benchmarks/rvc.py [--seconds S] [--rounds N] [--models FOLDER]

A voice, an embedder and RMVPE of the published sizes with random weights, made anew or kept in
FOLDER (0.8 GB). Each figure is the best of N rounds; what is compared takes turns. `padded` is the
same code with what RVC does: a second of reflected sound on both sides, converted too and cut off.
RTF is time per second of sound; by the processor's time it is also true on a busy machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from alltalk.audio import Audio
from alltalk.effects.rvc import Converter
from alltalk.engine import Place
from alltalk.speech import Conversion

ROOT = Path(__file__).resolve().parent.parent
RATE = 24000
CHUNK = RATE // 10
"""Samples of an engine's chunk."""
CONVERSION = Conversion("Ana/ana.pth", semitones=3, protect=0.33)
PADDING_S = 1.0


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="of sound")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--models", type=Path, help="folder to keep the models in")
    asked = parser.parse_args()
    spoken = speech(asked.seconds)
    with models(asked.models) as folder:
        print(
            f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
            f"Python {platform.python_version()}; {asked.seconds:g} s of sound"
        )
        loading(folder, spoken)
        print("threads  what     RTF    by processor time  first sound")
        for threads in (1, 2):
            compared(folder, threads, spoken, asked.rounds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:,.0f} MB")


def loading(folder: Path, spoken: Audio) -> None:
    """A first and a second request with the same voice."""
    short = Audio(spoken.samples[:RATE].copy(), RATE)
    converter = Converter(folder, Place(threads=2), memory_bytes=1 << 30, half=False)
    first, second = (timed(lambda: converter.convert(short, CONVERSION)) for _ in range(2))
    print(
        f"first request for 1 s {first:.2f} s, second {second:.2f} s, "
        f"models {converter.memory_bytes / 1e6:,.0f} MB"
    )


def compared(folder: Path, threads: int, spoken: Audio, rounds: int) -> None:
    """Whole, padded and streamed, in turns."""
    converter = Converter(folder, Place(threads=threads), memory_bytes=1 << 30, half=False)
    converter.convert(Audio(spoken.samples[:RATE].copy(), RATE), CONVERSION)
    firsts: list[float] = []
    ways: dict[str, Callable[[], object]] = {
        "whole": lambda: converter.convert(spoken, CONVERSION),
        "padded": lambda: padded(converter, spoken),
        "stream": lambda: firsts.append(streamed(converter, spoken)),
    }
    walls, works = dict.fromkeys(ways, float("inf")), dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.process_time()
            walls[name] = min(walls[name], timed(way))
            works[name] = min(works[name], time.process_time() - began)
    for name in ways:
        first = f"{min(firsts):.2f} s" if name == "stream" else ""
        wall, work = walls[name] / spoken.seconds, works[name] / spoken.seconds
        print(f"{threads:7}  {name:7}  {wall:.2f}   {work:17.2f}  {first}", flush=True)
    ratio, by_work = walls["whole"] / walls["padded"], works["whole"] / works["padded"]
    print(f"         whole / padded {ratio:.2f}, by processor time {by_work:.2f}", flush=True)


def padded(converter: Converter, spoken: Audio) -> Audio:
    """As RVC does it: reflected at both ends, converted, and cut."""
    count = round(PADDING_S * RATE)
    mirrored = Audio(np.pad(spoken.samples, count, mode="reflect"), RATE)
    converted = converter.convert(mirrored, CONVERSION)
    cut = round(PADDING_S * converted.sample_rate)
    return Audio(converted.samples[cut:-cut].copy(), converted.sample_rate)


def streamed(converter: Converter, spoken: Audio) -> float:
    """Converts chunks that come as fast as they can be converted.

    Seconds until the first converted sound: of sound fed, and of work.
    """
    stage, began, first = converter.open(CONVERSION, RATE), time.perf_counter(), 0.0
    for start in range(0, len(spoken), CHUNK):
        out = stage.feed(Audio(spoken.samples[start : start + CHUNK].copy(), RATE))
        if len(out) and not first:
            first = (start + CHUNK) / RATE + time.perf_counter() - began
    stage.finish()
    return first


def timed(way: Callable[[], object]) -> float:
    began = time.perf_counter()
    way()
    return time.perf_counter() - began


def speech(seconds: float) -> Audio:
    """A voice-like hum that rises and falls."""
    at = np.arange(round(seconds * RATE)) / RATE
    turns = np.cumsum(140 + 30 * np.sin(2 * np.pi * 0.5 * at)) / RATE
    sound = sum(np.sin(2 * np.pi * k * turns) / k for k in range(1, 20))
    noise = np.random.default_rng(0).standard_normal(len(at))
    return Audio((0.15 * sound + 0.003 * noise).astype(np.float32), RATE)


@contextmanager
def models(kept: Path | None) -> Iterator[Path]:
    """A folder rvc_models with the voice Ana."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = (kept or Path(temporary)) / "rvc_models"
        if not folder.is_dir():
            made = folder.parent / "made"
            command = [sys.executable, "-m", "models.rvc", str(made), "--size", "real"]
            subprocess.run(command, cwd=ROOT / "tests", check=True)
            (made / "Ana").mkdir()
            shutil.move(made / "voice.pth", made / "Ana" / "ana.pth")
            shutil.move(made / "voice.index", made / "Ana" / "ana.index")
            made.rename(folder)
        yield folder


if __name__ == "__main__":
    main()
