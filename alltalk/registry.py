"""Finds engines, reads what they say about themselves, and lists and loads their models.

An engine's code lies in a folder with `model_settings.json` and `engine.py`: among the built-in
ones, in the home's `engines/`, or in a package that names itself in the entry-point group
`alltalk.engines`. Nothing is imported until it is loaded. Settings and models of every engine lie
in the home.
"""

from __future__ import annotations

import importlib.util
import json
import re
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import alltalk.engines
from alltalk.draft import write_whole
from alltalk.engine import BatchEngine, Engine, Manifest, ModelRule, Place
from alltalk.errors import ConfigError, UnknownEngine, UnknownModel
from alltalk.figures import Figures
from alltalk.home import Home
from alltalk.loading import EngineCode, missing_imports
from alltalk.manifest import FILE_NAME, adjusted, make_manifest, read_sections

_NAME = re.compile(r"[a-z][a-z0-9_]*")
"""What an engine may be called: it becomes part of a module's name."""


@dataclass(frozen=True, slots=True)
class _Found:
    """An engine, as it lies on disk."""

    code: EngineCode
    manifest: Manifest


class Registry:
    """The engines of one home. Safe to use from several threads."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._saving = threading.Lock()
        self._found: Mapping[str, _Found] = {}
        self.problems: Mapping[str, str] = {}
        """Name of a folder or entry point that cannot be used as it is → why, in a sentence."""
        self.rescan()

    def rescan(self) -> None:
        """Look again at what is installed."""
        found: dict[str, _Found] = {}
        problems: dict[str, str] = {}
        for name, code in self._candidates():
            try:
                _refuse_other_code(name, code, found.get(name))
                found[name] = _Found(code, _manifest(name, code.folder / FILE_NAME))
            except ConfigError as error:
                problems[name] = str(error)
        for folder in _subfolders(self._home.engines):
            try:
                if (folder / FILE_NAME).is_file() and folder.name not in problems:
                    found[folder.name] = _adjusted(folder, found.get(folder.name))
            except ConfigError as error:
                problems[folder.name] = str(error)
        self._found, self.problems = found, problems

    def stamp(self) -> object:
        """Another value once an engine's file in the home was changed, came or went."""
        files = [folder / FILE_NAME for folder in _subfolders(self._home.engines)]
        return tuple((str(file), *seen) for file in files if (seen := _seen(file)))

    @property
    def manifests(self) -> Mapping[str, Manifest]:
        """Every engine found, the hidden ones too, by name."""
        return {name: self._found[name].manifest for name in sorted(self._found)}

    def manifest(self, name: str) -> Manifest:
        """Of engine `name`. Raises UnknownEngine."""
        return self._engine(name).manifest

    def names(self, hidden: bool = False) -> tuple[str, ...]:
        """Of all engines, sorted; the hidden ones only if asked for."""
        return tuple(name for name, each in self.manifests.items() if hidden or not each.hidden)

    def folder(self, name: str) -> Path:
        """Where the engine's settings and models lie; it may not exist. Raises UnknownEngine."""
        self._engine(name)
        return self._home.engines / name

    def code_folder(self, name: str) -> Path:
        """Where the engine's code and what comes with it lie. Raises UnknownEngine."""
        return self._engine(name).code.folder

    def models(self, name: str) -> tuple[str, ...]:
        """The engine's models as they are listed, complete ones only. Raises UnknownEngine."""
        return tuple(self._models(name))

    def model_folder(self, name: str, label: str) -> Path | None:
        """Where the files of a model lie; None if it has none. Raises UnknownModel."""
        models = self._models(name)
        if label not in models:
            raise UnknownModel(label, self.manifest(name).display_name, tuple(models))
        return models[label]

    def missing(self, name: str) -> tuple[str, ...]:
        """Import names that the engine requires and its environment lacks."""
        manifest = self.manifest(name)
        if manifest.environment == "own":
            return () if self._home.interpreter(name).exists() else manifest.requires
        return missing_imports(manifest)

    def load(
        self, name: str, model: str, place: Place, settings: Mapping[str, Any]
    ) -> Engine | BatchEngine:
        """The engine with `model` loaded; what `settings` lack is taken from its manifest.

        To be called from the thread that will own the engine. Raises UnknownEngine, UnknownModel,
        LoadFailed, OutOfMemory, or what else of AllTalk's errors the engine itself raises.
        """
        found = self._engine(name)
        self.model_folder(name, model)
        effective = {**found.manifest.settings, **settings}
        return found.code.load(found.manifest, self.folder(name), model, place, effective)

    def bench(self, name: str, model: str, place: Place) -> Generator[Figures]:
        """What the engine measures of itself with `model`; nothing for an engine without a bench.

        Raises what `load` raises, SynthesisFailed.
        """
        found = self._engine(name)
        self.model_folder(name, model)
        settings = found.manifest.settings
        yield from found.code.bench(found.manifest, self.folder(name), model, place, settings)

    def save_settings(
        self,
        name: str,
        *,
        settings: Mapping[str, Any] | None = None,
        openai_voices: Mapping[str, str] | None = None,
    ) -> Manifest:
        """Change these settings and OpenAI voices in the home; all others stay as they are.

        Raises UnknownEngine, ConfigError for a value that does not hold, StorageError.
        """
        changes = {"settings": settings or {}, "openai_voices": openai_voices or {}}
        with self._saving:
            found, file = self._engine(name), self.folder(name) / FILE_NAME
            own = adjusted(read_sections(file) if file.exists() else {}, changes)
            basis = (
                own
                if found.code.is_same_as(file.parent)
                else read_sections(found.code.folder / FILE_NAME)
            )
            changed = replace(found, manifest=make_manifest(name, adjusted(basis, own)))
            text = json.dumps(own, indent=4, ensure_ascii=False) + "\n"
            write_whole(file, text.encode())
            self._found = {**self._found, name: changed}
        return changed.manifest

    def _engine(self, name: str) -> _Found:
        try:
            return self._found[name]
        except KeyError:
            raise UnknownEngine(name, self.names()) from None

    def _candidates(self) -> Iterator[tuple[str, EngineCode]]:
        """Names and places of all code there may be; the built-in engines first."""
        for root in (*map(Path, alltalk.engines.__path__), self._home.engines):
            for folder in _subfolders(root):
                if (folder / "engine.py").is_file():
                    package = f"{alltalk.engines.__name__}.{folder.name}"
                    yield folder.name, EngineCode(folder, package)
        for entry in entry_points(group="alltalk.engines"):
            yield entry.name, EngineCode(_entry_folder(entry), entry.module)

    def _models(self, name: str) -> dict[str, Path | None]:
        """The engine's models by label, the fixed ones first, and their folders."""
        rule = self.manifest(name).models
        is_there = not rule.needs or _has_any(self._home.root, rule.needs)
        models: dict[str, Path | None] = dict.fromkeys(rule.fixed if is_there else ())
        for folder in _subfolders(self.folder(name) / rule.folder):
            if _is_complete(folder, rule):
                models |= {label.replace("{name}", folder.name): folder for label in rule.labels}
        return models


def _manifest(name: str, file: Path, own: Path | None = None) -> Manifest:
    """From the engine's file, and the one in the home. Raises ConfigError, naming the file."""
    sections = read_sections(file)
    if own is not None:
        sections = adjusted(sections, read_sections(own))
    try:
        return make_manifest(name, sections)
    except ConfigError as error:
        raise ConfigError(f"{own or file}: {error}") from error


def _adjusted(folder: Path, found: _Found | None) -> _Found:
    """`found` with the settings that the home keeps for it in `folder`. Raises ConfigError."""
    if found is None:
        raise ConfigError(f"{folder} has settings, but there is no engine.py for it anywhere.")
    file = found.code.folder / FILE_NAME
    return replace(found, manifest=_manifest(folder.name, file, folder / FILE_NAME))


def _refuse_other_code(name: str, code: EngineCode, found: _Found | None) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{code.folder} is not used: an engine's name is lower-case letters, digits and _."
        )
    if found is not None and not found.code.is_same_as(code.folder):
        raise ConfigError(
            f"{code.folder} is not used: the engine {name} is already in {found.code.folder}."
        )


def _subfolders(root: Path) -> list[Path]:
    """Folders in `root`, sorted, but hidden ones; none if it cannot be read."""
    try:
        return sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] not in "._")
    except OSError:
        return []


def _seen(file: Path) -> tuple[int, int] | None:
    """When `file` was changed, and its size; None: it is not there."""
    try:
        state = file.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size


def _entry_folder(entry: EntryPoint) -> Path:
    """Folder of the package an entry point names, found without importing the package."""
    top, *rest = entry.module.split(".")
    spec = importlib.util.find_spec(top)
    roots = spec.submodule_search_locations if spec else None
    return Path(next(iter(roots)), *rest) if roots else Path(entry.module)


def _has_any(folder: Path, patterns: Iterable[str]) -> bool:
    """True when a file in `folder` matches one of `patterns`."""
    try:
        return any(next(folder.glob(pattern), None) for pattern in patterns)
    except OSError:
        return False


def _is_complete(folder: Path, rule: ModelRule) -> bool:
    """True when all files of a model are there; a folder that cannot be read has none."""
    try:
        return all((folder / file).is_file() for file in rule.files) and all(
            _has_any(folder, group) for group in rule.any_of
        )
    except OSError:
        return False
