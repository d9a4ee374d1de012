"""The models that can be installed, and where their files come from.

Beside an engine's code lies `available_models.json`, and the user's own may lie in the home:

    {"base_url": "https://huggingface.co/someone/",
     "models": [{"name": "small-v1", "description": "…", "languages": ["en"],
                 "licence": "MIT", "licence_url": "https://…", "terms": "", "recommended": true,
                 "folder": "small-v1",
                 "files": [{"path": "model.onnx", "url": "small-v1/resolve/main/model.onnx",
                            "size": 63201294, "sha256": "…", "md5": "…", "unpack": false}]}]}

Only `name` and `files` with `path` and `url` are required. `folder` is `name` unless given; empty,
the files lie among those of other models, and the last of them is the one that makes the model.
`unpack` marks a zip archive that is replaced by its content. What is no engine's, such as the base
files of voice conversion, is a group like any other, with its own folder.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from alltalk.errors import ConfigError, NotFound, UnsafeName
from alltalk.home import safe_name
from alltalk.manifest import read_sections
from alltalk.registry import Registry

FILE_NAME = "available_models.json"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model, as published."""

    path: str
    """Where it goes, below the model's folder; `/` between parts."""
    url: str
    size: int | None = None
    """Bytes; None: not published."""
    sha256: str = ""
    """Of the file, lower-case hex; empty: not published."""
    md5: str = ""
    """As `sha256`: finds accidents, not attacks."""
    unpack: bool = False
    """A zip archive whose content goes there instead of it."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model that can be installed."""

    name: str
    """Unique in its group."""
    group: str
    """The engine it is for, or what else needs it."""
    into: Path
    """The folder of the group's models, below the home."""
    folder: str
    """Below `into`; empty: among the files of other models."""
    files: tuple[ModelFile, ...]
    description: str = ""
    languages: tuple[str, ...] = ()
    licence: str = ""
    licence_url: str = ""
    terms: str = ""
    """What must be agreed to before it is fetched; empty: nothing."""
    recommended: bool = False
    """What the group's name alone stands for."""

    @property
    def key(self) -> str:
        """Unique in the catalogue: `piper/en_US-lessac-medium`."""
        return f"{self.group}/{self.name}"

    @property
    def size(self) -> int | None:
        """Bytes to fetch; None when one of them is not known."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size or 0 for size in sizes)

    def speaks(self, language: str) -> bool:
        """Whether it speaks `language` or a kind of it: `en` is also `en-us`. Empty: any."""
        wanted = language.lower().replace("_", "-")
        return not wanted or any(f"{tag}-".startswith(f"{wanted}-") for tag in self.languages)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All entries, group by group."""

    entries: tuple[ModelEntry, ...]
    problems: Mapping[str, str]
    """File that cannot be read, as seen from the home → why, in a sentence."""

    def find(self, asked: str) -> ModelEntry:
        """The entry called `name` or `group/name`; `group` alone is its recommended one.

        Raises NotFound, which names the nearest.
        """
        wanted = asked.strip().casefold()
        named = [e for e in self.entries if wanted in (e.key.casefold(), e.name.casefold())]
        group = [e for e in self.entries if e.group.casefold() == wanted]
        found = named or sorted(group, key=lambda entry: not entry.recommended)[:1]
        if len(found) == 1:
            return found[0]
        if found:
            raise NotFound(f"{asked!r} could be {_listed([e.key for e in found])}. Name one.")
        names = {e.name.casefold(): e.name for e in self.entries}
        near = [names[each] for each in difflib.get_close_matches(wanted, names, 3, 0.5)]
        hint = f" Did you mean {_listed(near)}?" if near else ""
        raise NotFound(f"There is no model {asked[:80]!r} in the catalogue.{hint}")


RVC = "rvc"
"""The group of what voice conversion needs."""
_RVC_BASE = Path(__file__).with_name("rvc_base.json")
"""Voice conversion is no engine, and brings its own list."""


def catalogue_of(registry: Registry) -> Catalogue:
    """What is offered for the engines of `registry`; entries in the home replace others by name."""
    entries: dict[str, ModelEntry] = {}
    problems: dict[str, str] = {}
    base = Path("rvc_models", ".base")
    entries |= {each.key: each for each in read_catalogue(_RVC_BASE, RVC, base)}
    for name in registry.names(hidden=True):
        into = Path("engines", name, registry.manifest(name).models.folder)
        for folder in dict.fromkeys((registry.code_folder(name), registry.folder(name))):
            file = folder / FILE_NAME
            try:
                if file.is_file():
                    entries |= {each.key: each for each in read_catalogue(file, name, into)}
            except ConfigError as error:
                called = _called(file, registry.folder(name))
                problems[called] = str(error).replace(str(file), called)
    return Catalogue(tuple(entries.values()), problems)


def _called(file: Path, folder: Path) -> str:
    """`file` for readers who need not know where the home lies; `folder`: the engine's there."""
    if file.parent == folder:
        return f"engines/{folder.name}/{file.name}"
    return f"{folder.name}'s own {file.name}"


def read_catalogue(file: Path, group: str, into: Path) -> tuple[ModelEntry, ...]:
    """The entries in `file`. Raises ConfigError, which names the file and what is wrong in it."""
    sections = read_sections(file)
    try:
        base = _text(sections, "base_url")
        entries = tuple(_entry(each, base, group, into) for each in _objects(sections, "models"))
    except (ConfigError, UnsafeName) as error:
        raise ConfigError(f"{file}: {error}") from error
    names = [entry.name.casefold() for entry in entries]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"{file}: {', '.join(sorted(repeated))} is there twice.")
    return entries


_HEX = {"sha256": re.compile(r"[0-9a-f]{64}"), "md5": re.compile(r"[0-9a-f]{32}")}
_ENTRY_KEYS = frozenset(
    (
        *("name", "description", "languages", "licence", "licence_url", "terms", "recommended"),
        *("folder", "files"),
    )
)
_FILE_KEYS = frozenset(["path", "url", "size", "sha256", "md5", "unpack"])


def _entry(section: Mapping[str, Any], base: str, group: str, into: Path) -> ModelEntry:
    _refuse_unknown(section, _ENTRY_KEYS)
    name = safe_name(_text(section, "name"))
    folder = _text(section, "folder", name)
    files = tuple(_file(each, base) for each in _objects(section, "files"))
    if not files:
        raise ConfigError(f"{name} has no files.")
    languages = section.get("languages", [])
    if not isinstance(languages, list) or not all(isinstance(each, str) for each in languages):
        raise ConfigError(f"languages of {name} is not a list of texts.")
    return ModelEntry(
        name=name,
        group=group,
        into=into,
        folder=folder and _safe_path(folder),
        files=files,
        languages=tuple(languages),
        description=_text(section, "description"),
        licence=_text(section, "licence"),
        licence_url=_text(section, "licence_url"),
        terms=_text(section, "terms"),
        recommended=section.get("recommended") is True,
    )


def _file(section: Mapping[str, Any], base: str) -> ModelFile:
    _refuse_unknown(section, _FILE_KEYS)
    path, url = _safe_path(_text(section, "path")), urljoin(base, _text(section, "url"))
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ConfigError(f"{url!r} is not the address of a file, https://….")
    size = section.get("size")
    if size is not None and (type(size) is not int or size < 0):
        raise ConfigError(f"size of {path} is not a number of bytes.")
    digests = {kind: _text(section, kind).lower() for kind in _HEX}
    for kind, digest in digests.items():
        if digest and not _HEX[kind].fullmatch(digest):
            raise ConfigError(f"{kind} of {path} is not one.")
    return ModelFile(path, url, size, **digests, unpack=section.get("unpack") is True)


def _safe_path(path: str) -> str:
    """`path` if it stays below its folder on every system. Raises UnsafeName."""
    for part in path.split("/"):
        safe_name(part)
    if path.startswith("."):
        raise UnsafeName(path, "names that begin with a dot are AllTalk's own")
    return path


def _refuse_unknown(section: Mapping[str, Any], known: frozenset[str]) -> None:
    if unknown := section.keys() - known:
        raise ConfigError(f"unknown key {', '.join(sorted(unknown))}.")


def _text(section: Mapping[str, Any], key: str, default: str = "") -> str:
    value = section.get(key, default)
    if not isinstance(value, str):
        raise ConfigError(f"{key}: {value!r} is not a text.")
    return value


def _objects(section: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    values = section.get(key)
    if not isinstance(values, list) or not all(isinstance(each, dict) for each in values):
        raise ConfigError(f"{key} is not a list of objects.")
    yield from values


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " or " + names[-1] if len(names) > 1 else "".join(names)
