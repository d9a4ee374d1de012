"""What happens to a request's sound after the engine, when it is cut short."""

from __future__ import annotations

import sys

import pytest
from own_threads import alone

PROGRAM = """
from alltalk import audio, encode
from alltalk.engine import Chunk, Utterance, Voice
from alltalk.speech import FORMATS, Effects, Plan, Role, Segment
from alltalk.tail import Tail
from own_threads import threads, wait_until_threads_are

segment = Segment(
    index=0, role=Role.CHARACTER, utterance=Utterance("one", Voice("low"), "en"),
    effects=Effects(speed=1.5, pitch=3.0), pause_s=0.0, source=(0, 3), engine="tone", model="",
)
encode.warm()
before = threads()
tail = Tail(Plan((segment,), FORMATS[{format!r}]), whole={whole})
tail.feed(segment, Chunk(audio.silence(2.0, 24000)))
tail.close()
wait_until_threads_are(before)
tail.close()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("format", ["wav", "opus", "m4a"])
def test_effects_that_are_cut_short_hold_no_thread_even_while_referred_to(format, whole):
    alone(PROGRAM.format(format=format, whole=whole))
