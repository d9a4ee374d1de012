"""Assembly: the sound of all segments as one stream at one sample rate.

    chunks of a segment ─▶ edge silence off ─▶ resampled ─▶ the voice's gain ─▶ after a pause, out

What comes out, joined, is the same bit for bit however the sound was cut into chunks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from alltalk.audio import Audio, amplified, silence
from alltalk.engine import Mark
from alltalk.resample import Resampler
from alltalk.speech import Segment, SpokenMark

_QUIET = 10 ** (-50 / 20)
"""Below it, at a segment's edges, lies an engine's own silence and not speech: -50 dBFS, above
the noise that models leave there and below the weakest fricatives."""
_LEAD_S = 0.03
"""Kept before the first sound: a consonant sets in below the threshold."""
_TAIL_S = 0.15
"""Kept after the last sound: a voice dies away below it."""
_SEARCHED = 4096
"""Samples looked at in one go, from an edge inwards."""


class Assembly:
    """Joins segments in their order. Blocking; one Assembly serves one request.

    A segment's `pause_s` sounds once the next one does, so nothing trails at the end. Pauses inside
    a segment are kept; only its edges are trimmed.
    """

    def __init__(self, sample_rate: int | None = None) -> None:
        """`sample_rate` of the output, Hz; None: that of the first sound."""
        self.marks: list[SpokenMark] = []
        """One for each segment that was heard, when it has ended."""
        self.words: list[SpokenMark] = []
        """Their words, where the engine tells them and the text is the caller's to the letter."""
        self.silent: list[int] = []
        """Indices of segments that ended without sound: nothing at all, or all of it quiet."""
        self._rate = sample_rate
        self._written = 0
        self._pause_s = 0.0
        self._part: _Part | None = None

    @property
    def seconds(self) -> float:
        """Sound given out so far."""
        return self._written / self._rate if self._rate else 0.0

    def feed(self, segment: Segment, audio: Audio, marks: Sequence[Mark] = ()) -> Audio:
        """What is ready once `audio`, the next piece of `segment` after its effects, is there.

        `marks` are as the engine gave them: at its speed, before the effects. All pieces of a
        segment share one sample rate. May be empty.
        """
        self._rate = self._rate or audio.sample_rate
        part = self._part = self._part or _Part(segment, audio.sample_rate, self._rate)
        if part.segment.index != segment.index:
            raise ValueError(f"segment {part.segment.index} has not ended, {segment.index} begins")
        part.marks.extend(marks)
        return self._give(part, part.feed(audio))

    def end(self, segment: Segment) -> Audio:
        """The rest of `segment`, which may have had no sound at all."""
        part, self._part = self._part, None
        rest = self._give(part, part.finish()) if part else silence(0.0, self._rate or 24000)
        if part is None or part.starts_at_s is None:
            self.silent.append(segment.index)
            self._pause_s = max(self._pause_s, segment.pause_s)  # one pause, not one after another
        else:
            self._pause_s = segment.pause_s
            self.marks.append(SpokenMark(part.starts_at_s, self.seconds, segment.source))
            self.words += part.words(part.starts_at_s, self.seconds)
        return rest

    def finish(self) -> Audio:
        """The rest: that of a segment which has not ended, if any."""
        if self._part is None:
            return silence(0.0, self._rate or 24000)  # empty, so its rate says nothing
        return self.end(self._part.segment)

    def _give(self, part: _Part, audio: Audio) -> Audio:
        """`audio` as it goes out: the first of a segment after the pause before it."""
        if part.starts_at_s is None and len(audio):
            pause = silence(self._pause_s if self._written else 0.0, audio.sample_rate)
            part.starts_at_s = (self._written + len(pause)) / audio.sample_rate
            audio = Audio(_joined((pause.samples, audio.samples)), audio.sample_rate)
        self._written += len(audio)
        return audio


class _Part:
    """One segment on its way through."""

    def __init__(self, segment: Segment, from_rate: int, to_rate: int) -> None:
        self.segment = segment
        self.marks: list[Mark] = []
        self.starts_at_s: float | None = None
        """Seconds of the output before its sound; None: it has not been heard yet."""
        self._from_rate = from_rate
        self._edges = _EdgeSilence(from_rate)
        self._resampler = Resampler(from_rate, to_rate)

    def feed(self, audio: Audio) -> Audio:
        spoken = Audio(self._edges.without(audio.samples), audio.sample_rate)
        return amplified(self._resampler.feed(spoken), self.segment.utterance.voice.gain_db)

    def finish(self) -> Audio:
        return amplified(self._resampler.finish(), self.segment.utterance.voice.gain_db)

    def words(self, start_s: float, end_s: float) -> list[SpokenMark]:
        """The words of this part, heard from `start_s` to `end_s`.

        None where the engine was given another text than the caller's (filtered, normalized):
        what was which cannot be told any more.
        """
        (source, source_end), text = self.segment.source, self.segment.utterance.text
        if source_end - source != len(text):
            return []
        lead_s, speed = self._edges.skipped / self._from_rate, self.segment.effects.speed
        marks = sorted(self.marks, key=lambda mark: mark.at_s)
        at = [start_s + mark.at_s / speed - lead_s for mark in marks]
        bounds = [min(max(each, start_s), end_s) for each in (*at, end_s)]
        return [
            SpokenMark(begin, end, (source + mark.start, source + mark.end))
            for mark, (begin, end) in zip(marks, pairwise(bounds), strict=True)
        ]


class _EdgeSilence:
    """Takes the silence off both ends of an utterance, as a stream.

    Silence after sound is held back until more sound follows, beyond what is kept in any case.
    """

    def __init__(self, sample_rate: int) -> None:
        self._lead = round(_LEAD_S * sample_rate)
        self._tail = round(_TAIL_S * sample_rate)
        self.skipped = 0
        """Samples left out before the first that was given."""
        self._heard = False
        self._held: list[NDArray[np.float32]] = []
        self._room = 0
        """Samples of silence that may still pass before more is held back."""

    def without(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """What of the sound so far is certain to stay."""
        if not self._heard:
            samples = self._from_onset(samples)
        sure = _loud_end(samples)
        if not sure:
            return self._silence(samples)
        spoken = [*self._held, samples[:sure]]
        self._held, self._room = [], self._tail
        return _joined([*spoken, self._silence(samples[sure:])])

    def _from_onset(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The sound from shortly before the first that is loud; nothing while there is none."""
        samples = _joined([*self._held, samples])
        onset = _loud_start(samples)
        self._heard = onset < len(samples)
        skip = max(0, onset - self._lead)
        self.skipped += skip
        self._held = [] if self._heard else [samples[skip:]]
        return samples[skip:] if self._heard else samples[:0]

    def _silence(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """What of the silence after sound may pass; the rest is held back."""
        passed, held = samples[: self._room], samples[self._room :]
        self._room -= len(passed)
        if len(held):
            self._held.append(held)
        return passed


def _loud_start(samples: NDArray[np.float32]) -> int:
    """Index of the first sample that is loud; the length where none is."""
    for start in range(0, len(samples), _SEARCHED):
        loud = np.abs(samples[start : start + _SEARCHED]) > _QUIET
        if loud.any():
            return start + int(loud.argmax())
    return len(samples)


def _loud_end(samples: NDArray[np.float32]) -> int:
    """One beyond the last sample that is loud; 0 where none is."""
    return len(samples) - _loud_start(samples[::-1]) if len(samples) else 0


def _joined(pieces: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The pieces end to end; where only one has sound it is not copied."""
    sounding = [piece for piece in pieces if len(piece)] or pieces[:1]
    return sounding[0] if len(sounding) == 1 else np.concatenate(sounding)
