"""What `alltalk bench --engine xtts` tells besides: our decoder beside coqui's own code."""

from __future__ import annotations

import statistics
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from alltalk.engine import Place
from alltalk.figures import Cell, Figures
from alltalk.torch_compat import prepare

from .engine import model_folder
from .linear import chosen_precision

if TYPE_CHECKING:  # it imports coqui, which has to be prepared
    from .timing import Runs, Timed

TOKENS, TOGETHER = 63, 8
LENGTHS_S = (1, 3, 10, 30)
COQUI_LENGTHS_S = (1, 3)
"""Its stream's work grows with the square of the length: 30 s of sound would take minutes."""
VOCODER_GFLOP_PER_S = 58
"""Of sound."""
BYTES = {"int8": 1, "bfloat16": 2, "float16": 2, "float32": 4}


def bench(
    folder: Path, model: str, place: Place, settings: Mapping[str, Any]
) -> Generator[Figures]:
    """The loaded model's speed, with its own settings. Raises LoadFailed, OutOfMemory, ConfigError.

    Takes about a minute on a GPU, and some on a processor.
    """
    prepare()
    from .timing import Runs

    precision = chosen_precision(str(settings.get("precision", "auto")), place.device)
    runs = Runs(model_folder(folder, model), place, settings)
    yield from compared(runs, [precision], TOKENS, TOGETHER)
    yield lengths(runs, precision, LENGTHS_S, COQUI_LENGTHS_S)


def compared(
    runs: Runs, precisions: Sequence[str], tokens: int, together: int
) -> Generator[Figures]:
    """One clip, several at once, and the parts, in each precision."""
    with runs.coqui() as model:
        whole, stream = runs.whole(model, tokens), runs.stream(model, tokens)
    del model  # or it would be in memory beside ours
    alone: dict[str, Timed] = {}
    crowd: dict[str, Timed] = {}
    latents: dict[str, torch.Tensor] = {}
    vocoder = None
    for precision in precisions:
        with runs.ours(precision, together) as engine:
            alone[precision] = runs.speak(engine, 1, tokens)
            crowd[precision] = runs.speak(engine, together, tokens)
            latents[precision] = _forced_latents(engine)
            head, weights = engine.model.gpt.mel_head.float().cpu(), _weights(engine)
            vocoder = vocoder or _vocoder(runs, engine)
    yield _one_clip(whole, stream, alone)
    yield _together(whole, alone, crowd, together)
    yield _steps(runs, weights, alone, crowd, together)
    if vocoder:
        yield vocoder
    if len(precisions) > 1:
        yield _likeness(latents, head)


def lengths(
    runs: Runs, precision: str, lengths_s: Sequence[int], coqui_lengths_s: Sequence[int]
) -> Figures:
    """What a second of sound costs in clips of several lengths."""
    streamed: dict[int, float] = {}
    with runs.coqui() as model:
        # Its first clip of several windows takes longer than any after it.
        for length in (*coqui_lengths_s[:1], *coqui_lengths_s):
            timed = runs.stream(model, _tokens(length))
            if timed is None:
                break
            streamed[length] = timed.total_s / timed.audio_s
    del model
    rows: list[tuple[Cell, ...]] = []
    with runs.ours(precision, 1) as engine:
        for length in lengths_s:
            timed = runs.speak(engine, 1, _tokens(length))
            rest_s = timed.total_s - sum(timed.steps)
            costs = (timed.total_s / timed.audio_s, rest_s / timed.audio_s)
            rows.append((length, *costs, streamed.get(length)))
    title = f"Seconds of work for a second of sound, one clip, {precision}"
    return Figures(
        title, ("clip, s", "ours", "of that prompt and vocoder", "coqui's stream"), tuple(rows)
    )


def _tokens(length_s: int) -> int:
    """At most what a model says in one go."""
    return min(600, round(length_s * 22050 / 1024))


def _one_clip(whole: Timed, stream: Timed | None, ours: Mapping[str, Timed]) -> Figures:
    rows: list[tuple[Cell, ...]] = [
        ("coqui `inference`", whole.total_s, whole.first_s, 1.0, None, None)
    ]
    if stream:
        theirs = (stream.total_s, stream.first_s, None, 1.0, 1.0)
        rows.append(("coqui `inference_stream`", *theirs))
    for precision, each in ours.items():
        beside = whole.total_s / each.total_s
        streamed = (stream.total_s / each.total_s, each.first_s / stream.first_s) if stream else ()
        cells = (each.total_s, each.first_s, beside, *(streamed or (None, None)))
        rows.append((f"ours, {precision}", *cells))
    return Figures(
        f"One clip, {whole.audio_s:.1f} s of sound",
        ("", "whole, s", "first sound, s", "x whole", "x stream", "first sound, x stream"),
        tuple(rows),
    )


def _together(
    whole: Timed, alone: Mapping[str, Timed], crowd: Mapping[str, Timed], count: int
) -> Figures:
    rows = tuple(
        (
            f"ours, {precision}",
            all_.total_s,
            count * whole.total_s / all_.total_s,
            count * alone[precision].total_s / all_.total_s,
            all_.audio_s / all_.total_s,
            all_.first_s,
        )
        for precision, all_ in crowd.items()
    )
    columns = ("", "all, s", "x coqui", "x ours alone", "seconds of sound a second")
    return Figures(
        f"{count} clips together, against coqui's `inference` one after another",
        (*columns, "first sound, worst, s"),
        rows,
    )


def _weights(engine: Any) -> int:
    """Of the trunk's matrices."""
    trunk = engine.decoder.trunk
    return len(trunk.blocks) * 12 * int(trunk.width) ** 2


def _steps(
    runs: Runs, weights: int, alone: Mapping[str, Timed], crowd: Mapping[str, Timed], together: int
) -> Figures:
    """Medians, and what they could be: each step reads all weights once."""
    large = torch.ones(256 * 2**20 // 4, device=runs.place.device)  # no cache holds it
    bytes_per_s = large.numel() * 4 / runs.best(large.sum)
    rows = []
    for precision, timed in alone.items():
        least_s = weights * BYTES[precision] / bytes_per_s
        one_s, all_s = (statistics.median(each.steps) for each in (timed, crowd[precision]))
        cells = (one_s * 1e3, 100 * least_s / one_s, all_s * 1e3, 100 * least_s / all_s)
        rows.append((f"ours, {precision}", *cells))
    return Figures(
        f"Decode steps; 100 %: as fast as memory is read, {bytes_per_s / 1e9:.0f} GB/s",
        ("", "of 1 row, ms", "%", f"of {together} rows, ms", "%"),
        tuple(rows),
    )


def _vocoder(runs: Runs, engine: Any) -> Figures:
    """Of a window of a second, beside a large matrix product."""
    device, dtype = runs.place.device, engine.vocoder.dtype
    frames = torch.randn(1, engine.decoder.trunk.width, 94, device=device, dtype=dtype)
    voice = torch.randn(1, 512, 1, device=device, dtype=dtype)
    square = torch.randn(2048, 2048, device=device, dtype=dtype)
    with torch.inference_mode():
        took_s = runs.best(lambda: engine.vocoder.generator(frames, g=voice))
        product_s = runs.best(lambda: square @ square)
    rate, most = VOCODER_GFLOP_PER_S / took_s, 2 * 2048**3 / 1e9 / product_s
    return Figures(
        f"The vocoder in {str(dtype).removeprefix('torch.')}; 100 %: a matrix product's rate",
        ("for a second of sound, ms", "GFLOP/s", "%"),
        ((took_s * 1e3, rate, 100 * rate / most),),
    )


@torch.inference_mode()
def _forced_latents(engine: Any) -> torch.Tensor:
    """float32 [100, width] of given embeddings: what is drawn plays no part."""
    draws = torch.Generator().manual_seed(9)
    piece = torch.randn(1, 100, engine.decoder.trunk.width, generator=draws) * 0.05
    device = engine.model.gpt.mel_head.weight.device
    latents: torch.Tensor = engine.decoder.prefill(0, piece.to(device), 0)[0]
    return latents.float().cpu()


@torch.inference_mode()
def _likeness(latents: Mapping[str, torch.Tensor], head: Any) -> Figures:
    """Of what each precision says to the same tokens, beside the first."""
    reference = next(iter(latents.values()))
    rows = []
    for precision, found in latents.items():
        error = float((found - reference).norm() / reference.norm())
        same = float((head(found).argmax(-1) == head(reference).argmax(-1)).float().mean())
        rows.append((precision, 100 * error, 100 * same))
    return Figures(
        "Latents beside the first row's, the same tokens given",
        ("", "error, %", "likeliest token the same, %"),
        tuple(rows),
    )
