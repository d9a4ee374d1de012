"""Where a backend lives: the host that its specification asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from alltalk.engine import Capabilities, Manifest, Place, Voice
from alltalk.errors import BadValue, LoadFailed, UnknownModel
from alltalk.home import Home
from alltalk.registry import Registry
from alltalk.serving.backend_store import REMOTE, BackendSpec
from alltalk.serving.host import Here, Host
from alltalk.serving.loop import Loaded
from alltalk.speech import Offer


class Hosts:
    """Makes hosts for the engines of one home."""

    def __init__(self, registry: Registry, home: Home, threads: int) -> None:
        """`threads`: what an engine gets whose specification does not say."""
        self._registry, self._home, self._threads = registry, home, threads

    def make(self, spec: BackendSpec) -> Host:
        """A host for `spec`; nothing is loaded yet. Raises what is wrong with the specification."""
        if spec.type == REMOTE:
            return _remote(spec)
        manifest = self._registry.manifest(spec.type)
        model = self._model(spec)
        place = Place(device=spec.device, threads=spec.threads or self._threads)
        settings = {**manifest.settings, **spec.settings}
        offered = _offered(manifest, model, settings, self._registry.model_folder(spec.type, model))
        if _in_worker(spec, manifest):
            from alltalk.serving.workers import Worker

            return Worker(
                spec.type,
                model,
                place,
                settings,
                self._home.root,
                offered,
                python=self._environment(manifest),
            )

        def load() -> Loaded:
            return self._registry.load(spec.type, model, place, settings)

        return Here(
            load, lambda engine: offered(engine.capabilities, engine.voices()), name=spec.type
        )

    def _model(self, spec: BackendSpec) -> str:
        models = self._registry.models(spec.type)
        if spec.model and spec.model not in models:
            raise UnknownModel(spec.model, spec.type, models)
        if not models:
            folder = self._registry.folder(spec.type)
            raise LoadFailed(f"{spec.type} has no model yet. Put one into {folder}.")
        return spec.model or models[0]

    def _environment(self, manifest: Manifest) -> Path | None:
        """The interpreter of the engine's own environment; None: the server's own."""
        if manifest.environment == "shared":
            return None
        python = self._home.interpreter(manifest.name)
        if not python.exists():
            raise LoadFailed(
                f"{manifest.display_name} needs a Python environment of its own: "
                f"alltalk models install {manifest.name}"
            )
        return python


def _in_worker(spec: BackendSpec, manifest: Manifest) -> bool:
    """A process of its own keeps a GPU's step off the server's GIL, and gives memory back."""
    if spec.process == "here" and manifest.environment == "own":
        raise BadValue("process", f"{manifest.name} runs only in an environment of its own")
    own = manifest.environment == "own" or spec.device.startswith("cuda")
    return spec.process == "worker" or (spec.process == "auto" and own)


def _offered(
    manifest: Manifest, model: str, settings: Mapping[str, Any], folder: Path | None
) -> Callable[[Capabilities, Sequence[Voice]], Offer]:
    """What completes what a loaded engine says of itself."""
    revision = _revision(settings, folder)

    def offer(capabilities: Capabilities, voices: Sequence[Voice]) -> Offer:
        return Offer(
            engine=manifest.name,
            model=model,
            revision=revision,
            capabilities=capabilities,
            voices=tuple(voices),
            settings=settings,
            openai_voices=manifest.openai_voices,
            shipped_voices=manifest.shipped_voices,
        )

    return offer


def _revision(settings: Mapping[str, Any], folder: Path | None) -> str:
    """Changes with the settings and the model's files, by size and modification time."""
    files = sorted(folder.rglob("*")) if folder else []
    stamps = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files if f.is_file()]
    content = repr((sorted(settings.items(), key=lambda item: item[0]), stamps))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _remote(spec: BackendSpec) -> Host:
    from alltalk.serving.remote import Remote  # httpx takes a while to import

    address = str(spec.settings.get("base_url", ""))
    if not address.startswith(("http://", "https://")):
        raise BadValue("base_url", "must be the address of a speech server, http://host:port")
    return Remote(address, api_key=str(spec.settings.get("api_key", "")), model=spec.model)
