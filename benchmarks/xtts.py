"""XTTS with its own decoder beside coqui's code: the same weights, tokens and threads, in one run.

    pip install 'alltalk[xtts,bench]'
    python benchmarks/xtts.py [--device cuda] [--precisions float32 bfloat16 int8] [--tokens N]
    python benchmarks/xtts.py --lengths [--plot docs/xtts-lengths.png]

The model has the size of the published one, 30 layers of width 1024, and random weights that never
stop by themselves: a clip is as many tokens as asked for, and one is 46 ms of sound. The first form
compares with coqui's `inference` and `inference_stream`; the second shows what a second of sound
costs in clips from 1 to 30 s. For a GPU it needs one that this torch supports, with 8 GB of memory
(20 GB for `--together 64`), and a checkout; nothing is downloaded. Prints tables in Markdown.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from alltalk.torch_compat import prepare

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from models.xtts import REAL_SIZE, SPEAKERS, make_real_xtts  # noqa: E402

WIDTH, LAYERS, _ = REAL_SIZE
TOKEN_S = 1024 / 22050
TEXT = "The quick brown fox jumps over the lazy dog, and then looks back."
NAME = SPEAKERS[0]
LENGTHS_S = (1, 3, 10, 30)
VOCODER_GFLOP_PER_S = 58
"""Of sound."""


clock = time.process_time if "--cpu-time" in sys.argv else time.perf_counter
"""With other work on the machine, processor time of one thread still compares the two."""


@dataclass(frozen=True, slots=True)
class Timed:
    """What one way of speaking took."""

    who: str
    total_s: float
    first_s: float | None = None
    audio_s: float = 0.0
    steps: tuple[float, ...] = ()
    """Seconds of the decoder's steps."""

    @property
    def factor(self) -> float:
        """Seconds of sound a second."""
        return self.audio_s / self.total_s


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16", "int8"])
    parser.add_argument("--tokens", type=int, default=63)
    parser.add_argument("--together", type=int, default=8)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--lengths", action="store_true")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--cpu-time", action="store_true", help="processor time, not wall time")
    asked = parser.parse_args()
    if asked.device != "cpu" and not torch.cuda.is_available():
        sys.exit("This torch finds no CUDA device: a GPU's part needs an NVIDIA GPU and its torch.")
    prepare()
    torch.set_num_threads(asked.threads)
    kind = "processor time" if asked.cpu_time else "wall time"
    print(f"torch {torch.__version__}, {asked.device}, {asked.threads} threads, {kind}\n")
    with tempfile.TemporaryDirectory() as home:
        make_real_xtts(Path(home, "engines/xtts/models/real"))
        (measure_lengths if asked.lengths else compare)(Path(home), asked)


def compare(home: Path, asked: argparse.Namespace) -> None:
    """coqui, then ours in each precision."""
    with coqui(home, asked.device) as model:
        whole = coqui_whole(model, asked.tokens)
        stream = coqui_stream(model, asked.tokens)
    print(f"One clip of {asked.tokens} tokens, {asked.tokens * TOKEN_S:.1f} s of sound\n")
    print("| | whole, s | first sound, s | x whole | x stream | first sound, x stream |")
    print("| --- | --- | --- | --- | --- | --- |")
    print(f"| coqui `inference` | {whole.total_s:.2f} | {whole.total_s:.2f} | 1 | | |")
    print(f"| coqui `inference_stream` | {stream.total_s:.2f} | {stream.first_s:.2f} | | 1 | 1 |")
    rows, quality, reference = [], [], None
    for precision in asked.precisions:
        with ours(home, asked.device, precision, asked.together) as engine:
            alone = speak(engine, 1, asked.tokens)
            crowd = speak(engine, asked.together, asked.tokens)
            latents = forced_latents(engine)
            reference = latents if reference is None else reference
            quality.append((precision, *likeness(engine, reference, latents)))
            rows.append((precision, alone, crowd, bounds(engine, alone, crowd)))
        print(
            f"| ours, {precision} | {alone.total_s:.2f} | {alone.first_s:.2f} "
            f"| {whole.total_s / alone.total_s:.2f} | {stream.total_s / alone.total_s:.2f} "
            f"| {(alone.first_s or 0) / (stream.first_s or 1):.2f} |"
        )
    print(f"\n{asked.together} together, against coqui's `inference` one after another\n")
    print("| | all, s | x coqui | x ours alone | seconds of sound a second | first sound, worst |")
    print("| --- | --- | --- | --- | --- | --- |")
    for precision, alone, crowd, _ in rows:
        print(
            f"| ours, {precision} | {crowd.total_s:.2f} "
            f"| {asked.together * whole.total_s / crowd.total_s:.2f} "
            f"| {asked.together * alone.total_s / crowd.total_s:.2f} | {crowd.factor:.2f} "
            f"| {crowd.first_s:.2f} |"
        )
    print("\n| | step of 1, ms | of bandwidth | step of all, ms | of bandwidth | vocoder |")
    print("| --- | --- | --- | --- | --- | --- |")
    for precision, _, _, cells in rows:
        print(f"| ours, {precision} | {' | '.join(cells)} |")
    print("\n| latents against the first row, tokens forced | error | likeliest token the same |")
    print("| --- | --- | --- |")
    for precision, error, same in quality:
        print(f"| {precision} | {error:.2%} | {same:.1%} |")


@contextmanager
def coqui(home: Path, device: str) -> Iterator[Any]:
    """coqui's own model."""
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    folder, config = home / "engines/xtts/models/real", XttsConfig()
    config.load_json(str(folder / "config.json"))
    model = Xtts(config)
    model.load_checkpoint(config, checkpoint_dir=folder, eval=True)
    yield model.to(device)
    del model
    gc.collect()


def coqui_whole(model: Any, tokens: int) -> Timed:
    """coqui's `inference`; a short clip first, to warm up."""
    for most in (8, tokens):
        model.gpt.max_gen_mel_tokens = most
        began = clock()
        model.inference(TEXT, "en", *speaker(model), top_k=50)
    return Timed("inference", clock() - began, audio_s=tokens * TOKEN_S)


def coqui_stream(model: Any, tokens: int) -> Timed:
    """coqui's `inference_stream`, with its own size of chunks."""
    for most in (8, tokens):
        model.gpt.max_gen_mel_tokens = most
        began, first = clock(), 0.0
        for _ in model.inference_stream(TEXT, "en", *speaker(model)):
            first = first or clock() - began
    return Timed("stream", clock() - began, first, tokens * TOKEN_S)


def speaker(model: Any) -> tuple[Any, Any]:
    found = model.speaker_manager.speakers[NAME]
    return found["gpt_cond_latent"], found["speaker_embedding"]


@contextmanager
def ours(home: Path, device: str, precision: str, slots: int) -> Iterator[Any]:
    """Our engine, as the server loads it."""
    from alltalk.engine import Place
    from alltalk.home import Home
    from alltalk.registry import Registry

    settings = {"precision": precision, "slots": slots, "guard_enabled": False}
    place = Place(device, torch.get_num_threads())
    engine: Any = Registry(Home(home)).load("xtts", "xtts - real", place, settings)
    engine._decoder.reserve(slots)  # with room for the longest clips
    speak(engine, min(2, slots), 8)
    yield engine
    engine.close()
    gc.collect()


def speak(engine: Any, together: int, tokens: int) -> Timed:
    """So many clips at once, each of so many tokens; `first_s` is the last one's first sound."""
    from alltalk.engine import Sampling, Utterance, Voice

    engine._decoder.most_tokens = tokens
    said = [Utterance(TEXT, Voice(NAME), "en", sampling=Sampling(n)) for n in range(together)]
    inner, steps = engine._decoder.step, []

    def step() -> Any:
        at = clock()
        result = inner()
        steps.append(clock() - at)
        return result

    engine._decoder.step = step
    began = clock()
    running = {engine.open(engine.prepare(each)): 0.0 for each in said}
    firsts, samples = [], 0
    while running:
        for event in engine.step():
            if event.error is not None:
                raise event.error
            if event.chunk is not None:
                samples += len(event.chunk.audio)
                if not running[event.stream]:
                    running[event.stream] = clock() - began
            if event.done:
                firsts.append(running.pop(event.stream))
                engine.close_stream(event.stream)
    total = clock() - began
    engine._decoder.step = inner
    return Timed("ours", total, max(firsts), samples / 24000, tuple(steps))


def forced_latents(engine: Any) -> torch.Tensor:
    """Latents [n, width] of given embeddings: what is drawn plays no part."""
    piece = torch.randn(1, 100, WIDTH, generator=torch.Generator().manual_seed(9)) * 0.05
    with torch.inference_mode():
        engine._decoder.reserve(1)
        return engine._decoder.prefill(0, piece.to(engine._device), 0)[0].float().cpu()


def likeness(engine: Any, expected: torch.Tensor, found: torch.Tensor) -> tuple[float, float]:
    """Relative error of latents, and the share of positions with the same likeliest token."""
    with torch.inference_mode():
        head = engine._model.gpt.mel_head.float().cpu()
        same = head(expected).argmax(-1) == head(found).argmax(-1)
    return float((found - expected).norm() / expected.norm()), float(same.float().mean())


def bounds(engine: Any, alone: Timed, crowd: Timed) -> list[str]:
    """Steps beside the time it takes to read the weights, the vocoder beside its arithmetic."""
    device = engine._device
    size = {"int8": 1, "bfloat16": 2, "float16": 2}.get(engine._chosen.precision, 4)
    least_s = LAYERS * 12 * WIDTH**2 * size / read_bandwidth(device)
    cells = []
    for timed in (alone, crowd):
        step_s = statistics.median(timed.steps)
        cells += [f"{step_s * 1e3:.1f}", f"{least_s / step_s:.0%}"]
    frames = torch.randn(1, WIDTH, 188, device=device, dtype=engine._vocoder._dtype)
    voice = torch.randn(1, 512, 1, device=device, dtype=engine._vocoder._dtype)
    with torch.inference_mode():
        took_s = best(lambda: engine._vocoder._generator(frames, g=voice), device)
    rate = 2 * VOCODER_GFLOP_PER_S / took_s
    peak = peak_gflops(device, engine._vocoder._dtype)
    return [*cells, f"{rate:.0f} GFLOP/s, {rate / peak:.0%} of a matrix product's"]


def read_bandwidth(device: str) -> float:
    """Bytes a second of reading memory that no cache holds."""
    large = torch.ones(256 * 2**20 // 4, device=device)
    return large.numel() * 4 / best(lambda: large.sum(), device)


def peak_gflops(device: str, dtype: torch.dtype) -> float:
    """Of a large matrix product."""
    square = torch.randn(2048, 2048, device=device, dtype=dtype)
    return 2 * 2048**3 / best(lambda: square @ square, device) / 1e9


def best(work: Any, device: str, times: int = 4) -> float:
    """Seconds of the fastest of some runs."""
    found = []
    for _ in range(times):
        began = clock()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        found.append(clock() - began)
    return min(found)


def measure_lengths(home: Path, asked: argparse.Namespace) -> None:
    """What a second of sound costs in clips of several lengths; coqui's stream up to 10 s."""
    print("| clip, s | ours, s a second of sound | of that the vocoder | coqui's stream |")
    print("| --- | --- | --- | --- |")
    streamed = {}
    with coqui(home, asked.device) as model:
        for length in LENGTHS_S[:3]:
            streamed[length] = coqui_stream(model, round(length / TOKEN_S)).total_s / length
    costs = {}
    with ours(home, asked.device, asked.precisions[0], 1) as engine:
        for length in LENGTHS_S:
            timed = speak(engine, 1, min(600, round(length / TOKEN_S)))
            costs[length] = timed.total_s / timed.audio_s
            rest = (timed.total_s - sum(timed.steps)) / timed.audio_s
            theirs = f"{streamed[length]:.2f}" if length in streamed else ""
            print(f"| {length} | {costs[length]:.2f} | {rest:.2f} | {theirs} |", flush=True)
    if asked.plot is not None:
        plot(costs, streamed, asked.precisions[0], asked.plot)


def plot(ours: dict[int, float], theirs: dict[int, float], precision: str, file: Path) -> None:
    """Needs matplotlib."""
    from matplotlib.figure import Figure

    figure = Figure((5.5, 3.2), layout="constrained", dpi=110)
    axes = figure.subplots()
    curves: Sequence[tuple[dict[int, float], str]] = (
        (theirs, "coqui's inference_stream"),
        (ours, f"ours, {precision}"),
    )
    for costs, label in curves:
        axes.plot(list(costs), list(costs.values()), "o-", label=label)
    axes.set(xlabel="clip, seconds", ylabel="seconds for a second of sound", xscale="log")
    axes.set_xticks(LENGTHS_S, [str(each) for each in LENGTHS_S])
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.savefig(file)


if __name__ == "__main__":
    main()
