"""Stage: converts one utterance, as a whole or while it is still being spoken.

Sound is converted in windows: a block of new frames, with frames before it (context) and after it
(look-ahead) that the networks see and that are not decoded. Three things make the blocks one
sound: the phase of the sine goes on where it stopped, noise belongs to the number of a frame
(`noise`), and neighbouring blocks are cross-faded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from alltalk.audio import Audio, join
from alltalk.effects.rvc.input import HOP, MIRROR, SAMPLE_RATE, Input
from alltalk.effects.rvc.loudness import Loudness
from alltalk.effects.rvc.noise import Kind, keyed_noise
from alltalk.effects.rvc.pitch_curve import autotuned, pitch_ids, smoothed, transposed
from alltalk.effects.rvc.synthesizer import Cut
from alltalk.errors import OutOfMemory
from alltalk.speech import Conversion
from alltalk.torch_compat.failures import is_out_of_memory

if TYPE_CHECKING:
    from alltalk.effects.rvc.voice import Models

CONTEXT = 100
AHEAD = 20
FADE = 4
"""Frames of 10 ms before a block, after it, and that it shares with the next. All numbers of
frames are even: a frame of features is two."""
FIRST_BLOCK = 20
"""With look-ahead and fade 0.44 s, and 0.07 s more that resampling holds back: a listener hears
the first sound when 0.51 s of it have come."""
BLOCK, LATER_BLOCK = 50, 100
"""Context costs the same for any block, so blocks grow once there is sound to play meanwhile."""
_GROWN = 220
"""Frames after which blocks are the later ones."""
WHOLE_BLOCK = 3000
"""When nobody waits: 30 s, since attention grows with the square of a window."""
_CUT_WITHIN = 500
"""Frames before the end of such a block in which the quietest is looked for."""


@dataclass(frozen=True, slots=True)
class Seam:
    """What goes from a block to the next."""

    phase: float
    """Of the sine, in turns."""
    tail: NDArray[np.float32]
    """The block's sound of the frames that both have; empty before the first."""


class ConversionStage:
    """A stage of effects. Its output has round(n * its rate / the rate of what is fed) samples."""

    def __init__(
        self,
        models: Models,
        conversion: Conversion,
        sample_rate: int,
        threads: int,
        *,
        whole: bool = False,
    ) -> None:
        """`whole`: nobody waits for the first sound, so blocks are as long as memory allows."""
        self._models = models
        self._conversion = conversion
        self._threads = threads
        self._live = not whole
        self._from_rate = sample_rate
        self.sample_rate = models.voice.network.shape.sample_rate
        self._hop = self.sample_rate // 100
        self._input = Input(sample_rate)
        self._loudness = Loudness(conversion.rms_mix_rate)
        self._f0 = np.zeros(0)
        """Hz of the frames before those that may still change, from `_f0_start` on."""
        self._f0_start = -MIRROR
        self._done = 0
        self._seam = Seam(0.0, np.zeros(0, np.float32))
        self._fed = self._given = 0

    def feed(self, audio: Audio) -> Audio:
        """What is ready of the sound so far. Raises SynthesisFailed for NaN, OutOfMemory."""
        self._fed += len(audio)
        self._input.feed(audio)
        pieces = [self._nothing()]
        while self._live and self._input.ready() >= self._done + self._next + FADE + AHEAD:
            pieces.append(self._block(self._next, is_last=False))
        ready = join(pieces)
        self._given += len(ready)
        return ready

    def finish(self) -> Audio:
        """The rest, to the exact length. Nothing is fed after it."""
        self._input.finish()
        frames = self._input.frames or 0
        pieces = [self._nothing()]
        while (left := frames - self._done) > 0:
            count = left + left % 2
            if self._live and left > self._next + FADE + AHEAD:
                count = self._next
            elif left > WHOLE_BLOCK:
                count = self._cut()
            pieces.append(self._block(count, is_last=count >= left))
        rest = join(pieces)
        wanted = round(self._fed * self.sample_rate / self._from_rate) - self._given
        return Audio(rest.samples[:wanted].copy(), self.sample_rate)

    @property
    def _next(self) -> int:
        if not self._done:
            return FIRST_BLOCK
        return BLOCK if self._done < _GROWN else LATER_BLOCK

    def _nothing(self) -> Audio:
        return Audio(np.zeros(0, np.float32), self.sample_rate)

    def _block(self, count: int, *, is_last: bool) -> Audio:
        """The next `count` frames."""
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)  # of this thread
        kept = count if is_last else count + FADE
        start = max(self._done - CONTEXT, -MIRROR)
        end = min(self._done + kept + AHEAD, self._input.ready() // 2 * 2)
        window = self._input.window(start, end)
        cut = Cut(self._done - start, kept)
        try:
            hz = self._pitch(window, start, end, known=self._done + kept)
            made = self._synthesized(window, hz, start, cut)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise OutOfMemory("There is not enough memory to convert the voice.") from error
            raise
        sound = self._faded(made, count)
        heard = window[cut.first * HOP : (cut.first + count) * HOP]
        silent = self._input.silent(self._done, self._done + count)
        sound = self._loudness.apply(sound, heard, silent)
        self._move_on(count)
        return Audio(sound, self.sample_rate)

    def _pitch(
        self, window: NDArray[np.float32], start: int, end: int, known: int
    ) -> NDArray[np.float64] | None:
        """Hz of the frames from `start` to `end`; those used before stay as they were."""
        tracker = self._models.tracker
        if tracker is None:
            return None
        wanted = self._conversion
        hz = tracker.track(window, end - start, wanted.pitch_low_hz, wanted.pitch_high_hz)
        hz = smoothed(hz, wanted.filter_radius)
        if wanted.autotune:
            hz = autotuned(hz)
        hz = transposed(hz, wanted.semitones)
        before = self._f0[start - self._f0_start :]
        hz[: len(before)] = before
        self._f0 = hz[: known - start].copy()
        self._f0_start = start
        return hz

    def _synthesized(
        self, window: NDArray[np.float32], hz: NDArray[np.float64] | None, start: int, cut: Cut
    ) -> NDArray[np.float32]:
        """The sound of the frames of `cut`."""
        voice, seed, count = self._models.voice, self._conversion.seed, len(window) // HOP
        latent = voice.network.shape.latent
        noise = keyed_noise(seed, Kind.LATENT, start, count, latent).T[None]
        source = keyed_noise(seed, Kind.SOURCE, start + cut.first, cut.count, self._hop)
        ids = None if hz is None else pitch_ids(hz)[None]
        phone = self._phone(window, hz, count)
        sound = voice.network(
            self._on_device(phone[None]),
            None if ids is None else self._on_device(ids),
            None if hz is None else self._on_device(hz[None]),
            self._on_device(np.ascontiguousarray(noise)),
            self._on_device(source.reshape(1, -1)),
            cut,
            self._seam.phase,
        )
        samples: NDArray[np.float32] = sound.cpu().numpy()
        return samples

    def _phone(
        self, window: NDArray[np.float32], hz: NDArray[np.float64] | None, count: int
    ) -> NDArray[np.float32]:
        """Features [count, width], drawn to the index; where there is no pitch, less."""
        wanted, voice = self._conversion, self._models.voice
        sound = torch.from_numpy(window)
        raw = self._models.embedder.features(sound, voice.version)[0].cpu().numpy()
        if voice.index is None or wanted.index_rate == 0.0:
            return raw.repeat(2, 0)[:count]
        blended = voice.index.blend(raw, wanted.index_rate).repeat(2, 0)[:count]
        if hz is None or wanted.protect >= 0.5:
            return blended
        return protected(blended, raw.repeat(2, 0)[:count], hz, wanted.protect)

    def _faded(self, sound: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """The first `count` frames, cross-faded with the end of the block before."""
        tail = self._seam.tail[: len(sound)]
        if len(tail):
            rise = np.arange(len(tail), dtype=np.float32) / np.float32(len(tail))
            sound[: len(tail)] = tail * (1 - rise) + sound[: len(tail)] * rise
        self._seam = Seam(self._seam.phase, sound[count * self._hop :].copy())
        return sound[: count * self._hop]

    def _move_on(self, count: int) -> None:
        first = self._done - self._f0_start
        turns = float(self._f0[first : first + count].sum()) * HOP / SAMPLE_RATE
        self._seam = Seam((self._seam.phase + turns) % 1.0, self._seam.tail)
        self._done += count
        self._input.forget(max(self._done - CONTEXT, -MIRROR))

    def _cut(self) -> int:
        """How many frames a long block gets: up to the quietest place, or all."""
        if not self._conversion.split:
            return WHOLE_BLOCK
        first = self._done + WHOLE_BLOCK - _CUT_WITHIN
        window = self._input.window(first, self._done + WHOLE_BLOCK)
        frames = window[: _CUT_WITHIN * HOP].reshape(-1, 2 * HOP)
        return WHOLE_BLOCK - _CUT_WITHIN + 2 * int(np.abs(frames).sum(1).argmin())

    def _on_device(self, values: NDArray[np.generic]) -> torch.Tensor:
        return torch.from_numpy(values).to(self._models.device)


def protected(
    blended: NDArray[np.float32],
    raw: NDArray[np.float32],
    hz: NDArray[np.float64],
    protect: float,
) -> NDArray[np.float32]:
    """`blended` [n, width] where there is pitch; elsewhere only `protect` of it, the rest `raw`.

    RVC's guard of consonants and breath against the index.
    """
    share = np.where(hz > 0, 1.0, protect).astype(np.float32)[:, None]
    mixed: NDArray[np.float32] = blended * share + raw * (1 - share)
    return mixed
