"""Piper as an engine: all voices in a home, each sentence heard as soon as it is spoken."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path

from alltalk.audio import Audio, amplified
from alltalk.engine import Capabilities, Chunk, Place, Utterance, Voice
from alltalk.errors import EngineError, LoadFailed, UnknownVoice

from .network import Network
from .settings import Settings
from .shelf import Shelf
from .voices import Speaker, VoiceFile, find_speakers, listed

SPEED = (0.5, 2.0)
"""Beyond it a network's phonemes would fall short of a frame, or drag."""
MAX_CHARS = 1000


def load(folder: Path, model: str, place: Place, settings: Mapping[str, object]) -> Piper:
    """The engine with the voices of the home that `folder` is in, one of them ready to speak.

    Raises LoadFailed where there is none, or none that can be loaded; ConfigError.
    """
    folders = (folder / "models", folder.parent.parent / "voices" / "piper")
    speakers = find_speakers(folders)
    if not speakers:
        raise LoadFailed(
            f"Piper has no voice yet. Put one (NAME.onnx and NAME.onnx.json) into {folders[0]}."
        )
    chosen = Settings.of(settings)

    def load_voice(file: VoiceFile) -> Network:
        return Network(file, place, folder, chosen)

    engine = Piper(speakers, load_voice, place, chosen)
    engine.warm_up()
    return engine


class Piper:
    """Speaks with whichever voice is asked for, on as many threads as it has cores."""

    def __init__(
        self,
        speakers: Mapping[str, Speaker],
        load_voice: Callable[[VoiceFile], Network],
        place: Place,
        settings: Settings,
    ) -> None:
        self._speakers = speakers
        self._settings = settings
        self._shelf = Shelf(load_voice, round(settings.memory_mb * 1e6))
        self.capabilities = Capabilities(
            streaming=True, speed=SPEED, max_chars=MAX_CHARS, concurrency=max(1, place.threads)
        )

    def warm_up(self) -> None:
        """Load the default voice, else the first that can be. Raises why the first could not."""
        default = self._speakers.get(self._settings.default_voice)
        failed: EngineError | None = None
        for speaker in (*((default,) if default else ()), *self._speakers.values()):
            try:
                self._shelf.take(speaker.file).gain_db(speaker.id)
                return
            except EngineError as error:
                failed = failed or error
        if failed:
            raise failed

    def voices(self) -> Sequence[Voice]:
        """Every voice, and after it those who speak in it, if there are several."""
        return [listed(name, speaker) for name, speaker in self._speakers.items()]

    def synthesize(self, utterance: Utterance) -> Generator[Chunk | None]:
        """A chunk for each sentence. Raises UnknownVoice, LoadFailed, SynthesisFailed."""
        speaker = self._speakers.get(utterance.voice.name)
        if speaker is None:
            raise UnknownVoice(utterance.voice.name, "Piper", list(self._speakers))
        network = self._shelf.take(speaker.file)
        gain_db = network.gain_db(speaker.id)
        yield None
        for ids in network.phonemes(utterance.text):
            samples = network.speak(ids, speaker.id, utterance.speed)
            if len(samples):
                yield Chunk(amplified(Audio(samples, network.sample_rate), gain_db))

    def close(self) -> None:
        """Free the voices."""
        self._shelf.clear()
