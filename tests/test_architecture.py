"""Who may import whom, read from the source of every module.

The tables below are the plan: a module imports from lower layers only, and from the few
neighbours that `NEIGHBOURS` names. A new module gets its place here before it gets its first line.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

LAYERS = (
    # What a sound, a failure and an installation are.
    ("errors", "audio", "figures", "home"),
    # The seam to engines, the nouns, text before anything is chosen, files written whole.
    (
        "engine",
        "setting_schema",
        "speech",
        "text",
        "narration",
        "espeak",
        "torch_compat",
        "draft",
        "claims",
        "scratch",
        "memory",
        "cores",
    ),
    # Each does one part of the work, and knows nothing of the others.
    (
        *("config_types", "config", "config_store", "engines", "loading", "manifest"),
        *("registry", "voices", "sentences", "language", "plan", "resample", "effects", "assemble"),
        *("subtitles", "models"),
        *("keys", "tokens", "logs", "presence"),
        *("encode", "cache", "flight", "documents", "outputs", "playback", "clips"),
    ),
    # Where engines run, and who speaks next.
    ("serving",),
    # The whole program, in order.
    (
        *("adopt", "service", "tail", "status", "hosting", "metrics", "backend_types", "answers"),
        *("upkeep", "bench", "control", "conversion", "autoplay", "studio", "tee"),
        *("reading", "wanted", "long_texts", "recent", "gpus"),
    ),
    # What connects everything but the doors.
    ("product",),
    # The doors.
    ("api", "ui", "cli"),
    # What opens the doors, and what runs it.
    ("app",),
    ("server", "deploy", "__main__"),
)
"""Parts of `alltalk`, from the ground up: a module or a whole package each."""

NEIGHBOURS: Mapping[str, tuple[str, ...]] = {
    "audio": ("errors",),
    "engine": ("setting_schema",),
    "claims": ("draft",),
    "scratch": ("claims", "draft"),
    "home": ("errors",),
    "speech": ("engine",),
    "loading": ("engines",),
    "registry": ("engines", "loading", "manifest"),
    "models": ("manifest", "registry"),
    "config_types": ("keys",),
    "config": ("config_types",),
    "config_store": ("config", "keys"),
    "tokens": ("keys",),
    "logs": ("config",),
    "presence": ("config",),
    "plan": ("config", "language", "sentences", "voices"),
    "encode": ("resample",),
    "clips": ("encode", "resample"),
    "documents": ("encode", "sentences", "subtitles"),
    "voices": ("clips",),
    "assemble": ("resample",),
    "effects": ("resample",),
    "service": ("backend_types", "conversion", "metrics", "status", "tail", "tee"),
    "control": ("backend_types", "status"),
    "metrics": ("recent",),
    "answers": ("metrics", "service"),
    "bench": ("service",),
    "reading": ("service", "wanted"),
    "long_texts": ("reading", "service"),
    "cli": ("server",),  # `alltalk serve` starts it
}
"""Imports inside a layer, or upwards."""

ENGINES_MAY_IMPORT = ("audio", "engine", "errors", "espeak", "figures", "torch_compat")

LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "fastapi": ("api", "app", "deploy", "ui"),
    "starlette": ("api", "app", "deploy", "ui"),
    "gradio": ("ui", "app"),
    "typer": ("cli",),
    "uvicorn": ("server",),
    "sentencex": ("sentences",),
    "markdown_it": ("documents",),
    "py3langid": ("language",),
    "soxr": ("resample",),
}
"""Libraries that only these parts may know."""

NO_ASYNC = ("effects", "engines")
"""Plain blocking code: the serving layer decides where it runs."""

WORKER_SAFE = (
    *(f"alltalk.{part}" for layer in LAYERS[:2] for part in layer),
    "alltalk.engines",
    "alltalk.loading",
    "alltalk.manifest",
    "alltalk.registry",
    *(
        f"alltalk.serving.{name}"
        for name in ("fair", "job", "desk", "guarded", "loop", "wire", "worker", "bootstrap")
    ),
)
"""Modules that run in an engine's own environment: the standard library and numpy suffice."""

MAY_PRINT = ("cli",)


def test_every_import_keeps_to_the_layers():
    assert list(forbidden_imports(ROOT)) == []


def test_worker_safe_modules_need_only_the_standard_library_and_numpy():
    known = modules(ROOT)
    names = [name for name in WORKER_SAFE if name in known]
    assert len(names) > 6
    child = subprocess.run(
        [sys.executable, "-c", IMPORT_WITH_OTHERS_BLOCKED, *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert child.returncode == 0, child.stderr


IMPORT_WITH_OTHERS_BLOCKED = """
import importlib, sys

class OnlyOurs:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in ("numpy", "alltalk"):
            raise ImportError(f"{name} is not there in an engine's own environment")

sys.meta_path.insert(0, OnlyOurs())
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def test_the_check_of_worker_safe_modules_sees_a_foreign_import():
    child = subprocess.run(
        [sys.executable, "-c", IMPORT_WITH_OTHERS_BLOCKED, "pydantic"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert "pydantic is not there" in child.stderr


def test_nothing_is_printed_rebound_or_left_unwritten():
    assert list(forbidden_statements(ROOT)) == []


@pytest.mark.parametrize(
    ("file", "line", "complaint"),
    [
        ("alltalk/audio.py", "import alltalk.engine", "alltalk.audio imports alltalk.engine"),
        ("alltalk/text.py", "from alltalk.speech import Plan", "alltalk.text imports"),
        ("alltalk/plan.py", "from alltalk.serving import loop", "imports alltalk.serving.loop"),
        ("alltalk/plan.py", "def f():\n    import alltalk.service", "imports alltalk.service"),
        ("alltalk/api/speak.py", "from alltalk.ui import app", "imports alltalk.ui"),
        ("alltalk/api/speak.py", "from ..cli import say", "imports alltalk.cli"),
        ("alltalk/service.py", "from alltalk import app", "imports alltalk.app"),
        ("alltalk/service.py", "import alltalk.engines.loud.engine", "an engine by name"),
        ("alltalk/service.py", "import fastapi", "imports fastapi"),
        ("alltalk/effects/echo.py", "import asyncio", "imports asyncio"),
        ("alltalk/novelty.py", "import os", "alltalk.novelty has no layer"),
        ("engines/quiet/engine.py", "from alltalk.config import Config", "imports alltalk.config"),
        ("engines/quiet/engine.py", "from alltalk.engines import loud", "an engine by name"),
        ("engines/quiet/engine.py", "import asyncio", "imports asyncio"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path, file, line, complaint):
    make_tree(tmp_path, {file: line})
    found = list(forbidden_imports(tmp_path))
    assert len(found) == 1, found
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("alltalk/plan.py", "from alltalk.speech import Plan"),
        ("alltalk/api/speak.py", "from alltalk import service"),
        ("alltalk/cli/serve.py", "from alltalk.server import run"),
        ("alltalk/serving/pool.py", "from .loop import EngineLoop"),
        ("alltalk/app.py", "from alltalk import __version__"),
        ("engines/quiet/engine.py", "from alltalk.engine import Chunk"),
        ("engines/quiet/engine.py", "from alltalk.engines.quiet import words"),
    ],
)
def test_an_import_from_below_is_allowed(tmp_path, file, line):
    make_tree(tmp_path, {file: line})
    assert list(forbidden_imports(tmp_path)) == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("alltalk/audio.py", "def f():\n    global x\n    x = 1"),
        ("alltalk/service.py", "print('here')"),
        ("engines/loud/engine.py", "def f():\n    raise NotImplementedError"),
    ],
)
def test_a_forbidden_statement_is_found(tmp_path, file, line):
    make_tree(tmp_path, {file: line})
    assert len(list(forbidden_statements(tmp_path))) == 1


def make_tree(root: Path, sources: Mapping[str, str]) -> None:
    """A checkout in `root` of empty modules, but for `sources`."""
    names = [f"{part}.py" for layer in LAYERS for part in layer if part not in PACKAGES]
    names += ["__init__.py", *(f"{part}/__init__.py" for part in PACKAGES), "serving/loop.py"]
    engines = [f"engines/{name}/{file}" for name in ("loud", "quiet") for file in ENGINE_FILES]
    for name in [*(f"alltalk/{name}" for name in names), *engines, *sources]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(sources.get(name, ""))


PACKAGES = ("effects", "engines", "serving", "api", "ui", "cli", "deploy")
ENGINE_FILES = ("__init__.py", "engine.py", "words.py")


def forbidden_imports(root: Path) -> Iterator[str]:
    """One sentence for each import in the checkout at `root` that the tables do not allow."""
    known = modules(root)
    for name, path in known.items():
        if part(name) not in ("", *sum(LAYERS, ())):
            yield f"{name} has no layer: give it one in {Path(__file__).name}"
            continue
        for target in sorted(imports(name, path, known)):
            if complaint := judge(name, target):
                yield complaint


def judge(name: str, target: str) -> str | None:
    """What is wrong with module `name` importing module `target`; None: nothing."""
    here, there = part(name), part(target)
    if target.partition(".")[0] != "alltalk":
        library = target.partition(".")[0]
        if here not in LIBRARIES.get(library, (here,)):
            return f"{name} imports {library}"
        return f"{name} imports asyncio" if library == "asyncio" and here in NO_ASYNC else None
    if there == "" or (engine(name) == engine(target) and here == there):
        return None
    if engine(target):
        return f"{name} imports an engine by name: {target}"
    if engine(name):
        return None if there in ENGINES_MAY_IMPORT else f"{name} imports {target}"
    if layer(there) < layer(here) or there in NEIGHBOURS.get(here, ()):
        return None
    return f"{name} imports {target}"


def forbidden_statements(root: Path) -> Iterator[str]:
    """One sentence for each `global`, print and NotImplementedError in the checkout at `root`."""
    for name, path in modules(root).items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Global():
                    yield f"{name}:{node.lineno} rebinds a global"
                case ast.Name(id="NotImplementedError"):
                    yield f"{name}:{node.lineno} is not written yet"
                case ast.Call(func=ast.Name(id="print")) if part(name) not in MAY_PRINT:
                    yield f"{name}:{node.lineno} prints"


def modules(root: Path) -> dict[str, Path]:
    """Import name → file, of every module in alltalk/ and engines/ under `root`."""
    found = {}
    for folder, prefix in (("alltalk", ""), ("engines", "alltalk.")):
        for path in sorted((root / folder).rglob("*.py")):
            if "models" in path.relative_to(root).parts:
                continue  # weights may come with code of their own
            name = prefix + ".".join(path.relative_to(root).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def imports(name: str, path: Path, known: Mapping[str, Path]) -> set[str]:
    """Modules that the module `name` imports, anywhere in its source."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node, name, is_package=path.stem == "__init__")
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.add(inner if inner in known else base)
    return found


def absolute(node: ast.ImportFrom, name: str, *, is_package: bool) -> str:
    """The module that `node` in the module `name` imports from, without dots in front."""
    if not node.level:
        return node.module or ""
    steps = node.level - is_package
    parents = name.split(".")[: -steps or None]
    return ".".join([*parents, *([node.module] if node.module else [])])


def part(name: str) -> str:
    """The part of `alltalk` that a module belongs to: `serving` of `alltalk.serving.loop`."""
    return [*name.split("."), ""][1]


def engine(name: str) -> str:
    """The engine that a module belongs to; empty: none."""
    words = name.split(".")
    return words[2] if words[:2] == ["alltalk", "engines"] and len(words) > 2 else ""


def layer(part: str) -> int:
    """The layer of a part, 0 the lowest."""
    return next((number for number, parts in enumerate(LAYERS) if part in parts), len(LAYERS))
