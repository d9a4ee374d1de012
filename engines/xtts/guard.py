"""Notices a clip that cannot be its text: far too short, without an end, or stuck in a loop.

By the number of audio tokens (46 ms each) beside what the text needs, and by tokens that repeat
exactly. The bounds are wide: nobody speaks four times as fast as usual, or six times as slowly.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from alltalk.errors import BadTake

LEAST, MOST, PAUSES = 0.35, 8.0, 60
"""Tokens of a character, at least and at most, and some seconds of pauses besides.

Speech of 15 characters a second is 1.4 tokens a character.
"""
SHORTEST_CHARS = 20
"""Less text than this is never too short: an exclamation, a number, initials."""
IDEOGRAPH = 3.0
"""A Chinese or Japanese character, or a Korean syllable, is so many letters long."""
LOOP, PERIODS = 64, 32
"""So many tokens (3 s) that repeat with a period of so many at most are a loop."""


@dataclass(frozen=True, slots=True)
class Guard:
    """The bounds of one clip."""

    least: int
    most: int

    @classmethod
    def of(cls, text: str) -> Guard:
        """What `text` needs; speed is no part of it, as it stretches latents, not tokens."""
        letters = sum(
            (IDEOGRAPH if unicodedata.east_asian_width(each) in "WF" else 1.0)
            * (3.0 if each.isdigit() else 1.0)
            for each in text
            if each.isalnum()
        )
        least = int(LEAST * letters) if letters >= SHORTEST_CHARS else 0
        return cls(least, round(MOST * letters) + PAUSES)

    def check(self, tokens: Sequence[int], *, ended: bool) -> None:
        """Raises BadTake. `tokens` so far; the stop token, which `ended` them, among them."""
        if ended and len(tokens) < self.least:
            raise BadTake(f"The voice stopped after {len(tokens)} of at least {self.least} tokens.")
        if len(tokens) > self.most:
            raise BadTake(f"The voice does not stop: more than {self.most} tokens.")
        if not ended and not len(tokens) % 16 and is_loop(tokens):
            raise BadTake("The voice repeats itself.")


def is_loop(tokens: Sequence[int]) -> bool:
    """Whether the last `LOOP` tokens are one short passage over and over."""
    last = list(tokens[-LOOP:])
    if len(last) < LOOP:
        return False
    return any(last[period:] == last[:-period] for period in range(1, PERIODS + 1))
