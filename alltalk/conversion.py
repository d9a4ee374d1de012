"""Voice conversion beside the engines: voices by name, and the thread that converts.

Its scheduler is one lane. Every stream has at most one block of sound in line, so streams take
turns block by block, whoever waits for its engine holds nobody up, and sentence 1 is converted
while sentence 2 is spoken. Neither the event loop nor the lanes that encode wait for it.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from alltalk.audio import Audio, join
from alltalk.config import Config
from alltalk.effects import Stage
from alltalk.effects.rvc.files import BASE, digest, find_embedder, list_voices, voice_path
from alltalk.effects.rvc.shelf import NewRvcVoice, Shelf
from alltalk.engine import Chunk, Place
from alltalk.errors import Unsupported
from alltalk.home import Home
from alltalk.serving.lane import Lane, Lanes
from alltalk.serving.requests import LiveRequest
from alltalk.speech import Conversion, Segment

if TYPE_CHECKING:
    from alltalk.effects.rvc.converter import Converter

TURN_S = 0.5
"""Seconds of sound that are handed over at once: about a block."""

REQUIRED = ("torch", "transformers", "faiss")
"""What the extra `rvc` installs."""

Pieces = AsyncGenerator[tuple[Segment, Chunk | None]]


class Conversions:
    """What the service knows of voice conversion. Nothing is loaded before it is asked for."""

    def __init__(self, home: Home, threads: int, config: Callable[[], Config]) -> None:
        """`threads`: its share of the processor's cores; `config`: the settings in force now."""
        self._folder, self._threads, self._config = home.rvc_models, threads, config
        self._lane, self._disk = Lane("conversion"), Lane("rvc-voices")
        self._shelving = Lane("rvc-shelf")
        # Several, so that loading a new voice holds up none of those that are heard.
        self._loading = Lanes(4, "rvc-loading")
        self._making = threading.Lock()
        self._shelf = Shelf(home.rvc_models, lambda: self.largest_bytes)
        self._converter: Converter | None = None
        self._made_for: _Runtime | None = None

    @property
    def enabled(self) -> bool:
        """Whether the settings switch conversion on."""
        return self._config().rvc_settings.rvc_enabled

    @property
    def largest_bytes(self) -> int:
        """Of one file of an uploaded voice."""
        return self._config().conversion.max_upload_mb << 20

    async def voices(self) -> list[str]:
        """Names of the voices that can be converted to; none while conversion is switched off."""
        return await self._disk.run(list_voices, self._folder) if self.enabled else []

    async def require_installed(self) -> None:
        """Raises Unsupported where packages are missing, RvcBaseMissing where base models are."""
        _required()
        embedder = self._config().rvc_settings.embedder_model
        await self._disk.run(find_embedder, self._folder / BASE, embedder)

    async def require(self, name: str) -> None:
        """Raises as `digests` where the voice `name` is not there."""
        await self._disk.run(self.digests, [name])

    async def add(self, new: NewRvcVoice) -> str:
        """As `Shelf.add`, once it could be loaded. Raises RvcModelInvalid too."""
        _required()
        return await self._shelving.run(self._shelf.add, new, _check)

    async def remove(self, name: str) -> str:
        """As `Shelf.remove`."""
        return await self._shelving.run(self._shelf.remove, name)

    def digests(self, names: Iterable[str]) -> Mapping[str, str]:
        """Name, as it was asked for → what its files hold. Blocking.

        Raises UnknownRvcVoice, StorageError; Unsupported while conversion is switched off.
        """
        if not self.enabled:
            raise Unsupported(
                "Voice conversion is switched off. Switch rvc_settings.rvc_enabled on in the "
                "settings, or send the request without an RVC voice."
            )
        return {name: digest(voice_path(self._folder, name)) for name in names}

    def convert_now(self, audio: Audio, conversion: Conversion) -> Audio:
        """All of `audio` in one go: blocking, for who shares this with nobody.

        Raises as `converted`.
        """
        return self._ready_converter().convert(audio, conversion)

    async def convert(self, audio: Audio, conversion: Conversion) -> Audio:
        """All of `audio`, block by block; `conversion` is as `plan.settled` makes it.

        Raises as `converted`.
        """
        stage = await self._open(conversion, audio.sample_rate)
        made = [await self._lane.run(stage.feed, each) for each in _turns(audio)]
        return join([*made, await self._lane.run(stage.finish)])

    async def converted(self, pieces: Pieces, live: LiveRequest) -> Pieces:
        """What the pool gives, with the segments that ask for it converted.

        A sound that cannot be converted is an error, never heard as it was. Raises Unsupported
        where conversion is not installed, RvcModelInvalid, OutOfMemory, SynthesisFailed.
        """
        stage: Stage | None = None
        async with aclosing(pieces):
            async for segment, chunk in pieces:
                conversion = segment.effects.conversion
                if conversion is None:
                    yield segment, chunk
                elif chunk is not None:
                    if stage is None:
                        opening = self._open(conversion, chunk.audio.sample_rate)
                        stage = await live.unless_cancelled(opening)
                    marks = chunk.marks
                    for turn in _turns(chunk.audio):
                        feeding = self._lane.run(stage.feed, turn)
                        yield segment, Chunk(await live.unless_cancelled(feeding), marks)
                        marks = ()
                else:
                    if stage is not None:
                        yield (
                            segment,
                            Chunk(await live.unless_cancelled(self._lane.run(stage.finish))),
                        )
                    stage = None
                    yield segment, None

    async def release(self) -> None:
        """Give the memory of all models back, once the block under way is done."""
        if self._converter is not None:
            await self._loading.pick().run(self._converter.release)

    @property
    def memory_bytes(self) -> int:
        """Memory that loaded models take."""
        return 0 if self._converter is None else self._converter.memory_bytes

    def close(self) -> None:
        """Begin nothing more."""
        for lanes in (self._lane, self._loading, self._disk, self._shelving):
            lanes.close()

    async def _open(self, conversion: Conversion, sample_rate: int) -> Stage:
        return await self._loading.pick().run(self._opened, conversion, sample_rate)

    def _opened(self, conversion: Conversion, sample_rate: int) -> Stage:
        return self._ready_converter().open(conversion, sample_rate)

    def _ready_converter(self) -> Converter:
        runtime = _Runtime.of(self._config())
        with self._making:
            if self._converter is None or runtime != self._made_for:
                self._converter, self._made_for = self._make(runtime), runtime
            return self._converter

    def _make(self, runtime: _Runtime) -> Converter:
        _required()
        import torch

        from alltalk.effects.rvc.converter import Converter

        best = "cuda" if torch.cuda.is_available() else "cpu"
        place = Place(best if runtime.device == "auto" else runtime.device, self._threads)
        return Converter(
            self._folder, place, memory_bytes=runtime.memory_mb << 20, half=runtime.half
        )


@dataclass(frozen=True, slots=True)
class _Runtime:
    """What a converter is made for."""

    device: str
    half: bool
    memory_mb: int

    @classmethod
    def of(cls, config: Config) -> _Runtime:
        wanted = config.conversion
        return cls(wanted.device, wanted.half, wanted.memory_mb)


def missing_packages() -> list[str]:
    """What conversion needs and is not installed."""
    return [each for each in REQUIRED if find_spec(each) is None]


def _required() -> None:
    """Raises Unsupported where what conversion needs is not installed."""
    if missing := missing_packages():
        raise Unsupported(
            f"Voice conversion is not installed ({', '.join(missing)} missing). Install it: "
            "pip install 'alltalk[rvc]'."
        )


def _check(voice: Path, index: Path | None) -> None:
    """Raises RvcModelInvalid."""
    from alltalk.effects.rvc.index import Index
    from alltalk.effects.rvc.voicefile import read_voice

    read = read_voice(voice)
    if index is not None:
        Index(index, read.shape.features)


def _turns(audio: Audio) -> Iterator[Audio]:
    """`audio` in pieces of TURN_S."""
    step = max(1, round(audio.sample_rate * TURN_S))
    for start in range(0, len(audio), step):
        yield Audio(audio.samples[start : start + step], audio.sample_rate)
