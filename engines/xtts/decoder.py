"""The language model's side: rows of a cache that a clip owns while its tokens are drawn.

Rows 0 to n - 1 decode together, one token each a step; a row behind them may be prefilled. coqui
computes everything a second time for the latents: here the vector that a token is drawn from is
its latent. Nothing is kept on the model.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import pad

from .graphs import Graphs
from .manner import Manner
from .rows import RowState, Saved
from .sampler import draw
from .trunk import Cache, Trunk

MOST_CONDITIONING = 64
"""Positions of a voice in a prompt; models have 32."""


class Decoder:
    """Draws audio tokens with a model, for at most `slots` clips at once."""

    def __init__(self, gpt: Any, precision: str, slots: int) -> None:
        """`gpt`: coqui's, on its device; its trunk is in `precision` by then, or on the CPU."""
        self._gpt, self._slots = gpt, slots
        self.trunk = Trunk(gpt, precision)
        self.stop_token = int(gpt.stop_audio_token)
        self.most_tokens = int(gpt.max_gen_mel_tokens)
        self._tokens = int(gpt.mel_head.out_features)
        self.release()

    def release(self) -> None:
        """Free all rows, and their memory."""
        gpt, trunk = self._gpt, self.trunk
        most_text = gpt.text_pos_embedding.emb.num_embeddings
        self._past_end = MOST_CONDITIONING + most_text + 1 + self.most_tokens
        self._cache = Cache(
            len(trunk.blocks), self._past_end + 1, trunk.heads, trunk.width // trunk.heads
        )
        self._state: RowState | None = None
        self._lengths: list[int] = []
        self._graphs = Graphs(self._step, self._saved)

    def reserve(self, rows: int) -> None:
        """Have memory for so many rows, in steps of powers of two. May run out of memory."""
        if rows <= self._cache.rows:
            return
        rows = min(self._slots, 1 << (rows - 1).bit_length())
        norm = self._gpt.gpt.ln_f.weight
        state = RowState(rows, self._tokens, self.most_tokens, self._past_end, norm.device)
        self._cache.reserve(rows, norm)
        if self._state is not None:
            state.take(self._state)
        self._state = state
        self._graphs.forget()

    def prompt(self, conditioning: torch.Tensor, text: list[int]) -> torch.Tensor:
        """What a clip continues, float32 [1, t, width]: voice, text, and the start of the sound."""
        gpt = self._gpt
        device = gpt.mel_head.weight.device
        tokens = torch.tensor([text], device=device)
        tokens = pad(pad(tokens, (0, 1), value=gpt.stop_text_token), (1, 0), value=0)
        tokens[:, 0] = gpt.start_text_token
        start = (
            gpt.mel_embedding.weight[gpt.start_audio_token] + gpt.mel_pos_embedding.emb.weight[0]
        )
        words = gpt.text_embedding(tokens) + gpt.text_pos_embedding(tokens)
        return torch.cat([conditioning.to(device), words, start[None, None]], dim=1)

    def prefill(self, row: int, piece: torch.Tensor, start: int) -> torch.Tensor:
        """Latents [1, t, width] of a `piece` of a prompt, whose first position is `start`."""
        stop = start + piece.shape[1]
        positions = torch.arange(start, stop, device=piece.device)[None]
        return self.trunk(piece, self._cache, row, positions, stop)

    def join(
        self, row: int, length: int, latent: torch.Tensor, manner: Manner, seed: int
    ) -> tuple[int, torch.Tensor]:
        """Let `row` decode from now on, behind `length` positions of prompt.

        Returns its first token, drawn from the prompt's last `latent` [1, width], and its latent.
        """
        assert self._state is not None
        assert row == len(self._lengths)
        self._state.place(row, length, manner, seed, self._gpt.start_audio_token)
        self._lengths.append(length)
        return int(self._draw(latent, row, row + 1)), latent[0]

    def step(self) -> tuple[list[int], torch.Tensor]:
        """One token of every row that decodes, and the latents [rows, width] it is drawn from."""
        n = len(self._lengths)
        self._lengths = [length + 1 for length in self._lengths]
        run = self._graphs if self._cache.keys.is_cuda else self._step
        tokens, latents = run(n, max(self._lengths))
        return tokens.tolist()[:n], latents[:n]  # the one place where the GPU is waited for

    def leave(self, row: int, joining: int = 0) -> int:
        """Free `row` of those that decode; the last of them takes its place. Returns which.

        A row that is being prefilled, `joining` positions of it, then follows them.
        """
        assert self._state is not None
        last = len(self._lengths) - 1
        if row != last:
            self._cache.move(last, row, self._lengths[last])
            self._state.move(last, row)
            self._lengths[row] = self._lengths[last]
        if joining:
            self._cache.move(last + 1, last, joining)
        self._state.position[last] = self._past_end
        self._lengths.pop()
        return last

    def _step(self, rows: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The same with no Python of its own inside, so that it can be captured.

        It may take in rows that do not decode: those write past the end of the cache.
        """
        state, gpt = self._state, self._gpt
        assert state is not None
        length = min(length, self._past_end + 1)
        count = state.count[:rows].clamp_max(self.most_tokens)
        x = gpt.mel_embedding(state.token[:rows]) + gpt.mel_pos_embedding.emb(count)
        positions = state.position[:rows].clamp_max(self._past_end)
        latents = self.trunk(x[:, None], self._cache, 0, positions[:, None], length)[:, 0]
        return self._draw(latents, 0, rows), latents

    def _draw(self, latents: torch.Tensor, first: int, stop: int) -> torch.Tensor:
        """Tokens [n] of rows `first` to `stop`, which then continue from them."""
        state = self._state
        assert state is not None
        rows = slice(first, stop)
        count = state.count[rows].clamp_max(self.most_tokens)
        tokens = draw(
            self._gpt.mel_head(latents),
            state.said[rows],
            state.wishes(rows),
            state.uniform[rows].gather(1, count[:, None]),
        )
        state.said[rows].scatter_(1, tokens[:, None], True)
        state.token[rows] = tokens
        state.count[rows] += 1
        state.position[rows] += 1
        return tokens

    def _saved(self) -> Saved:
        """The rows' state, and what puts it back."""
        assert self._state is not None
        return self._state.saved()
