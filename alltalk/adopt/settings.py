"""Takes over settings: V2's value where the user has chosen none here, one key at a time.

What was taken is remembered in `<home>/adopted.json`, so that a second run takes only what changed
in V2 since, and leaves alone what the user has changed here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from alltalk.adopt.folder import read_object
from alltalk.adopt.item import Adopted
from alltalk.config import Config, settings
from alltalk.config_store import ConfigStore, Key, checked, get, put
from alltalk.config_types import Unused
from alltalk.draft import write_whole
from alltalk.errors import ConfigError
from alltalk.home import Home
from alltalk.manifest import FILE_NAME, read_settings
from alltalk.registry import Registry


class Memory:
    """The values in which V2 and the home agreed after an earlier run, by key."""

    def __init__(self, home: Home) -> None:
        self._file = home.root / "adopted.json"
        try:
            self._taken = read_object(self._file)
        except ConfigError as error:
            raise ConfigError(f"{self._file}: {error}. Mend or remove it.") from error

    def judge(self, name: str, theirs: Any, ours: Any, *, chosen: bool) -> Adopted:
        """What is to become of V2's value; `chosen`: ours looks like the user's own choice.

        After an earlier run that is no guess: ours is a choice if it is not what both had then.
        """
        if theirs == ours:
            return Adopted("settings", name, "same")
        if ours != self._taken[name] if name in self._taken else chosen:
            return Adopted("settings", name, "kept", f"{_shown(ours)} here, {_shown(theirs)} in V2")
        return Adopted("settings", name, "taken", f"{_shown(theirs)}, was {_shown(ours)}")

    def keep(self, taken: Mapping[str, Any]) -> None:
        """Remember what was taken now. Raises StorageError."""
        if any(name not in self._taken or self._taken[name] != taken[name] for name in taken):
            self._taken |= taken
            text = json.dumps(self._taken, indent=4, ensure_ascii=False, sort_keys=True) + "\n"
            write_whole(self._file, text.encode())


def adopt_config(
    values: Mapping[str, Any], chosen: Mapping[Key, Any], store: ConfigStore, memory: Memory
) -> Iterator[Adopted]:
    """Take over the settings in `values`, as a `confignew.json` nests them, and set `chosen`.

    One write: the settings are all there or none is. Raises ConfigError if our own do not hold,
    and StorageError.
    """
    ours, defaults = _values(store.current), _values(Config())
    patch: dict[Key, Any] = {}
    agreed: dict[str, Any] = {}
    found = []
    for key, theirs in _leaves(values):
        name = ".".join(key)
        if why := _refusal(key, theirs, store):
            found.append(Adopted("settings", name, "left", why))
            continue
        value, here = _read(key, theirs), get(ours, key)
        if value != here and (why := _unused(key)):
            found.append(Adopted("settings", name, "left", f"not used here: {why}"))
            continue
        found.append(memory.judge(name, value, here, chosen=here != get(defaults, key)))
        if found[-1].outcome == "taken":
            patch[key] = value
        if found[-1].outcome != "kept":
            agreed[name] = value
    store.change({".".join(key): value for key, value in {**patch, **chosen}.items()})
    memory.keep(agreed)
    yield from found


def adopt_engine_settings(
    engine: str, sections: Mapping[str, Any], registry: Registry, memory: Memory
) -> Iterator[Adopted]:
    """Take over an engine's settings and OpenAI voices. Raises StorageError.

    Where the home is a checkout, the engine's file there holds its defaults too, so nobody can
    tell what of it the user chose; then V2's value is taken, and what was here is told.
    """
    manifest = registry.manifest(engine)
    ours = {"settings": manifest.settings, "openai_voices": manifest.openai_voices}
    chosen = _chosen(registry, engine)
    changes: dict[str, dict[str, Any]] = {"settings": {}, "openai_voices": {}}
    agreed: dict[str, Any] = {}
    for section, read in _READ.items():
        theirs = sections.get(section, {})
        for key, raw in theirs.items() if isinstance(theirs, dict) else ():
            name = f"{engine}.{section}.{key}"
            try:
                value = read(key, raw)
            except ConfigError as error:
                yield Adopted("settings", name, "left", str(error))
                continue
            here = ours[section].get(key)
            item = memory.judge(name, value, here, chosen=key in chosen.get(section, {}))
            if item.outcome == "taken":
                changes[section][key] = value
            if item.outcome != "kept":
                agreed[name] = value
            yield item
    if any(changes.values()):
        registry.save_settings(engine, **changes)
    memory.keep(agreed)


def _chosen(registry: Registry, engine: str) -> Mapping[str, Any]:
    """Sections of the engine's file in the home, where that holds only what the user chose."""
    folder = registry.folder(engine)
    return {} if (folder / "engine.py").exists() else read_object(folder / FILE_NAME)


def _setting(key: str, value: Any) -> Any:
    if key == "engine_installed":
        raise ConfigError("it says what V2 had installed.")
    return read_settings({key: value})[key]


def _voice(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{value!r} is not a voice's name.")
    return value


_READ: Mapping[str, Callable[[str, Any], Any]] = {"settings": _setting, "openai_voices": _voice}


def _leaves(values: Mapping[str, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Each setting in `values` with its path; an object that is no section of ours is one."""
    sections = {key[: len(above) + 1] for key, _ in settings() if len(key) > len(above) + 1}
    for name, value in values.items():
        key = (*above, name)
        if key in sections and isinstance(value, Mapping):
            yield from _leaves(value, key)
        else:
            yield key, value


def _refusal(key: Key, value: Any, store: ConfigStore) -> str:
    """Why V2's value cannot be used; empty: it can."""
    if key not in {known for known, _ in settings()}:
        return "there is no such setting here"
    if variable := store.overridden.get(".".join(key)):
        return f"the environment variable {variable} decides it"
    try:
        _read(key, value)
    except ConfigError as error:
        return str(error).partition(": ")[2].rstrip(".")
    return ""


def _read(key: Key, value: Any) -> Any:
    """`value` in the type that the setting has. Raises ConfigError."""
    nested: dict[str, Any] = {}
    put(nested, key, value)
    return get(_values(checked(nested, lambda key: "")), key)


def _unused(key: Key) -> str:
    """Why V2's key does nothing here; empty: it does something."""
    metadata = next(field.metadata for known, field in settings() if known == key)
    return next((each.why for each in metadata if isinstance(each, Unused)), "")


def _values(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json", by_alias=True)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
