"""EngineStatus: the current engine as clients want to see it."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from alltalk.engine import Capabilities, Manifest
from alltalk.registry import Registry
from alltalk.speech import Offer

NO_MODEL = "No Models Available"
"""What V2 calls the model of an engine that has none."""
Switch = Literal["deepspeed", "low_vram"]
"""What an engine can be told to do or not, by its name in `Capabilities`."""
SWITCH_SETTINGS: Mapping[Switch, str] = {
    "deepspeed": "deepspeed_enabled",
    "low_vram": "lowvram_enabled",
}
"""The engine's settings that say so."""


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """One engine: what it is, what is loaded, and what it is set to."""

    engine: str
    model: str
    models: tuple[str, ...]
    engines: tuple[str, ...]
    """All that could be loaded instead."""
    manifest: Manifest
    capabilities: Capabilities
    settings: Mapping[str, Any]

    def is_on(self, what: Switch) -> bool:
        """Whether `what` is in effect: asked for, and possible."""
        return self.asked(what) and not self.obstacle(what)

    def asked(self, what: Switch) -> bool:
        """Whether the settings ask for `what`, in effect or not."""
        return bool(self.settings.get(SWITCH_SETTINGS[what]))

    @property
    def is_loaded(self) -> bool:
        """True where there is an engine that reports what it does."""
        return self.model != NO_MODEL

    def effect(self, what: Switch) -> str:
        """What the loaded engine does about `what`, and why if it was asked for more."""
        title = _TITLES[what].replace("low-", "Low ")
        if not self.is_loaded:
            return f"{title}: nothing is loaded, so nothing is in effect."
        if not (obstacle := self.obstacle(what)):
            return f"{title}: {'in effect' if self.is_on(what) else 'off'}."
        asked = ", although the settings ask for it" if self.asked(what) else ""
        return f"{title}: off{asked}. {obstacle}"

    def obstacle(self, what: Switch) -> str:
        """Why `what` cannot be turned on, as a sentence; empty: it can."""
        name, title = self.manifest.display_name, _TITLES[what]
        loaded, known = getattr(self.capabilities, what), getattr(self.manifest.capabilities, what)
        if not loaded and not known:
            return f"{name} has no {title} mode."
        if what == "deepspeed" and not deepspeed_installed():
            return "DeepSpeed is not installed: pip install 'alltalk[deepspeed]'."
        if not loaded:
            return f"{name} was loaded without {title}, which does not run here; the log says why."
        return ""


_TITLES: Mapping[Switch, str] = {"deepspeed": "DeepSpeed", "low_vram": "low-VRAM"}


def status_of(registry: Registry, engine: str, offer: Offer | None) -> EngineStatus:
    """The status of `engine`, loaded as `offer` or not loaded; it may be another server's."""
    manifest = registry.manifests.get(engine) or Manifest(engine, engine.capitalize())
    known = registry.models(engine) if engine in registry.manifests else ()
    loaded = (offer.model,) if offer else ()
    return EngineStatus(
        engine=engine,
        model=offer.model if offer else NO_MODEL,
        models=tuple(dict.fromkeys((*known, *loaded))) or (NO_MODEL,),
        engines=tuple(dict.fromkeys((engine, *registry.names()))),
        manifest=manifest,
        capabilities=offer.capabilities if offer else manifest.capabilities,
        settings={**manifest.settings, **(offer.settings if offer else {})},
    )


def deepspeed_installed() -> bool:
    """Whether the package can be imported; it is not."""
    return importlib.util.find_spec("deepspeed") is not None
