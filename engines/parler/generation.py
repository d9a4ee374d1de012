"""One run of the model over a set of utterances, a step at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from parler_tts.logits_processors import (  # type: ignore[import-not-found, unused-ignore]
    ParlerTTSLogitsProcessor,
)
from transformers import LogitsProcessor, LogitsProcessorList
from transformers.generation.streamers import BaseStreamer

from alltalk.engine import from_callback


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """What is to be said, how, and how its codes are drawn."""

    text: str
    description: str
    seed: int
    temperature: float
    top_k: int
    """0: all."""
    top_p: float


class Generation:
    """Codes for all of a set at once; a member that has ended is carried along as padding.

    transformers' own loop runs in a helper thread and is held after each step until it is asked
    for the next, so that the model works only while somebody steps it.
    """

    def __init__(self, model: Any, tokenizer: Any, lines: Sequence[Line]) -> None:
        self._model, self._tokenizer, self._lines = model, tokenizer, lines
        self._codes = from_callback(self._run, ahead=1)

    def step(self) -> list[list[int]] | None:
        """The codes of the next step, [utterances][codebooks]; None when all have ended."""
        return next(self._codes, None)

    def close(self) -> None:
        """Stop, if need be in the middle."""
        self._codes.close()

    def _run(self, emit: Callable[[list[list[int]] | None], None]) -> None:
        model, codebooks = self._model, self._model.decoder.num_codebooks
        config = model.generation_config
        ended = ParlerTTSLogitsProcessor(
            config.eos_token_id, codebooks, len(self._lines), model.device
        )
        described = self._tokens([line.description for line in self._lines])
        prompt = self._tokens([line.text for line in self._lines])
        model.generate(
            input_ids=described.input_ids,
            attention_mask=described.attention_mask,
            prompt_input_ids=prompt.input_ids,
            prompt_attention_mask=prompt.attention_mask,
            logits_processor=LogitsProcessorList([ended, Draw(self._lines, codebooks)]),
            do_sample=False,  # `Draw` has drawn: the greatest is the one
            temperature=None,
            top_k=None,
            top_p=None,
            streamer=_Relay(emit, codebooks),
        )

    def _tokens(self, texts: list[str]) -> Any:
        return self._tokenizer(texts, return_tensors="pt", padding=True).to(self._model.device)


class Draw(LogitsProcessor):  # type: ignore[misc, unused-ignore]
    """Draws each utterance's codes with its own generator, so that a seed means the same in a set.

    Gumbel noise on the logits makes the greatest of them a draw from their softmax (Gumbel 1954).
    """

    def __init__(self, lines: Sequence[Line], codebooks: int) -> None:
        self._lines, self._codebooks = lines, codebooks
        self._generators = [torch.Generator().manual_seed(line.seed) for line in lines]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Logits [utterances * codebooks, codes] → the same with noise."""
        rows = torch.split(scores.float(), self._codebooks)
        drawn = map(self._draw, rows, self._lines, self._generators)
        return torch.cat(list(drawn))

    def _draw(self, logits: torch.Tensor, line: Line, generator: torch.Generator) -> torch.Tensor:
        if line.temperature == 0:
            return logits
        noise = -torch.empty(logits.shape).exponential_(generator=generator).log()
        return _likely(logits / line.temperature, line) + noise.to(logits.device)


def _likely(logits: torch.Tensor, line: Line) -> torch.Tensor:
    """`logits` with all but the most likely codes ruled out."""
    if 0 < line.top_k < logits.shape[-1]:
        least = logits.topk(line.top_k).values[..., -1:]
        logits = logits.masked_fill(logits < least, -math.inf)
    if line.top_p < 1:
        ranked, order = logits.sort(descending=True)
        shares = ranked.softmax(-1)
        ruled_out = shares.cumsum(-1) - shares > line.top_p
        logits = logits.masked_fill(ruled_out.scatter(-1, order, ruled_out), -math.inf)
    return logits


class _Relay(BaseStreamer):  # type: ignore[misc, unused-ignore]
    """Hands each step's codes on."""

    def __init__(self, emit: Callable[[list[list[int]] | None], None], codebooks: int) -> None:
        self._emit, self._codebooks = emit, codebooks

    def put(self, value: torch.Tensor) -> None:
        if value.dim() == 1:  # what comes first is the two-dimensional beginning
            self._emit(value.view(-1, self._codebooks).tolist())

    def end(self) -> None:
        """Nothing to do: the run returns."""
