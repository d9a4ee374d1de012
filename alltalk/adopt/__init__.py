"""Moving in: takes over what an AllTalk V2 folder holds, and says of each thing what became of it.

Nothing is written into the V2 folder. A run can be interrupted at any point and started again: each
file appears whole or not at all, and what is here already is not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from alltalk.adopt.files import files, place
from alltalk.adopt.folder import V2Folder, read_object
from alltalk.adopt.item import Adopted, Outcome, Part
from alltalk.adopt.settings import Memory, adopt_config, adopt_engine_settings
from alltalk.config import settings
from alltalk.config_store import ConfigStore, Key
from alltalk.draft import storage_error
from alltalk.errors import BadValue, ConfigError
from alltalk.home import Home
from alltalk.registry import Registry

__all__ = ["Adopted", "Outcome", "Part", "V2Folder", "adopt"]


def adopt(v2: V2Folder, home: Home, *, link: bool, host: str | None = None) -> Iterator[Adopted]:
    """Bring voices, models and settings of `v2` into `home`; each as it is done.

    `link`: large model files are linked where the disk can do it; voices are always copied. `host`:
    the address to listen on from now on; None leaves it as it is here. Raises BadValue when one
    folder lies in the other, ConfigError when the home's own settings do not hold, StorageError
    when the home cannot be written.
    """
    _refuse_nested(v2.root, home.root)
    _create(home)
    registry, store, memory = Registry(home), ConfigStore(home), Memory(home)
    yield from _voices(v2, home)
    yield from _rvc(v2, home, link)
    for engine in v2.engines():
        yield from _engine(v2, engine, registry, memory, link)
    yield from _config(v2, host, registry, store, memory)
    yield from _unwanted(v2)


def _refuse_nested(theirs: Path, ours: Path) -> None:
    if theirs == ours or theirs in ours.parents or ours in theirs.parents:
        raise BadValue(
            "FOLDER",
            f"{theirs} and the home {ours} must not lie in one another; choose another --home.",
        )


def _create(home: Home) -> None:
    try:
        home.create()
    except OSError as error:
        raise storage_error("make", home.root, error) from error


def _voices(v2: V2Folder, home: Home) -> Iterator[Adopted]:
    """Clips, their transcripts, voice sets and latents."""
    source = v2.root / "voices"

    def why(file: Path) -> str:
        is_voice = file.suffix in (".wav", ".json") or file.name.endswith(".reference.txt")
        return "" if is_voice else "V2 speaks with .wav files only"

    return _tree(v2, "voices", source, home.voices, link=False, why_not=why)


def _rvc(v2: V2Folder, home: Home, link: bool) -> Iterator[Adopted]:
    """Voices to convert to, and the models that conversion itself needs."""
    voices, base = v2.models / "rvc_voices", v2.models / "rvc_base"
    yield from _tree(v2, "rvc", voices, home.rvc_models, link)
    yield from _tree(v2, "rvc", base, home.rvc_models / ".base", link)


def _engine(
    v2: V2Folder, engine: str, registry: Registry, memory: Memory, link: bool
) -> Iterator[Adopted]:
    """Models and settings of one engine, if we have it."""
    if engine not in registry.manifests:
        why = registry.problems.get(engine, f"there is no engine {engine} here")
        yield Adopted("models", engine, "left", f"{why}; its models and settings stay")
        return
    target = registry.folder(engine) / registry.manifest(engine).models.folder
    yield from _tree(v2, "models", v2.models / engine, target, link)
    file = v2.engine_settings(engine)
    try:
        sections = read_object(file)
    except ConfigError as error:
        yield Adopted("settings", v2.named(file), "left", str(error))
        return
    yield from adopt_engine_settings(engine, sections, registry, memory)


def _tree(
    v2: V2Folder,
    part: Part,
    source: Path,
    target: Path,
    link: bool,
    why_not: Callable[[Path], str] = lambda file: "",
) -> Iterator[Adopted]:
    """Each file below `source`, placed below `target`; `why_not` names those that are left."""
    for file in files(source):
        name = v2.named(file)
        if why := why_not(file):
            yield Adopted(part, name, "left", why)
            continue
        here = target / file.relative_to(source)
        try:
            done = place(file, here, link=link)
        except OSError as error:
            yield Adopted(part, name, "left", f"it cannot be read: {error.strerror or error}")
            continue
        if done == "differs":
            yield Adopted(part, name, "kept", f"{here} is another file and stays")
        else:
            yield Adopted(part, name, "same" if done == "same" else "taken", done)


def _config(
    v2: V2Folder, host: str | None, registry: Registry, store: ConfigStore, memory: Memory
) -> Iterator[Adopted]:
    """The settings, with the engine and model that V2 started with."""
    values: dict[str, Any] = {}
    try:
        values = read_object(v2.config_file)
    except ConfigError as error:
        yield Adopted("settings", v2.named(v2.config_file), "left", str(error))
    speech: dict[str, Any] = {}
    for found in _first_engine(v2, registry):
        if isinstance(found, Adopted):
            yield found
        else:
            speech |= dict([found])
    before = store.current.server.host
    chosen: dict[Key, Any] = {} if host is None else {("server", "host"): host}
    for ours in {key[0] for key, _ in settings() if len(key) > 1} - _SECTIONS:
        values.pop(ours, None)  # no V2 wrote that; in no case may it open the server unasked
    yield from adopt_config({**values, "speech": speech}, chosen, store, memory)
    if host is not None:
        yield Adopted("settings", "server.host", "same" if host == before else "taken", host)


_SECTIONS = {
    *("theme", "rvc_settings", "tgwui", "api_def", "debugging", "gradio_pages", "proxy_settings")
}
"""Those of V2's settings."""


def _first_engine(v2: V2Folder, registry: Registry) -> Iterator[Adopted | tuple[str, str]]:
    """`engine` and `model` as settings where they can speak here, else why not."""
    name = v2.named(v2.engine_list)
    try:
        wanted = read_object(v2.engine_list)
    except ConfigError as error:
        yield Adopted("settings", name, "left", str(error))
        return
    engine, model = (str(wanted.get(key) or "") for key in ("engine_loaded", "selected_model"))
    if not engine:
        return
    if why := _cannot_speak(engine, registry):
        yield Adopted("settings", f"{name}: engine_loaded", "left", why)
        return
    yield "engine", engine
    if model in registry.models(engine):
        yield "model", model
    elif model:
        why = f"{engine} has no complete model {model!r} here; it chooses one itself"
        yield Adopted("settings", f"{name}: selected_model", "left", why)


def _cannot_speak(engine: str, registry: Registry) -> str:
    """Why the engine cannot be the first one here; empty: it can."""
    if engine not in registry.manifests:
        return registry.problems.get(engine, f"there is no engine {engine} here")
    if missing := registry.missing(engine):
        extra = registry.manifest(engine).extra
        mend = f'pip install "alltalk[{extra}]"' if extra else f"install {', '.join(missing)}"
        return f"{engine} needs {', '.join(missing)}: {mend}, then adopt again"
    return "" if registry.models(engine) else f"{engine} has no complete model here"


_UNWANTED = {
    "outputs": "finished files stay where they are; nobody asks for them again",
    "finetune": "finetuning is not part of this server; a finetuned model in models/xtts is taken",
    "models/whisper": "there is no transcription here",
    "system/proxy_module/certificates": "put a reverse proxy such as Caddy or nginx in front",
    "system/word_addin": "there is no Word add-in here",
    "mem_config.json": "several engines at once are backends of one server here",
    "docker_confignew.json": "set environment variables for the container (docs/configuration.md)",
}
"""What a V2 folder may hold that has no place here, and why."""


def _unwanted(v2: V2Folder) -> Iterator[Adopted]:
    for name, why in _UNWANTED.items():
        if (v2.root / name).exists():
            yield Adopted("other", name, "left", why)
