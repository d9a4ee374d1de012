"""`alltalk convert`, with tiny RVC models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hearing import hear
from rvc_home import add_rvc

from alltalk.audio import Audio
from alltalk.clips.reference import wav_bytes


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """One with an RVC voice, where the server does not convert."""
    add_rvc(tmp_path, "Ana", enabled=False)
    return tmp_path


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Half a second."""
    times = np.arange(12000) / 24000
    path = tmp_path / "me.wav"
    path.write_bytes(wav_bytes(Audio(np.sin(2 * np.pi * 150 * times).astype(np.float32), 24000)))
    return path


def test_a_recording_is_converted_in_the_format_that_the_ending_names(alltalk, home, recording):
    target = home / "her.flac"
    done = alltalk("convert", recording, target, "--voice", "Ana/ana.pth", "-24", home=home)
    assert done.code == 2  # an option without its name
    assert not target.exists()
    done = alltalk("convert", recording, target, "--voice", "Ana/ana.pth", home=home)
    assert (done.code, done.err) == (0, "")
    heard = hear(target.read_bytes())
    assert (heard.codec, len(heard.samples), heard.sample_rate) == ("flac", 20000, 40000)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"voice": "Eve/eve.pth"}, "Eve/eve.pth"),
        ({"target": "her.midi"}, "midi"),
        ({"target": "confignew.json/her.wav"}, "confignew.json"),
        ({"source": "nobody.wav"}, "nobody.wav"),
        ({"source": "confignew.json"}, "cannot be read as sound"),
        ({"pitch": 25}, "24"),
    ],
)
def test_what_cannot_be_done_is_told_and_leaves_no_file(alltalk, home, recording, change, problem):
    asked = {"source": "me.wav", "target": "her.wav", "voice": "Ana/ana.pth", "pitch": 0, **change}
    before = set(home.iterdir())
    done = alltalk(
        "convert",
        home / asked["source"],
        home / asked["target"],
        *("--voice", asked["voice"], "--pitch", asked["pitch"]),
        home=home,
    )
    assert done.code in (1, 2)
    assert problem in done.err
    assert set(home.iterdir()) == before
