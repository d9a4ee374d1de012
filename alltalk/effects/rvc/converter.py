"""Converter: opens conversions, and holds the models they share."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from alltalk.audio import Audio, join
from alltalk.effects.rvc.files import BASE, digest, index_of, voice_path
from alltalk.effects.rvc.pitch import METHODS, OTHER_NAMES
from alltalk.effects.rvc.store import Store
from alltalk.engine import Place
from alltalk.errors import BadValue, NotReady, OutOfMemory, RvcBaseMissing
from alltalk.memory import give_back
from alltalk.speech import Conversion

if TYPE_CHECKING:
    import torch

    from alltalk.effects.rvc.embedder import Embedder
    from alltalk.effects.rvc.pitch import Tracker
    from alltalk.effects.rvc.stage import ConversionStage
    from alltalk.effects.rvc.voice import Models, Voice

logger = logging.getLogger(__name__)

EMBEDDERS = ("hubert", "contentvec")
_NEEDED = ("torch", "transformers")
_PACKAGES = {"fcpe": "torchfcpe", "crepe": "torchcrepe", "crepe-tiny": "torchcrepe"}
"""Packages with a tracker and its weights, used where they are installed."""
_UNBOUNDED = 1 << 62


class Converter:
    """Blocking code, from any thread. Importing and making it loads nothing."""

    def __init__(self, folder: Path, place: Place, *, memory_bytes: int, half: bool) -> None:
        """`folder` is rvc_models/, whose `.base` holds the files that all voices share.

        Voices that nobody uses are kept up to `memory_bytes` in all. `half`: 16-bit numbers, half
        the memory; float16 on a GPU, bfloat16 on a processor.
        """
        self._folder = folder
        self._base = folder / BASE
        self._place = place
        self._half = half
        self._voices: Store[Voice] = Store(memory_bytes)
        self._embedders: Store[Embedder] = Store(_UNBOUNDED)
        self._trackers: Store[Tracker] = Store(_UNBOUNDED)
        self._told: set[str] = set()

    def open(
        self, conversion: Conversion, sample_rate: int, *, whole: bool = False
    ) -> ConversionStage:
        """The stage that converts sound of `sample_rate` Hz while it arrives.

        First sound leaves when 0.51 s have been fed. `whole`: nobody waits for it; all leaves at
        the end, for less work. Loads what is not loaded. Raises UnknownRvcVoice, RvcModelInvalid,
        RvcBaseMissing, BadValue, OutOfMemory.
        """
        try:
            models = self._models(conversion)
        except (RuntimeError, MemoryError) as error:
            from alltalk.torch_compat.failures import is_out_of_memory

            if is_out_of_memory(error):
                raise OutOfMemory("There is not enough memory to load the voice.") from error
            raise
        from alltalk.effects.rvc.stage import ConversionStage

        threads = max(1, self._place.threads)
        return ConversionStage(models, conversion, sample_rate, threads, whole=whole)

    def convert(self, audio: Audio, conversion: Conversion) -> Audio:
        """All of `audio` as the voice, at the voice's sample rate and of the same duration.

        Raises what `open` raises, and SynthesisFailed for NaN.
        """
        stage = self.open(conversion, audio.sample_rate, whole=True)
        return join([stage.feed(audio), stage.finish()])

    def release(self, voice: str | None = None) -> None:
        """Drop the voice of that name, or else everything; what is in use goes after its use."""
        if voice is None:
            self._voices.drop()
            self._embedders.drop()
            self._trackers.drop()
        else:
            self._voices.drop(lambda each: each.name == voice)
        give_back()
        if self._place.device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()

    @property
    def memory_bytes(self) -> int:
        """Of all models loaded."""
        stores = (self._voices, self._embedders, self._trackers)
        return sum(store.memory_bytes for store in stores)

    @property
    def loaded(self) -> tuple[str, ...]:
        """Names of the voices kept, the one used last at the end."""
        return tuple(each.name for each in self._voices.kept())

    def _models(self, conversion: Conversion) -> Models:
        if conversion.embedder not in EMBEDDERS:
            raise BadValue("embedder", f"must be one of {', '.join(EMBEDDERS)}.")
        method = self._method(conversion.pitch_method)
        for package in _NEEDED:
            if find_spec(package) is None:
                raise RvcBaseMissing(
                    f"Voice conversion needs {package}: pip install 'alltalk[rvc]'."
                )
        from alltalk.effects.rvc.embedder import load_embedder
        from alltalk.effects.rvc.voice import Models, check_embedder, load_tracker

        name, device, dtype = conversion.embedder, self._place.device, self._dtype()
        voice = self._voices.found(conversion.digest) or self._voice(conversion, dtype)
        embedder = self._embedders.get(name, lambda: load_embedder(self._base, name, device, dtype))
        check_embedder(voice, embedder, name)
        tracker = None
        if voice.network.shape.pitched:
            key = (method, (self._base / "rmvpe.pt").is_file())  # it may be installed meanwhile
            tracker = self._trackers.get(
                key, lambda: load_tracker(method, self._base, device, dtype)
            )
        return Models(voice, embedder, tracker, device)

    def _voice(self, conversion: Conversion, dtype: torch.dtype) -> Voice:
        """What the voice's files hold now, which must be what was asked for."""
        from alltalk.effects.rvc.voice import load_voice

        name, device = conversion.voice, self._place.device
        file = voice_path(self._folder, name)
        now = digest(file)
        if conversion.digest not in ("", now):
            raise NotReady(f"The voice {name} was replaced just now. Ask again.")
        index = index_of(file)
        return self._voices.get(now, lambda: load_voice(name, file, index, device, dtype))

    def _method(self, asked: str) -> str:
        """The method that is used for `asked`; says so, once, where it is another one."""
        method = OTHER_NAMES.get(asked, asked)
        if method not in METHODS:
            known = ", ".join((*METHODS, *OTHER_NAMES))
            raise BadValue("pitch_method", f"must be one of {known}.")
        if method in _PACKAGES and find_spec(_PACKAGES[method]) is None:
            self._tell(
                f"{asked} needs the package {_PACKAGES[method]}, and rmvpe does its work without"
            )
            return "rmvpe"
        if method != asked:
            self._tell(f"{asked} is an old method, and {method} does its work")
        return method

    def _tell(self, why: str) -> None:
        if why not in self._told:
            self._told.add(why)
            logger.warning("Pitch is found by another method than was asked for: %s.", why)

    def _dtype(self) -> torch.dtype:
        import torch

        if not self._half:
            return torch.float32
        return torch.float16 if self._place.device.startswith("cuda") else torch.bfloat16
