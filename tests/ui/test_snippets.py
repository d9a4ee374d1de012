"""The curl line and the Python that the Speak page shows."""

from __future__ import annotations

import ast
import json
import shlex

import pytest

from alltalk.engine import Sampling
from alltalk.speech import Conversion, Narrator, SpeechRequest
from alltalk.ui.snippets import code_for

ORIGIN = "http://127.0.0.1:1234"


def sent(request: SpeechRequest, needs_key: bool = False) -> tuple[dict[str, object], list[str]]:
    """What curl would send, and its whole line in words."""
    words = shlex.split(code_for(request, ORIGIN, needs_key)[0], comments=True)
    return json.loads(words[-1]), words


def test_all_that_is_chosen_is_sent_and_nothing_else():
    body, words = sent(SpeechRequest("It's “1”."))
    assert words[:2] == ["curl", f"{ORIGIN}/v1/audio/speech"]
    assert body == {
        "model": "tts-1",
        "input": "It's “1”.",
        "voice": "",
        "response_format": "wav",
        "speed": 1.0,
        "text_filtering": "none",
    }
    narrator = Narrator("low", outside="narrator", conversion=Conversion("Bob", -12.0))
    sampling = Sampling(temperature=0.5)
    body, _ = sent(SpeechRequest("x", "me", narrator, engine="tone", sampling=sampling))
    assert (body["model"], body["voice"], body["temperature"]) == ("tone", "me", 0.5)
    assert (body["narrator_enabled"], body["narrator_voice_gen"]) == ("true", "low")
    assert (body["text_not_inside"], body["rvcnarrator_pitch"]) == ("narrator", -12.0)


@pytest.mark.parametrize("needs_key", [False, True])
def test_a_server_with_keys_is_sent_one(needs_key):
    _, words = sent(SpeechRequest("x"), needs_key)
    assert ("Authorization: Bearer $ALLTALK_API_KEY" in words) == needs_key
    sdk = code_for(SpeechRequest("x", pitch=2.0), ORIGIN, needs_key)[1]
    ast.parse(sdk)
    assert ("ALLTALK_API_KEY" in sdk) == ("import os" in sdk) == needs_key
    assert "no pitch: it is left out" in sdk
