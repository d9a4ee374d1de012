"""Imports the code of one engine from its folder, and loads a model with it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import alltalk.engines
from alltalk.engine import BatchEngine, Engine, Manifest, Place
from alltalk.errors import AllTalkError, LoadFailed, OutOfMemory, SynthesisFailed
from alltalk.figures import Figures

_IMPORTING = threading.Lock()  # what is imported is the process's, so its lock is too


@dataclass(frozen=True, slots=True)
class EngineCode:
    """Where an engine's code lies, and the name it is imported by."""

    folder: Path
    """Holds `engine.py`, with a function `load`."""
    package: str
    """Import name of the folder."""

    def load(
        self,
        manifest: Manifest,
        folder: Path,
        model: str,
        place: Place,
        settings: Mapping[str, Any],
    ) -> Engine | BatchEngine:
        """The engine with `model` loaded; `folder` is where its models lie.

        Raises LoadFailed, OutOfMemory, or what else of AllTalk's errors the engine raises.
        """
        _refuse_missing(manifest)
        try:
            module = self._import("engine")
            engine = module.load(folder, model, place, settings)
        except AllTalkError:
            raise
        except (Exception, SystemExit) as error:
            what = f"{manifest.display_name} could not load {model}"
            raise _failure(LoadFailed, what, error) from error
        if not isinstance(engine, Engine | BatchEngine):
            what = type(engine).__name__
            raise LoadFailed(f"load() in {self.folder / 'engine.py'} returned {what}, no engine.")
        return engine

    def bench(
        self,
        manifest: Manifest,
        folder: Path,
        model: str,
        place: Place,
        settings: Mapping[str, Any],
    ) -> Generator[Figures]:
        """What the engine measures of itself, where it brings a `bench.py`; takes what `load` does.

        Raises what `load` raises, SynthesisFailed.
        """
        if not (self.folder / "bench.py").is_file():
            return
        _refuse_missing(manifest)
        try:
            yield from self._import("bench").bench(folder, model, place, settings)
        except AllTalkError:
            raise
        except (Exception, SystemExit) as error:
            what = f"{manifest.display_name} could not measure {model}"
            raise _failure(SynthesisFailed, what, error) from error

    def is_same_as(self, folder: Path) -> bool:
        """True when `folder` is where the code lies."""
        return self.folder.resolve() == folder.resolve()

    def _import(self, name: str) -> ModuleType:
        """The module of that name. Raises LoadFailed if other code has taken it."""
        with _IMPORTING:
            parent, _, _ = self.package.rpartition(".")
            if parent == alltalk.engines.__name__ and self.package not in sys.modules:
                _import_folder(self.package, self.folder)
            module = importlib.import_module(f"{self.package}.{name}")
        imported = Path(str(module.__file__)).parent
        if not self.is_same_as(imported):
            raise LoadFailed(
                f"{self.package} in {self.folder} cannot be loaded: this process has already "
                f"imported it from {imported}."
            )
        return module


def missing_imports(manifest: Manifest) -> tuple[str, ...]:
    """Import names that the engine requires and this environment lacks."""
    return tuple(name for name in manifest.requires if not _importable(name))


def _importable(name: str) -> bool:
    """Whether a module's top package is there; looking for more would import it."""
    top = name.partition(".")[0]
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):  # a module without a spec, put there by hand
        return top in sys.modules


def _refuse_missing(manifest: Manifest) -> None:
    if missing := missing_imports(manifest):
        how = f": pip install 'alltalk[{manifest.extra}]'" if manifest.extra else ""
        raise LoadFailed(f"{manifest.display_name} needs {', '.join(missing)}{how}.")


def _import_folder(package: str, folder: Path) -> None:
    """Import `package` by path, for the folder may lie where no import finds it."""
    init = folder / "__init__.py"
    spec: ModuleSpec | None = ModuleSpec(package, None, is_package=True)
    if init.is_file():
        spec = importlib.util.spec_from_file_location(package, init)
    assert spec is not None
    spec.submodule_search_locations = [str(folder)]
    module = sys.modules[package] = importlib.util.module_from_spec(spec)
    if spec.loader is not None:
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[package]
            raise


def _failure(kind: type[AllTalkError], what: str, error: BaseException) -> AllTalkError:
    """What a foreign exception means; `kind`, unless it is want of memory."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's
        return OutOfMemory(f"{what}: there is not enough memory.")
    return kind(f"{what}: {type(error).__name__}: {error}")
