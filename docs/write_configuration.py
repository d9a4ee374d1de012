"""Writes the tables of docs/configuration.md from the settings themselves.

    python docs/write_configuration.py

Run it after a change to alltalk/config.py; a test compares the page with what this would write.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import annotated_types
from pydantic.fields import FieldInfo

from alltalk.config import V2_FILTER, Config, Section, meanings, subsection
from alltalk.config_types import Unused
from alltalk.keys import ApiKey

PAGE = Path(__file__).with_name("configuration.md")
BEGIN, END = "<!-- settings: begin -->\n", "<!-- settings: end -->\n"
KINDS: Mapping[Any, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    tuple[str, ...]: "list of text",
    tuple[ApiKey, ...]: "list of `name`, `hash`, `role`",
}


def written(page: str) -> str:
    """`page` with its tables made anew."""
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    return before + BEGIN + "\n" + "\n".join(tables(Config, "")) + "\n" + END + after


def tables(section: type[Section], above: str) -> Iterator[str]:
    """A table of the section's own keys, then those of the sections in it."""
    title = f"`{above}`" if above else "Top level"
    yield f"### {title}\n\n{section.__doc__}\n"
    yield "| Key | Default | Range | Meaning |\n|---|---|---|---|"
    texts, nested = meanings(section), []
    for attribute, field in section.model_fields.items():
        name = field.alias or attribute
        if below := subsection(field):
            nested.append((below, f"{above}.{name}" if above else name))
        else:
            yield row(name, field, texts[name])
    yield ""
    for below, path in nested:
        yield from tables(below, path)


def row(name: str, field: FieldInfo, meaning: str) -> str:
    """One line of a table."""
    why = next((each.why for each in field.metadata if isinstance(each, Unused)), None)
    if why:
        meaning = f"*Accepted, not used: {why}.* {meaning}"
    default = "V2's" if field.default == V2_FILTER else f"`{json.dumps(field.default)}`"
    return f"| `{name}` | {default} | {extent(field)} | {meaning} |"


def extent(field: FieldInfo) -> str:
    """What values the field takes, in words."""
    kind = field.annotation
    parts = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(f"`{each}`" for each in parts)
    if type(None) in parts:
        inner = next(each for each in parts if each is not type(None))
        return f"{extent(FieldInfo.from_annotation(inner))}, or null"
    return " ".join(filter(None, [KINDS[kind], bounds(field.metadata)]))


def bounds(metadata: list[Any]) -> str:
    """The limits among a field's annotations: `0 to 1`, `above 0`."""
    limits = {type(each): each for each in metadata}
    low, high = limits.get(annotated_types.Ge), limits.get(annotated_types.Le)
    if low and high:
        return f"{low.ge} to {high.le}"
    if low:
        return f"from {low.ge}"
    above = limits.get(annotated_types.Gt)
    return f"above {above.gt}" if above else ""


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
