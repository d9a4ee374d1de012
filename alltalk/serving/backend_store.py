"""The list of backends as it is kept in `<home>/backends.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from alltalk.draft import write_whole
from alltalk.errors import BadValue, ConfigError

REMOTE = "remote"
"""The type of a backend that is another server; any other type is an engine's name."""

Process = Literal["auto", "here", "worker"]


class IdInUse(BadValue):
    """A backend cannot have the id of another."""

    def __init__(self, id: int) -> None:
        super().__init__("id", f"Backend ID {id} is already in use.")
        self.args = (f"Backend ID {id} is already in use.",)  # as clients of its API know it


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """A backend as configured. Raises BadValue for what cannot be."""

    id: int
    """Counts up from 0; never used twice in a run."""
    type: str
    """An engine's name, or `remote`."""
    title: str = ""
    enabled: bool = True
    model: str = ""
    """As the engine lists it; empty: its first."""
    device: str = "cpu"
    """`cpu`, `cuda`, `cuda:1`, …"""
    threads: int = 0
    """Cores it may use; 0: the share that the server gives out."""
    process: Process = "auto"
    """`worker`: a process of its own; `auto`: for CUDA and engines with their own environment."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The engine's settings that differ from its manifest's; a remote's address and key."""
    max_usages: int | None = None
    """Utterances it takes side by side; None: as many as the engine says; 0: none."""

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            value = getattr(self, name)
            if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
                raise BadValue(name, f"{value!r} is not of type {_name_of(kind)}")
        for name, least in (("id", 0), ("threads", 0), ("max_usages", 0)):
            if (getattr(self, name) or 0) < least:
                raise BadValue(name, f"must be {least} or more, not {getattr(self, name)}")
        if not self.type:
            raise BadValue("type", "must name an engine, or be 'remote'")
        if self.process not in get_args(Process):
            raise BadValue("process", f"must be auto, here or worker, not {self.process!r}")

    def edited(self, changes: Mapping[str, Any]) -> BackendSpec:
        """With other fields; `settings` are merged into what is there. Raises BadValue."""
        editable = {each.name for each in fields(self)} - {"type", "enabled"}
        if unknown := changes.keys() - editable:
            raise BadValue(min(unknown), "is no part of a backend that can be edited")
        if isinstance(changes.get("settings"), Mapping):
            changes = {**changes, "settings": {**self.settings, **changes["settings"]}}
        return replace(self, **changes)

    def swapped(self, engine: str, model: str, settings: Mapping[str, Any]) -> BackendSpec:
        """For another engine or model, enabled. Another engine brings its own settings."""
        if engine not in ("", self.type):
            return replace(self, type=engine, model=model, settings=settings, enabled=True)
        settings = {**self.settings, **settings}
        return replace(self, model=model or self.model, settings=settings, enabled=True)


@dataclass(frozen=True, slots=True)
class BackendList:
    """What is saved: the backends by id, and the id of the current one."""

    backends: tuple[BackendSpec, ...] = ()
    current: int | None = None

    def adding(self, spec: BackendSpec) -> BackendList:
        """With one more; the first of all is current."""
        if spec.id in (each.id for each in self.backends):
            raise IdInUse(spec.id)
        backends = sorted((*self.backends, spec), key=lambda each: each.id)
        return BackendList(tuple(backends), spec.id if self.current is None else self.current)

    def removing(self, id: int) -> BackendList:
        """Without that one; if it was current, the first enabled one is instead."""
        left = tuple(each for each in self.backends if each.id != id)
        if self.current != id:
            return BackendList(left, self.current)
        heirs = [each.id for each in left if each.enabled] or [each.id for each in left]
        return BackendList(left, heirs[0] if heirs else None)

    def replacing(self, id: int, spec: BackendSpec) -> BackendList:
        """With `spec` in the place of `id`, current as that was. Raises BadValue for a taken id."""
        left = tuple(each for each in self.backends if each.id != id)
        current = spec.id if self.current == id else self.current
        return BackendList(left, current).adding(spec)


class BackendStore:
    """Reads and writes the file. Its methods block."""

    def __init__(self, file: Path | None, first: Sequence[BackendSpec]) -> None:
        """`first` is the list where there is no file yet; the first of it is current.

        Without `file` nothing is read or kept.
        """
        self._file = file
        self._first = tuple(first)

    def load(self) -> BackendList:
        """What was saved last. Raises ConfigError for a file that does not hold; it stays."""
        first = BackendList(self._first, self._first[0].id if self._first else None)
        if self._file is None:
            return first
        try:
            text = self._file.read_text("utf-8-sig")
        except FileNotFoundError:
            return first
        except (OSError, UnicodeError) as error:
            raise ConfigError(f"{self._file} cannot be read: {error}.") from error
        try:
            return _parse(json.loads(text))
        except (BadValue, ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{self._file} is not a list of backends: {error}.") from error

    def save(self, backends: BackendList) -> None:
        """Replace the file, whole or not at all. Raises StorageError; then the old one stands."""
        if self._file is None:
            return
        text = json.dumps(_plain(backends), indent=2, ensure_ascii=False) + "\n"
        write_whole(self._file, text.encode(), private=True)  # a remote's key is in it


def _parse(saved: Any) -> BackendList:
    """The list in what the file holds. Unknown keys of a backend are refused by name."""
    if not isinstance(saved, dict) or not isinstance(saved.get("backends"), list):
        raise ValueError('it must be {"current": id, "backends": [...]}')
    specs = tuple(_spec(each) for each in saved["backends"])
    ids = [spec.id for spec in specs]
    if len(set(ids)) != len(ids):
        raise ValueError("two backends have the same id")
    current = saved.get("current")
    if current is not None and current not in ids:
        raise ValueError(f"the current backend {current!r} is not in the list")
    return BackendList(specs, current)


def _spec(saved: Any) -> BackendSpec:
    if not isinstance(saved, dict):
        raise ValueError(f"a backend is an object, not {saved!r}")
    if unknown := saved.keys() - {each.name for each in fields(BackendSpec)}:
        raise ValueError(f"a backend has no {', '.join(sorted(unknown))}")
    return BackendSpec(**saved)


def _plain(backends: BackendList) -> dict[str, Any]:
    names = [each.name for each in fields(BackendSpec)]
    specs = [{name: getattr(spec, name) for name in names} for spec in backends.backends]
    return {"current": backends.current, "backends": specs}


_KINDS: Mapping[str, Any] = {
    "id": int,
    "type": str,
    "title": str,
    "enabled": bool,
    "model": str,
    "device": str,
    "threads": int,
    "settings": Mapping,
    "max_usages": int | None,
}


def _name_of(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))
