"""What a backend of each type can be set to, and how such settings become a `BackendSpec`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from alltalk.engine import Manifest
from alltalk.errors import BadValue
from alltalk.registry import Registry
from alltalk.serving.backend_store import REMOTE, BackendSpec
from alltalk.setting_schema import COMMON, SettingKind, SettingSchema

SettingType = Literal["text", "integer", "decimal", "boolean", "dropdown"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that can be set."""

    name: str
    type: SettingType
    description: str
    default: Any = ""
    secret: bool = False
    values: tuple[str, ...] = ()
    """The choices of a dropdown."""
    minimum: float | None = None
    maximum: float | None = None
    nullable: bool = False
    """Nothing (null, or no text) leaves it to the engine."""
    shipped: Any = None
    """What it was before anybody changed it; None: not known."""

    @property
    def bounds(self) -> str:
        """What a number may be, in words; empty: any."""
        low, high = (_number_text(each) for each in (self.minimum, self.maximum))
        if low and high:
            return f"from {low} to {high}"
        return f"{low} or more" if low else f"up to {high}" if high else ""

    @property
    def help(self) -> str:
        """The description, and what it may be."""
        bounds = self.bounds
        return self.description + (f" {bounds[0].upper()}{bounds[1:]}." if bounds else "")

    def read(self, value: Any) -> Any:
        """`value` as this setting takes it. Raises BadValue."""
        if self.nullable and value in (None, ""):
            return None
        try:
            read = _READERS[self.type](value)
        except (TypeError, ValueError, OverflowError):
            raise BadValue(self.name, f"{_short(value)} is not of type {self.type}.") from None
        if self.values and read not in self.values:
            known = ", ".join(each or "nothing" for each in self.values)
            raise BadValue(self.name, f"must be one of {known}, not {_short(read)}.")
        if (self.minimum is not None and read < self.minimum) or (
            self.maximum is not None and read > self.maximum
        ):
            raise BadValue(self.name, f"must be {self.bounds}, not {_short(read)}.")
        return read


@dataclass(frozen=True, slots=True)
class BackendType:
    """A kind of backend: an engine, or another server."""

    id: str
    name: str
    description: str
    settings: tuple[Setting, ...]

    def read(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """`values` as changes of a `BackendSpec`. Raises BadValue, also for unknown names."""
        known = {setting.name: setting for setting in self.settings}
        if unknown := values.keys() - known.keys():
            raise BadValue(min(unknown)[:80], f"{self.id} has no such setting.")
        read = {name: known[name].read(value) for name, value in values.items()}
        place = {name: read.pop(name) for name in _PLACE if name in read}
        return {**place, **({"settings": read} if read else {})}

    def values(self, spec: BackendSpec) -> dict[str, Any]:
        """What a backend of this type is set to, a value for each setting."""
        stored = {**spec.settings, **{name: getattr(spec, name) for name in _PLACE}}
        return {each.name: stored.get(each.name, each.default) for each in self.settings}


def backend_types(registry: Registry, also: tuple[str, ...] = ()) -> dict[str, BackendType]:
    """The types there are, by id, in a stable order. Reads the folders of models.

    `also`: engines shown though hidden, because they run; those not installed are left out.
    """
    names = dict.fromkeys((*registry.names(), *also))
    types = [_engine_type(registry, name) for name in names if name in registry.manifests]
    return {each.id: each for each in (*types, _REMOTE_TYPE)}


def missing_type(name: str) -> BackendType:
    """Stands for the engine `name` that a saved backend asks for and that is not installed."""
    return BackendType(name, name, "This engine is not installed.", (_model_of(()), *_RUN))


def _engine_type(registry: Registry, name: str) -> BackendType:
    manifest = registry.manifest(name)
    own = tuple(_engine_settings(manifest))
    settings = (_model_of(registry.models(name)), *_RUN, *own)
    return BackendType(name, manifest.display_name, manifest.description, settings)


def _model_of(models: tuple[str, ...]) -> Setting:
    return Setting("model", "dropdown", "Model to load; empty: the first.", values=("", *models))


def engine_settings(registry: Registry, name: str) -> tuple[Setting, ...]:
    """The settings of an engine that mean something to it, as its users change them.

    Raises UnknownEngine.
    """
    manifest = registry.manifest(name)
    return tuple(
        each for each in _engine_settings(manifest) if _means_something(each.name, manifest)
    )


def _means_something(setting: str, manifest: Manifest) -> bool:
    can = manifest.capabilities
    told = {
        "temperature_set": "temperature" in can.sampling,
        "repetitionpenalty_set": "repetition_penalty" in can.sampling,
        "lowvram_enabled": can.low_vram,
        "deepspeed_enabled": can.deepspeed,
        "engine_installed": False,  # V2's own business
    }
    return told.get(setting, True)


def _engine_settings(manifest: Manifest) -> Iterator[Setting]:
    """By their schemas; those without one by what they are set to."""
    schemas = {**COMMON, **manifest.settings_schema}
    for name, value in manifest.settings.items():
        if name in _PLACE:
            continue
        if (schema := schemas.get(name)) is not None:
            yield _by_schema(name, schema, value)
        elif (kind := _TYPES.get(type(value))) is not None:
            yield Setting(name, kind, name.replace("_", " ").capitalize() + ".", value)


def _by_schema(name: str, schema: SettingSchema, value: Any) -> Setting:
    return Setting(
        name,
        "dropdown" if schema.enum else _SCHEMA_TYPES[schema.type],
        schema.description or name.replace("_", " ").capitalize() + ".",
        value,
        values=schema.enum,
        minimum=schema.minimum,
        maximum=schema.maximum,
        nullable=schema.nullable,
        shipped=schema.default,
    )


def _truth(value: Any) -> bool:
    words = {"true": True, "1": True, "yes": True, "on": True}
    words |= {"false": False, "0": False, "no": False, "off": False}
    try:
        return words[str(value).strip().lower()]
    except KeyError:
        raise ValueError(value) from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    value.encode()  # half a surrogate pair cannot be saved
    return value


def _whole(value: Any) -> int:
    number = _number(value)
    if number != int(number):
        raise ValueError(value)
    return int(number)


def _number(value: Any) -> float:
    """A whole number stays one: to an engine, 50 candidates are not 50.0."""
    if isinstance(value, bool):
        raise TypeError(value)
    number: float = value if isinstance(value, int) else float(value)
    if not math.isfinite(number):  # JSON cannot tell it back
        raise ValueError(value)
    return number


def _number_text(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value == round(value) else f"{value:g}"


def _short(value: Any) -> str:
    return repr(value)[:80]


_READERS: Mapping[SettingType, Callable[[Any], Any]] = {
    "text": _text,
    "dropdown": _text,
    "integer": _whole,
    "decimal": _number,
    "boolean": _truth,
}
_TYPES: Mapping[type, SettingType] = {
    bool: "boolean",
    int: "decimal",  # V2's files say 1 where 1.5 is as good
    float: "decimal",
    str: "text",
}
_SCHEMA_TYPES: Mapping[SettingKind, SettingType] = {
    "boolean": "boolean",
    "integer": "integer",
    "number": "decimal",
    "string": "text",
}
_PLACE = ("model", "device", "threads", "process")
"""Settings that are fields of the `BackendSpec` itself."""
_RUN = (
    Setting("device", "text", "Where it runs: cpu, cuda, cuda:1.", "cpu"),
    Setting("threads", "integer", "Cores it may use; 0: its share.", 0),
    Setting(
        "process",
        "dropdown",
        "Where it lives: auto, here (in the server), or a worker of its own.",
        "auto",
        values=("auto", "here", "worker"),
    ),
)
_REMOTE_TYPE = BackendType(
    REMOTE,
    "Another server",
    "Another AllTalk, or any server with OpenAI's speech API.",
    (
        Setting("base_url", "text", "Its address, such as http://192.168.1.5:7851."),
        Setting("api_key", "text", "Its API key, if it asks for one.", secret=True),
        Setting("model", "text", "Which of its models to ask for; empty: its default."),
    ),
)
