"""One-off voice: a clip that one request is spoken with, and of which nothing is kept."""

from __future__ import annotations

import hashlib
from typing import BinaryIO

from alltalk.clips.decode import decode
from alltalk.clips.reference import BEST_S, make_reference, wav_bytes
from alltalk.draft import storage_error
from alltalk.engine import Voice
from alltalk.scratch import Scratch


class OneOffVoice:
    """A voice whose file lives, where only this user can read it, until `close`.

    with closing(OneOffVoice(file, "me.m4a", longest_s=300)) as clip: ...clip.voice...
    """

    def __init__(self, file: BinaryIO, name: str, longest_s: float, transcript: str = "") -> None:
        """Decodes, checks and levels `file`; at most 30 s of it are used. Blocking.

        Raises UnreadableClip, StorageError.
        """
        reference = make_reference(decode(file, name, longest_s), name, most_s=BEST_S[1])
        content = wav_bytes(reference.audio)
        self._scratch = Scratch()
        clip = self._scratch.path / "clip.wav"
        try:
            clip.write_bytes(content)
        except OSError as error:
            raise storage_error("write", clip, error) from error
        digest = hashlib.sha256(content).hexdigest()
        self.voice = Voice("upload", clips=(clip,), digest=digest, transcript=transcript)

    def close(self) -> None:
        """Delete the file. More than once is once; one that nobody holds any more goes too."""
        self._scratch.close()
