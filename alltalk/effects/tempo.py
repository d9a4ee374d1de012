"""Speed and pitch for engines that offer neither."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from alltalk.audio import Audio

if TYPE_CHECKING:
    from av.filter import Graph

_BLOCK = 1024
"""Samples a push. The filter's choices depend on what it has been given so far, so it is always
given the same pieces, and the output does not tell how the sound arrived."""
_FLUSH_S = 0.25
"""Silence pushed after the end, as the filters hear it: at the end of its input `atempo` drops up
to 90 ms, which must not be sound."""


class Tempo:
    """A stage that changes speed and pitch, each without the other.

    The output has round(n / speed) samples, bit for bit the same however the sound was cut. What
    is heard in it lies up to 15 ms beside its exact place; the more the stretch, the more: 30 ms
    at a quarter of the speed, 0.2 s at that and two octaves up, which is a stretch to 16 times.

    Pitch is moved by resampling, which moves the formants with it: 12 semitones up sound like a
    small speaker, not like the same one singing higher. One time stretch (FFmpeg's `atempo`, a
    waveform-similarity overlap-add) then makes up for the length that resampling changed and for
    the speed at once: two of them would blur twice.
    """

    def __init__(self, sample_rate: int, speed: float = 1.0, semitones: float = 0.0) -> None:
        """`sample_rate` in Hz, `speed` 0.25 to 4 (2 = half as long), `semitones` -24 to 24."""
        self.sample_rate = sample_rate
        self._speed = speed
        self._raised_rate = round(sample_rate * 2.0 ** (semitones / 12.0))
        self._stretch = speed * sample_rate / self._raised_rate
        self._graph = _open_graph(sample_rate, self._raised_rate, self._stretch)
        self._waiting = np.zeros(0, np.float32)
        self._fed = 0
        self._pushed = 0
        self._given = 0

    def feed(self, audio: Audio) -> Audio:
        """What is ready of the sound so far: all but the last 0.1 to 0.5 s (slow: 1 s) of it."""
        if audio.sample_rate != self.sample_rate:
            raise ValueError(f"sound at {audio.sample_rate} Hz in a stream of {self.sample_rate}")
        self._fed += len(audio)
        return self._given_out(self._through_graph(audio.samples))

    def finish(self) -> Audio:
        """The rest, to the exact length. Nothing is fed after it."""
        flush = math.ceil(_FLUSH_S * self._raised_rate * max(1.0, self._stretch)) + _BLOCK
        stretched = self._through_graph(np.zeros(flush, np.float32))
        self._graph.push(None)
        stretched = np.concatenate([stretched, *self._pull()])
        rest = np.zeros(max(0, round(self._fed / self._speed) - self._given), np.float32)
        kept = stretched[: len(rest)]
        rest[: len(kept)] = kept
        return self._given_out(rest)

    def _through_graph(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Push the whole blocks there are, keep what is left over, pull what is ready."""
        waiting = np.concatenate((self._waiting, samples))
        whole = len(waiting) - len(waiting) % _BLOCK
        self._waiting = waiting[whole:]
        ready = [np.zeros(0, np.float32)]
        for start in range(0, whole, _BLOCK):
            self._push(waiting[start : start + _BLOCK])
            ready += self._pull()
        return np.concatenate(ready)

    def _push(self, block: NDArray[np.float32]) -> None:
        from av import AudioFrame

        frame = AudioFrame.from_ndarray(block.reshape(1, -1), format="flt", layout="mono")
        frame.sample_rate = self.sample_rate
        frame.time_base = Fraction(1, self.sample_rate)
        frame.pts = self._pushed
        self._pushed += len(block)
        self._graph.push(frame)

    def _pull(self) -> list[NDArray[np.float32]]:
        pieces: list[NDArray[np.float32]] = []
        while True:
            try:
                pulled = self._graph.pull().to_ndarray().reshape(-1)
                pieces.append(pulled.astype(np.float32, copy=False))
            except (BlockingIOError, EOFError):  # it wants more first, or has given all
                return pieces

    def _given_out(self, samples: NDArray[np.float32]) -> Audio:
        self._given += len(samples)
        return Audio(samples, self.sample_rate)


def _open_graph(sample_rate: int, raised_rate: int, stretch: float) -> Graph:
    """Read the sound as if at `raised_rate`, bring it back to `sample_rate`, then stretch it."""
    from av.filter import Graph  # 80 ms, and most requests change neither speed nor pitch

    graph = Graph()
    nodes = [
        graph.add_abuffer(
            format="flt",
            sample_rate=sample_rate,
            layout="mono",
            time_base=Fraction(1, sample_rate),
        )
    ]
    if raised_rate != sample_rate:
        nodes += [graph.add("asetrate", str(raised_rate)), graph.add("aresample", str(sample_rate))]
    nodes += [graph.add("atempo", repr(factor)) for factor in _factors(stretch)]
    nodes.append(graph.add("abuffersink"))
    graph.link_nodes(*nodes).configure()
    return graph


def _factors(stretch: float) -> list[float]:
    """Equal factors from 0.5 to 2 whose product is `stretch`; none for 1.

    `atempo` takes nothing below 0.5, and above 2 it skips samples where it else would blend them.
    """
    if math.isclose(stretch, 1.0, rel_tol=1e-9):
        return []
    count = max(1, math.ceil(abs(math.log2(stretch)) - 1e-9))
    return [stretch ** (1.0 / count)] * count
