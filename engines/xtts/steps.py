"""The steps that all utterances share: from the prompt of each to its sound.

A step draws one token for each row that decodes, and then does one piece of other work: a piece of
a prompt that joins, or a window of sound. So a newcomer holds up those who are heard by one step's
time a step, and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from alltalk.audio import Audio
from alltalk.engine import Chunk, Event
from alltalk.errors import AllTalkError
from alltalk.torch_compat.failures import speaking_failed

from .clip import Clip, Spoken
from .decoder import Decoder
from .guard import Guard
from .settings import Settings
from .vocoder import Vocoder

BESIDE, ALONE = 16, 512
"""Positions of a prompt prefilled in a step on the CPU: beside others that are heard, and else.

Sixteen take about as long as a step of eight rows does. While nobody is heard yet a whole prompt
costs nobody a gap, and those who come together then share their steps from the start.
"""
BESIDE_CUDA, WINDOWS_CUDA = 512, 32
"""Positions beside speaking rows, and windows vocoded at once, where there is more to spare."""


class Steps:
    """Who is spoken, in which row, and what is done next."""

    def __init__(
        self, decoder: Decoder, vocoder: Vocoder, settings: Settings, rate: int, *, on_cpu: bool
    ) -> None:
        """`rate`: of the vocoder's sound, Hz."""
        self._decoder, self._vocoder, self._rate = decoder, vocoder, rate
        self._chunk = settings.first_chunk_tokens, settings.longest_chunk_tokens
        self._is_guarded = settings.guarded
        self._beside, self._windows = (BESIDE, 1) if on_cpu else (BESIDE_CUDA, WINDOWS_CUDA)
        self.open: dict[Spoken, None] = {}
        """All, in the order in which they came."""
        self.rows: list[Spoken] = []
        """Those that decode, by row."""
        self.joining: Spoken | None = None
        """Prefilled at present, in the row behind them."""
        self._prompt_next = True

    @torch.inference_mode()
    def __call__(self) -> list[Event]:
        """The next step."""
        events = self._decode() if self.rows else []
        prompting = self.joining or next(filter(Spoken.is_waiting, self.open), None)
        due = sorted(filter(Spoken.is_due, self.open), key=Spoken.urgency)
        if prompting and (self._prompt_next or not due):
            self._prompt_next = False
            return events + self._guarded(prompting, self._prefill)
        self._prompt_next = True
        return events + self._vocode(due[: self._windows])

    def _prefill(self, spoken: Spoken) -> list[Event]:
        """A piece of the prompt of `spoken`; behind the last, its first token."""
        prepared, clip = spoken.prepared, spoken.clip
        if clip is None:
            text, tokens = spoken.pieces.popleft()
            clip = spoken.clip = Clip(
                self._decoder.prompt(prepared.latents.prompt, tokens),
                self._vocoder.begin(prepared.latents.speaker, prepared.manner.speed, self._chunk),
                Guard.of(text),
            )
        self.joining = spoken
        begun = clip.prefilled
        others = (each for each in self.open if each is not spoken)
        most = self._beside if any(each.is_heard and not each.is_done for each in others) else ALONE
        piece = clip.prompt[:, begun : begun + most]
        latents = self._decoder.prefill(len(self.rows), piece, begun)
        clip.prefilled += piece.shape[1]
        if clip.prefilled < clip.prompt.shape[1]:
            return []
        self.joining = None
        self.rows.append(spoken)
        seed = prepared.seed + spoken.said_pieces
        spoken.said_pieces += 1
        drawn = self._decoder.join(clip.prefilled, latents[:, -1], prepared.manner, seed)
        return self._said(spoken, *drawn)

    def _decode(self) -> list[Event]:
        """A token of each row."""
        tokens, latents = self._decoder.step()
        events = []
        for spoken, token, latent in list(zip(self.rows, tokens, latents, strict=True)):
            events += self._guarded(spoken, self._said, token, latent)
        return events

    def _said(self, spoken: Spoken, token: int, latent: torch.Tensor) -> list[Event]:
        """`spoken` has drawn `token`. Raises BadTake."""
        clip = spoken.clip
        assert clip is not None
        clip.tokens.append(token)
        clip.waveform.latents.append(latent)
        ended = token == self._decoder.stop_token
        if ended or len(clip.tokens) >= self._decoder.most_tokens:
            clip.waveform.ended = True
            self.free(spoken)
        if self._is_guarded:
            clip.guard.check(clip.tokens, ended=ended)
        return []

    def _vocode(self, due: Sequence[Spoken]) -> list[Event]:
        """A window of each of `due`; the end of those that have no more to say."""
        events, windows = [], []
        for spoken in due:
            try:
                window = spoken.clip.waveform.take() if spoken.clip else None
            except (RuntimeError, MemoryError) as error:
                events.append(self._failed(spoken, error))
                continue
            if window is None:
                events += self._heard(spoken, None)
            else:
                windows.append((spoken, window))
        try:
            sounds = self._vocoder([window for _, window in windows])
        except (RuntimeError, MemoryError) as error:
            return events + [self._failed(spoken, error) for spoken, _ in windows]
        for (spoken, _), samples in zip(windows, sounds, strict=True):
            events += self._heard(spoken, samples)
        return events

    def _heard(self, spoken: Spoken, samples: torch.Tensor | None) -> list[Event]:
        chunk = None
        if samples is not None and len(samples):
            chunk = Chunk(Audio(np.clip(samples.numpy(), -1.0, 1.0), self._rate))
            spoken.is_heard = True
        if spoken.clip is None or spoken.clip.waveform.ended:
            spoken.clip = None
            spoken.is_done = not spoken.pieces
        if chunk is None and not spoken.is_done:
            return []
        return [Event(spoken, chunk, done=spoken.is_done)]

    def free(self, spoken: Spoken) -> None:
        """Its row, if it has one."""
        if spoken is self.joining:
            self.joining = None
        elif spoken in self.rows:
            row = self.rows.index(spoken)
            clip = self.joining.clip if self.joining else None
            last = self._decoder.rows.leave(row, clip.prefilled if clip else 0)
            self.rows[row] = self.rows[last]
            self.rows.pop()

    def _guarded(
        self, spoken: Spoken, work: Callable[..., list[Event]], *arguments: Any
    ) -> list[Event]:
        """What `work` returns of `spoken`; where it fails, `spoken` alone does."""
        try:
            return work(spoken, *arguments)
        except (AllTalkError, RuntimeError, MemoryError) as error:
            return [self._failed(spoken, error)]

    def _failed(self, spoken: Spoken, error: Exception) -> Event:
        self.free(spoken)
        spoken.is_done = True
        known = isinstance(error, AllTalkError)
        return Event(spoken, done=True, error=error if known else speaking_failed("XTTS", error))
