"""Settings as people read and type them: names, meanings, values."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from alltalk.config import Config, Section, meanings, subsection
from alltalk.config_types import Unused

LISTED = "server.api_keys"
"""Has a place of its own on the page."""
ADDRESS = "presence.redis_url"
"""May hold a password."""
NEEDS_RESTART = (
    *("server.host", "server.port", "server.listen_gradio_port"),
    *("gradio_port_number", "api_def.api_port_number"),
)
"""Where the server listens is decided when it starts."""
_PASSWORD = re.compile(r"(?<=:)[^:@/]+(?=@)")
_MASK = "•••"


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of the configuration."""

    name: str
    """Dotted."""
    kind: Any
    """Its type."""
    meaning: str
    default: str
    unused: str
    """Why it does nothing here; empty: it is used."""

    @property
    def key(self) -> tuple[str, ...]:
        """Its path."""
        return tuple(self.name.split("."))

    @property
    def choices(self) -> Sequence[str]:
        """What it can be, where that is a short list."""
        if self.kind is bool:
            return ("true", "false")
        literal = get_origin(self.kind) is Literal
        return tuple(str(each) for each in get_args(self.kind)) if literal else ()

    def shown(self, value: Any) -> str:
        """`value`, which is as JSON has it, as one types it; empty: none."""
        if value is None:
            return ""
        if isinstance(value, list):
            return ", ".join(value)
        if self.name == ADDRESS:
            return _PASSWORD.sub(_MASK, value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    def read(self, text: str) -> Any:
        """What was typed. Whether it fits is found when it is checked or saved."""
        if self.name == ADDRESS and _MASK in text:
            return text.replace(_MASK, "")  # no address any more: it has to be typed whole
        if self.kind is str or get_origin(self.kind) is Literal:
            return text
        if self.kind == tuple[str, ...]:
            return [part.strip() for part in text.split(",") if part.strip()]
        if not text.strip():
            return None if type(None) in get_args(self.kind) else ""
        try:
            return json.loads(text)
        except ValueError:
            return text


def all_settings() -> dict[str, list[Setting]]:
    """Every setting by its section's title, in the order of the file; those of V2 come last."""
    found = {title: list(_own(section, above)) for title, section, above in _sections(Config, "")}
    return dict(sorted(found.items(), key=lambda each: all(s.unused for s in each[1])))


def _sections(section: type[Section], above: str) -> list[tuple[str, type[Section], str]]:
    """With their titles, and what stands before their keys' names."""
    said = inspect.cleandoc(section.__doc__ or "").splitlines()[0]
    title = f"{above.rstrip('.') or 'general'}: {said[:1].lower()}{said[1:]}".rstrip(".")
    found = [(title, section, above)]
    for attribute, field in section.model_fields.items():
        if (below := subsection(field)) is not None:
            found += _sections(below, f"{above}{field.alias or attribute}.")
    return found


def _own(section: type[Section], above: str) -> list[Setting]:
    known: Mapping[str, str] = meanings(section)
    return [
        _setting(above + key, field, known.get(key, ""))
        for attribute, field in section.model_fields.items()
        if subsection(field) is None
        for key in [field.alias or attribute]
        if above + key != LISTED
    ]


def _setting(name: str, field: Any, meaning: str) -> Setting:
    unused = next((mark.why for mark in field.metadata if isinstance(mark, Unused)), "")
    default = field.get_default(call_default_factory=True)
    if type(None) in get_args(field.annotation):
        meaning = meaning.replace("null:", "empty:")
    setting = Setting(name, field.annotation, meaning, "", unused)
    shown = setting.shown(list(default) if isinstance(default, tuple) else default)
    return Setting(name, field.annotation, meaning, shown, unused)
