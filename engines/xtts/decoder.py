"""The language model's side: a prompt is prefilled, then a token is drawn each step.

coqui computes everything a second time for the latents: here the vector that a token is drawn from
is its latent. Nothing is kept on the model.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import pad

from .graphs import Graphs
from .manner import Manner
from .rows import Rows, Sizes
from .sampler import draw
from .trunk import Trunk

MOST_CONDITIONING = 64
"""Positions of a voice in a prompt; models have 32."""


class Decoder:
    """Draws audio tokens with a model, for at most `slots` clips at once, in rows of their own."""

    def __init__(self, gpt: Any, precision: str, slots: int) -> None:
        """`gpt`: coqui's, on its device; its trunk is in `precision` by then, or on the CPU."""
        self._gpt, self._slots = gpt, slots
        self.trunk = trunk = Trunk(gpt, precision)
        self.stop_token, self.most_tokens = int(gpt.stop_audio_token), int(gpt.max_gen_mel_tokens)
        positions = MOST_CONDITIONING + gpt.text_pos_embedding.emb.num_embeddings + 2
        self._sizes = Sizes(
            layers=len(trunk.blocks),
            positions=positions + self.most_tokens,
            heads=trunk.heads,
            head_size=trunk.width // trunk.heads,
            tokens=int(gpt.mel_head.out_features),
            most_tokens=self.most_tokens,
        )
        self.release()

    def release(self) -> None:
        """Free all rows, and their memory."""
        self.rows = Rows(self._sizes, self._slots)
        self._graphs = Graphs(self._step, lambda: self.rows.state.saved())

    def reserve(self, rows: int) -> None:
        """Have memory for so many rows. May run out of memory."""
        if self.rows.reserve(rows, self._gpt.gpt.ln_f.weight):
            self._graphs.forget()

    def prompt(self, conditioning: torch.Tensor, text: list[int]) -> torch.Tensor:
        """What a clip continues, float32 [1, t, width]: voice, text, and the start of the sound."""
        gpt = self._gpt
        device = gpt.mel_head.weight.device
        tokens = torch.tensor([[gpt.start_text_token, *text]], device=device)
        tokens = pad(tokens, (0, 1), value=gpt.stop_text_token)
        words = gpt.text_embedding(tokens) + gpt.text_pos_embedding(tokens)
        start = gpt.mel_embedding.weight[gpt.start_audio_token]
        start = start + gpt.mel_pos_embedding.emb.weight[0]
        return torch.cat([conditioning.to(device), words, start[None, None]], dim=1)

    def prefill(self, row: int, piece: torch.Tensor, start: int) -> torch.Tensor:
        """Latents [1, t, width] of a `piece` of a prompt, whose first position is `start`."""
        stop = start + piece.shape[1]
        positions = torch.arange(start, stop, device=piece.device)[None]
        return self.trunk(piece, self.rows.cache, row, positions, stop)

    def join(
        self, length: int, latent: torch.Tensor, manner: Manner, seed: int
    ) -> tuple[int, torch.Tensor]:
        """Let the row behind those that decode do so from now on, behind `length` positions.

        Returns its first token, drawn from the prompt's last `latent` [1, width], and its latent.
        """
        row = len(self.rows.lengths)
        self.rows.join(length, manner, seed, self._gpt.start_audio_token)
        return int(self._draw(latent, slice(row, row + 1))), latent[0]

    def step(self) -> tuple[list[int], torch.Tensor]:
        """One token of every row that decodes, and the latents [rows, width] it is drawn from."""
        self.rows.lengths = lengths = [length + 1 for length in self.rows.lengths]
        run = self._graphs if self.rows.cache.keys.is_cuda else self._step
        tokens, latents = run(len(lengths), max(lengths))
        return tokens.tolist()[: len(lengths)], latents[: len(lengths)]  # the GPU is waited for

    def _step(self, rows: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The same with no Python of its own inside, so that it can be captured.

        It may take in rows that do not decode: those write to the last position.
        """
        state, gpt, last = self.rows.state, self._gpt, self._sizes.positions - 1
        x = gpt.mel_embedding(state.token[:rows]) + gpt.mel_pos_embedding.emb(
            self._counts(slice(rows))
        )
        positions = state.position[:rows, None].clamp_max(last)
        length = min(length, last + 1)
        latents = self.trunk(x[:, None], self.rows.cache, 0, positions, length)[:, 0]
        return self._draw(latents, slice(rows)), latents

    def _draw(self, latents: torch.Tensor, rows: slice) -> torch.Tensor:
        """Tokens [n] of `rows`, which then continue from them."""
        state = self.rows.state
        uniform = state.uniform[rows].gather(1, self._counts(rows)[:, None])
        logits = self._gpt.mel_head(latents)
        tokens = draw(logits, state.said[rows], state.wishes(rows), uniform)
        state.said[rows].scatter_(1, tokens[:, None], True)
        state.token[rows] = tokens
        state.count[rows] += 1
        state.position[rows] += 1
        return tokens

    def _counts(self, rows: slice) -> torch.Tensor:
        return self.rows.state.count[rows].clamp_max(self._sizes.most_tokens)
