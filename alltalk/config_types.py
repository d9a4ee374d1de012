"""What a single setting may be: a port, a ratio, a file format, a filter, …

Each type accepts what V2's pages wrote (text for claims, `7 Days`) and refuses the rest with a
sentence that follows the key's name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from alltalk.errors import UnsafeName
from alltalk.home import safe_name
from alltalk.keys import ApiKey, duplicates
from alltalk.speech import FORMATS, Outside

_LANGUAGE = re.compile(r"auto|[a-z]{2,3}(-[a-z0-9]{2,8})*")
_DAYS = re.compile(r"(\d+(?:\.\d+)?)(?![\w.]).*", re.DOTALL)
_SINGLE_CHARACTERS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_REPEATED_GROUP = re.compile(r"\)[*+{]")
_FILTER_LENGTH = 2000


@dataclass(frozen=True, slots=True)
class Unused:
    """Marks a key of V2 that is accepted and kept, and does nothing here."""

    why: str


def retention_days(text: str) -> float | None:
    """Days that `text` begins with (`7 Days` → 7); None for `Disabled` or nothing.

    Raises ValueError.
    """
    if text.strip().lower() in ("", "disabled"):
        return None
    found = _DAYS.fullmatch(text.strip())
    if not found or not 0 < float(found[1]) <= 36500:
        raise ValueError('must be Disabled or a number of days, such as "7 Days"')
    return float(found[1])


def _lower(value: Any) -> Any:
    """V2 stores some claims as text: `True`, `"false"` and `"False"` are one and the same."""
    return str(value).strip().lower() if isinstance(value, str | bool) else value


def _filled(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value


def _language(value: str) -> str:
    tag = value.strip().lower().replace("_", "-")
    if not _LANGUAGE.fullmatch(tag):
        raise ValueError("must be auto or a language code such as en or zh-cn")
    return tag


def _file_name(value: str) -> str:
    try:
        return safe_name(value)
    except UnsafeName as error:
        raise ValueError(f"cannot be used: {error}") from None


def _retention(value: str) -> str:
    retention_days(value)
    return value


def _file_format(value: str) -> str:
    """Bare samples (pcm) are no format for a file: it would not say its own sample rate."""
    name = value.strip().lower()
    if name in ("", "disabled"):
        return "Disabled"
    known = [*(each for each in FORMATS if each != "pcm"), "vorbis"]
    if name not in known:
        raise ValueError(f"must be Disabled or one of {', '.join(known)}")
    return name


def _stream_format(value: str) -> str:
    name = value.strip().lower()
    if name not in FORMATS:
        raise ValueError(f"must be one of {', '.join(FORMATS)}")
    return name


def _filter(value: str) -> str:
    """A repeated group can take exponential time over a caller's text, so none is allowed."""
    if len(value) > _FILTER_LENGTH:
        raise ValueError(f"must have at most {_FILTER_LENGTH} characters")
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"must be a regular expression: {error}") from None
    if _REPEATED_GROUP.search(_SINGLE_CHARACTERS.sub("x", value)):
        raise ValueError("must not repeat a group, as in (…)+: some texts would take for ever")
    return value


def _listed(value: Any) -> Any:
    """Text is a list with commas between, as variables have it."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _keys(value: tuple[ApiKey, ...]) -> tuple[ApiKey, ...]:
    if shared := duplicates(value):
        raise ValueError(f"must have a name for each key; {', '.join(shared)} is there twice")
    return value


Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(ge=0, le=3600)]
Ratio = Annotated[float, Field(ge=0, le=1)]
Semitones = Annotated[float, Field(ge=-24, le=24)]
Filled = Annotated[str, AfterValidator(_filled)]
FileName = Annotated[str, AfterValidator(_file_name)]
Language = Annotated[str, AfterValidator(_language)]
Retention = Annotated[str, AfterValidator(_retention)]
FileFormat = Annotated[str, AfterValidator(_file_format)]
StreamFormat = Annotated[str, AfterValidator(_stream_format)]
CharacterFilter = Annotated[str, AfterValidator(_filter)]
NarratorChoice = Annotated[Literal["true", "false", "silent"], BeforeValidator(_lower)]
OutsideChoice = Annotated[Outside, BeforeValidator(_lower)]
F0Method = Literal[
    "autocorrelation",
    "crepe",
    "crepe-tiny",
    "dio",
    "fcpe",
    "harvest",
    "hybrid[rmvpe+fcpe]",
    "pm",
    "rmvpe",
]
Texts = Annotated[tuple[str, ...], BeforeValidator(_listed)]
ApiKeys = Annotated[tuple[ApiKey, ...], AfterValidator(_keys)]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)]
