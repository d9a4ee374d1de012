"""XTTS with its own decoder beside coqui's code: the same weights, tokens and threads, in one run.

    pip install 'alltalk[xtts,bench]'
    python benchmarks/xtts.py [--device cuda] [--precisions float32 bfloat16 int8] [--tokens N]
    python benchmarks/xtts.py --lengths [--plot docs/xtts-lengths.png]

What `alltalk bench --engine xtts` tells of your own model, for one of the published one's size with
random weights: 30 layers of width 1024. Either never stops by itself: a clip is as many tokens as
asked for, and one is 46 ms of sound. The first form compares with coqui's `inference` and
`inference_stream`; the second shows what a second of sound costs in clips from 1 to 30 s. For a GPU
it needs one that this torch supports, with 8 GB of memory (20 GB for `--together 64`), and a
checkout; nothing is downloaded. Prints tables in Markdown.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import torch

from alltalk.engine import Place
from alltalk.figures import Figures
from alltalk.torch_compat import prepare

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from models.xtts import make_real_xtts  # noqa: E402

LENGTHS_S, COQUI_LENGTHS_S = (1, 3, 10, 30), (1, 3, 10)


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
    kind = "processor time" if asked.cpu_time else "wall time"
    print(f"torch {torch.__version__}, {asked.device}, {asked.threads} threads, {kind}\n")
    with tempfile.TemporaryDirectory() as folder:
        make_real_xtts(Path(folder))
        for each in measured(Path(folder), asked):
            print(each.markdown(), flush=True)


def measured(folder: Path, asked: argparse.Namespace) -> Iterable[Figures]:
    """The tables asked for, of the model in `folder`."""
    prepare()
    from alltalk.engines.xtts.bench import compared, lengths
    from alltalk.engines.xtts.timing import Runs

    # With other work on the machine, processor time of one thread still compares the two.
    clock = time.process_time if asked.cpu_time else time.perf_counter
    runs = Runs(folder, Place(asked.device, asked.threads), clock=clock)
    if not asked.lengths:
        yield from compared(runs, asked.precisions, asked.tokens, asked.together)
        return
    figures = lengths(runs, asked.precisions[0], LENGTHS_S, COQUI_LENGTHS_S)
    yield figures
    if asked.plot is not None:
        plot(figures, asked.precisions[0], asked.plot)


def plot(figures: Figures, precision: str, file: Path) -> None:
    """Draw `lengths`. Needs matplotlib."""
    from matplotlib.figure import Figure

    figure = Figure((5.5, 3.2), layout="constrained", dpi=110)
    axes = figure.subplots()
    for column, label in ((3, "coqui's inference_stream"), (1, f"ours, {precision}")):
        known = [(row[0], row[column]) for row in figures.rows if row[column] is not None]
        axes.plot(*zip(*known, strict=True), "o-", label=label)
    clips = [row[0] for row in figures.rows]
    axes.set(xlabel="clip, seconds", ylabel="seconds for a second of sound", xscale="log")
    axes.set_xticks(clips, [str(each) for each in clips])
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.savefig(file)


if __name__ == "__main__":
    main()
