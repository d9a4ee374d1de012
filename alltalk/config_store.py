"""Where the settings come from and go to: `confignew.json`, overridden by the environment."""

from __future__ import annotations

import copy
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import ValidationError

from alltalk.config import Config, settings
from alltalk.draft import storage_error, write_whole
from alltalk.errors import ConfigError, StorageError
from alltalk.home import Home
from alltalk.keys import keys_in

_log = logging.getLogger(__name__)

Key = tuple[str, ...]
"""A setting's path: `("api_def", "api_language")`."""
Stamp = tuple[int, int, int]
"""What differs when a file was changed: modification time, size, identity."""


ALIASES: Mapping[str, Key] = {
    "CACHE_TTL_MINUTES": ("cache", "ttl_minutes"),
    "AUDIO_CACHE_DIR": ("cache", "folder"),
    "SERVED_MODEL_NAME": ("speech", "served_model_name"),
    "DEFAULT_VOICE": ("speech", "default_voice"),
    "CORS_ALLOW_ORIGINS": ("server", "cors_allow_origins"),
    "REDIS_URL": ("presence", "redis_url"),
    "NODE_ID": ("presence", "node_id"),
    "NODE_HOST": ("presence", "node_host"),
    "NODE_PORT": ("presence", "node_port"),
    "REDIS_PUBLISH_INTERVAL": ("presence", "interval_s"),
}
"""Variables of another server that ours replaces; `ALLTALK_…` wins over them."""
PLAIN_KEYS = "ALLTALK_API_KEYS"
"""The variable with API keys as they are; see `keys_in`."""


@dataclass(frozen=True, slots=True)
class Override:
    """A setting that an environment variable decides."""

    variable: str
    value: Any


class ConfigStore:
    """The settings in use. Every method may be called from any thread.

    The file holds what its owner wrote: a change touches the keys it names and keeps all others,
    known or not. What the environment says is never written. Raises ConfigError when the file or
    a variable does not hold.
    """

    def __init__(self, home: Home, environ: Mapping[str, str] = os.environ) -> None:
        self.file = home.config_file.resolve()
        self._lock = threading.Lock()
        self._overrides = overrides(environ)
        self._stamp = self._look()
        if self._stamp is None:
            self._stored = Config().model_dump(mode="json", by_alias=True)
        else:
            self._stored = self._read()
        self._current = self._effective(self._stored)
        if self._stamp is None:
            self._create()

    @property
    def current(self) -> Config:
        """The settings in use. A request keeps those it began with."""
        return self._current

    @property
    def overridden(self) -> Mapping[str, str]:
        """Dotted keys that the environment decides, with the variable's name."""
        return {".".join(key): override.variable for key, override in self._overrides.items()}

    def changed(self) -> bool:
        """True when the file is another than at the last load. Costs one look at the folder."""
        return self._look() != self._stamp

    def reload(self) -> Config:
        """Read the file again. When it does not hold, raises ConfigError and nothing changes."""
        with self._lock:
            before, self._stamp = self._stamp, self._look()
            if self._stamp is None:
                if before is not None:
                    raise ConfigError(f"{self.file} is gone; the settings in use stay.")
                return self._current
            stored = self._read()
            self._current = self._effective(stored)
            self._stored = stored
            return self._current

    def change(self, patch: Mapping[str, Any]) -> Config:
        """Change the keys in `patch`, write the file, and use the result.

        Keys may be dotted (`{"speech.pause_s": 0.2}`), nested, or both. Raises ConfigError for an
        unknown key, a wrong value, or one that the environment decides otherwise, and
        StorageError when the file cannot be written; then nothing changes.
        """
        return self._change(lambda _: patch)

    def edit(self, patch_of: Callable[[Config], Mapping[str, Any]]) -> Config:
        """`change` by what `patch_of` makes of the settings that the file holds by then."""
        return self._change(lambda stored: patch_of(self._effective(stored)))

    def _change(self, patch_of: Callable[[dict[str, Any]], Mapping[str, Any]]) -> Config:
        with self._lock:
            stored = self._stored if self._look() is None else self._read()
            edited = self._edited(stored, dict(flattened(patch_of(stored))))
            current = self._effective(edited)
            if edited != stored:
                self._write(edited)
            self._stored, self._current, self._stamp = edited, current, self._look()
            return current

    def check(self, patch: Mapping[str, Any]) -> None:
        """Raise the ConfigError that `change` would; change nothing."""
        with self._lock:
            self._effective(self._edited(self._stored, dict(flattened(patch))))

    def _edited(self, stored: dict[str, Any], patch: Mapping[Key, Any]) -> dict[str, Any]:
        """`stored` with `patch` in the types that the settings have."""
        wanted = copy.deepcopy(stored)
        for key, value in patch.items():
            put(wanted, key, value)
        asked = checked(wanted, lambda key: "" if key in patch else f"{self.file}: ")
        values = asked.model_dump(mode="json", by_alias=True)
        edited = copy.deepcopy(stored)
        for key in patch:
            value = get(values, key)
            if (override := self._overrides.get(key)) is None:
                put(edited, key, value)
            elif value != get(self._current.model_dump(mode="json", by_alias=True), key):
                raise ConfigError(
                    f"{'.'.join(key)}: the environment variable {override.variable} decides it; "
                    "change it there."
                )
        return edited

    def _effective(self, stored: dict[str, Any]) -> Config:
        """`stored` as the environment overrides it."""
        config = checked(stored, lambda key: f"{self.file}: ")
        if not self._overrides:
            return config
        merged = copy.deepcopy(stored)
        for key, override in self._overrides.items():
            put(merged, key, override.value)
        return checked(merged, lambda key: f"{self._overrides[key].variable}: ")

    def _create(self) -> None:
        """Write the defaults; a home that cannot be written is served from memory."""
        try:
            self._write(self._stored)
            self._stamp = self._look()
        except StorageError as error:
            _log.warning("%s The default settings are used.", error)

    def _look(self) -> Stamp | None:
        try:
            seen = os.stat(self.file)
        except OSError:
            return None
        return seen.st_mtime_ns, seen.st_size, seen.st_ino

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self.file.read_bytes().decode("utf-8-sig"))
        except OSError as error:
            raise storage_error("read", self.file, error) from error
        except ValueError as error:  # not JSON, or not UTF-8
            raise ConfigError(f"{self.file} is not JSON in UTF-8: {error}.") from error
        if not isinstance(content, dict):
            raise ConfigError(f"{self.file} must hold one JSON object.")
        return content

    def _write(self, stored: dict[str, Any]) -> None:
        text = json.dumps(stored, indent=4, ensure_ascii=False) + "\n"
        write_whole(self.file, text.encode())


def overrides(environ: Mapping[str, str]) -> dict[Key, Override]:
    """The settings that the environment decides.

    `ALLTALK_<SECTION>__<KEY>`, or `ALLTALK_<KEY>` for a key outside the sections, in any letter
    case. A value that begins like JSON (`[`, `{`, `"` or null) is read as such, other text stands
    for itself; an empty value is none. `ALIASES` and `PLAIN_KEYS` are read too. Raises ConfigError
    for a section's key that is unknown.
    """
    known = {"__".join(key).upper(): key for key, _ in settings()}
    found = dict(_aliased(environ))
    for variable, text in environ.items():
        prefix, _, name = variable.upper().partition("_")
        if prefix != "ALLTALK" or not text.strip():
            continue
        if name in known:
            found[known[name]] = Override(variable, _parsed(text))
        elif "__" in name:
            raise ConfigError(f"{variable}: there is no setting {name.replace('__', '.').lower()}.")
    return found


def _aliased(environ: Mapping[str, str]) -> Iterator[tuple[Key, Override]]:
    """What `ALIASES` and `PLAIN_KEYS` decide; the keys are hashed here and now."""
    for variable, key in ALIASES.items():
        if (text := environ.get(variable, "")).strip():
            yield key, Override(variable, text)
    if keys := keys_in(environ.get(PLAIN_KEYS, "")):
        yield ("server", "api_keys"), Override(PLAIN_KEYS, [asdict(key) for key in keys])


def flattened(patch: Mapping[str, Any]) -> Iterator[tuple[Key, Any]]:
    """Each setting in `patch` with its path. Raises ConfigError for an unknown one."""
    known = {key for key, _ in settings()}
    sections = {key[:depth] for key in known for depth in range(1, len(key))}

    def walk(part: Mapping[str, Any], above: Key) -> Iterator[tuple[Key, Any]]:
        for name, value in part.items():
            key = (*above, *name.split("."))
            if key in known:
                yield key, value
            elif key in sections and isinstance(value, Mapping):
                yield from walk(value, key)
            else:
                raise ConfigError(f"{'.'.join(key)}: there is no such setting.")

    return walk(patch, ())


def checked(values: Mapping[str, Any], blame: Callable[[Key], str]) -> Config:
    """`values` as settings; `blame` gives what stands before a wrong key. Raises ConfigError."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        problems = [
            f"{blame(key)}{'.'.join(key)}: {_problem(each['msg'])}, not {_shown(each['input'])}"
            for each in error.errors(include_url=False)
            for key in [tuple(str(part) for part in each["loc"])]
        ]
        raise ConfigError("; ".join(problems[:5]) + ".") from None


def get(values: Mapping[str, Any], key: Key) -> Any:
    """The value at `key`."""
    for name in key:
        values = values[name]
    return values


def put(values: dict[str, Any], key: Key, value: Any) -> None:
    """Set the value at `key`, making the sections on the way."""
    for name in key[:-1]:
        if not isinstance(values.get(name), dict):
            values[name] = {}
        values = values[name]
    values[key[-1]] = value


def _parsed(text: str) -> Any:
    if text.strip()[0] not in '[{"' and text.strip() != "null":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _problem(message: str) -> str:
    """Pydantic's message as the end of a sentence that begins with the key."""
    message = message.removeprefix("Value error, ").replace("Input should be", "must be")
    return message[:1].lower() + message[1:]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
