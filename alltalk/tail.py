"""Tail: what happens to a request's sound after the engine: effects, assembly, encoding.

Blocking code; a request's calls run in order on one lane.
"""

from __future__ import annotations

from collections.abc import Iterator

from alltalk.assemble import Assembly
from alltalk.audio import Audio
from alltalk.effects import Stage, open_effects
from alltalk.encode import Encoder, open_encoder
from alltalk.engine import Chunk
from alltalk.errors import SynthesisFailed
from alltalk.speech import Plan, Segment, SpokenMark

LONGEST_CALL_S = 1.0
"""Seconds of sound worked on in one call, so that requests sharing a lane take turns."""
LONGEST_LIGHT_CALL_S = 5.0
"""The same where sound is only packed: it takes 20 µs a second."""


class Tail:
    """Feed it (segment, chunk) pairs in segment order; it gives the bytes of the answer."""

    def __init__(self, plan: Plan, *, whole: bool) -> None:
        """`whole`: the bytes come all at once from `finish`, with true lengths in their headers."""
        self._assembly = Assembly(plan.sample_rate)
        self._encoder: Encoder = open_encoder(plan.format, whole=whole)
        self._light = plan.format.uncompressed and all(
            segment.effects.nothing for segment in plan.segments
        )
        is_packed_only = self._light and plan.sample_rate is None
        self._longest_call_s = LONGEST_LIGHT_CALL_S if is_packed_only else LONGEST_CALL_S
        self._stage: Stage | None = None
        self._open: Segment | None = None

    @property
    def is_light(self) -> bool:
        """True where a call takes about as long as a hop to a lane and back would: 0.1 ms."""
        return self._light

    def turns(self, chunk: Chunk | None) -> Iterator[Chunk | None]:
        """`chunk` in pieces for one `feed` each; its marks stay with the first."""
        if chunk is None or chunk.audio.seconds <= self._longest_call_s:
            yield chunk
            return
        rate = chunk.audio.sample_rate
        step = int(rate * self._longest_call_s)
        for start in range(0, len(chunk.audio), step):
            piece = Audio(chunk.audio.samples[start : start + step], rate)
            yield Chunk(piece, chunk.marks if start == 0 else ())

    def feed(self, segment: Segment, chunk: Chunk | None) -> bytes:
        """The bytes that `chunk` completes; None ends the segment."""
        if chunk is None:
            return self._end(segment)
        if segment is not self._open:
            self._open = segment
            self._stage = open_effects(segment.effects, chunk.audio.sample_rate)
        audio = self._stage.feed(chunk.audio) if self._stage else chunk.audio
        return self._encoder.feed(self._assembly.feed(segment, audio, chunk.marks))

    def finish(self) -> bytes:
        """The last bytes. Raises SynthesisFailed when there was no sound at all."""
        encoded = self._encoder.feed(self._assembly.finish()) + self._encoder.finish()
        if not self._assembly.seconds:
            raise SynthesisFailed("The engine made no sound for this text.")
        return encoded

    def close(self) -> None:
        """Free what an answer holds that is not heard to its end."""
        self._encoder.close()
        self._stage = self._open = None  # FFmpeg's filters have threads of their own

    @property
    def seconds(self) -> float:
        """Sound made so far, seconds."""
        return self._assembly.seconds

    @property
    def marks(self) -> tuple[SpokenMark, ...]:
        """When each part of the text is heard."""
        return tuple(self._assembly.marks)

    def _end(self, segment: Segment) -> bytes:
        encoded = b""
        if self._stage is not None:
            encoded = self._encoder.feed(self._assembly.feed(segment, self._stage.finish()))
        self._stage = self._open = None
        return encoded + self._encoder.feed(self._assembly.end(segment))
