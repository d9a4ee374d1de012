"""What the pages say when something fails that should not, or is gone."""

from __future__ import annotations

import pytest

from alltalk.errors import NotFound, SynthesisFailed, TooLarge
from alltalk.speech import SpeechRequest, Ticket


def test_an_upload_that_was_swept_or_is_too_large_is_told(tmp_path):
    from alltalk.ui.parts import uploaded

    clip = tmp_path / "clip.wav"
    clip.write_bytes(b"RIFF")
    assert uploaded(str(clip), 4) == [clip]
    with pytest.raises(TooLarge):
        uploaded([str(clip)], 3)
    clip.unlink()
    with pytest.raises(NotFound, match="Choose the file again"):
        uploaded([str(clip)], 4)


async def test_a_take_that_fails_unexpectedly_is_told_and_logged(caplog):
    from alltalk.ui.sounds import Take

    class Broken:
        async def kept(self, *_):
            yield b"RIFF"
            raise RuntimeError("a bug")

    take = Take(Broken(), SpeechRequest("one"), Ticket("1"))
    await take.run()
    assert [piece async for piece in take.pieces()] == [b"RIFF"]
    with pytest.raises(SynthesisFailed, match="RuntimeError"):
        await take.ended()
    assert "a bug" in caplog.text
