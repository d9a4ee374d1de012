"""Which engine speaks where nobody has chosen one, and how a newcomer gets a better voice."""

from __future__ import annotations

from collections.abc import Iterator

from alltalk.engine import Manifest
from alltalk.errors import LoadFailed
from alltalk.models.catalogue import Catalogue
from alltalk.registry import Registry

PREFERRED = ("xtts", "piper", "vits", "parler")
"""Best first. Engines that are not named come after these, and those without files last."""
FIRST = ("piper", "xtts", "vits", "parler")
"""What to install first: a small download that speaks on any machine, before the best."""


def best_engine(registry: Registry) -> str:
    """The best engine that has a model and all it needs. Raises LoadFailed: there is none."""
    ready = [name for name in registry.names() if _is_ready(registry, name)]
    if not ready:
        raise LoadFailed("No engine can speak here. `alltalk doctor` tells why.")
    return min(ready, key=lambda name: (_rank(name, registry.manifest(name)), name))


def better_voice(registry: Registry, catalogue: Catalogue) -> str:
    """One sentence with the command that brings a natural voice; empty where there is one."""
    if any(_is_neural(registry.manifest(n)) and _is_ready(registry, n) for n in registry.names()):
        return ""
    recommended = {entry.group: entry for entry in catalogue.entries if entry.recommended}
    entry = next((recommended[n] for n in _installable(registry) if n in recommended), None)
    if entry is None:
        return ""
    size = f" ({entry.size / 1e6:,.0f} MB)" if entry.size else ""
    return f"For a natural voice{size}: alltalk models install {entry.group}"


def _installable(registry: Registry) -> Iterator[str]:
    """Engines that lack nothing but a model, or what comes with one."""
    for name in FIRST:
        manifest = registry.manifests.get(name)
        if manifest and (manifest.environment == "own" or not registry.missing(name)):
            yield name


def _is_ready(registry: Registry, name: str) -> bool:
    return not registry.missing(name) and bool(registry.models(name))


def _is_neural(manifest: Manifest) -> bool:
    """Its models are files; what needs none speaks by rule."""
    return not manifest.models.fixed or bool(manifest.models.needs)


def _rank(name: str, manifest: Manifest) -> int:
    if name in PREFERRED:
        return PREFERRED.index(name)
    return len(PREFERRED) + (not _is_neural(manifest))
