"""What ends up in a wheel and an sdist, and that a wheel works away from the checkout."""

from __future__ import annotations

import ast
import itertools
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SDIST = PYPROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"]
BASE: list[str] = PYPROJECT["project"]["dependencies"]
EXTRAS: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]
WEIGHTS = "engines/espeak/models/mine/model.pth"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of what packages are made from, with weights that a user put into it."""
    copy = tmp_path_factory.mktemp("checkout")
    for path in (ROOT / name for name in (*SDIST, "pyproject.toml", ".gitignore")):
        if path.is_dir():
            shutil.copytree(path, copy / path.name, ignore=_left_out)
        else:
            shutil.copy(path, copy)
    (copy / WEIGHTS).parent.mkdir(parents=True)
    (copy / WEIGHTS).write_bytes(b"weights")
    return copy


def _left_out(folder: str, names: list[str]) -> set[str]:
    """Caches, and the weights of engines."""
    weights = {"models"} if Path(folder).parent == ROOT / "engines" else set()
    return {"__pycache__", *weights} & set(names)


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory) -> Path:
    """The wheel, as pip builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"),
        *("--wheel-dir", folder, checkout),
    )
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The `bin` of an environment where the wheel is installed, beside this one's libraries."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin/python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", wheel)
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    # A path named in a .pth file is not searched for .pth files itself: the checkout that may be
    # installed here stays unseen.
    (Path(site) / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin"


def run(*command: object, cwd: Path | None = None) -> str:
    """What a command says; fails with what it complains about."""
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def sources(root: Path, *folders: str) -> set[str]:
    """Files below `folders` of a checkout, relative to it, without caches and weights."""
    paths = (path for folder in folders for path in (root / folder).rglob("*") if path.is_file())
    names = {path.relative_to(root).as_posix() for path in paths}
    return {name for name in names if not re.search("__pycache__|^engines/[^/]+/models/", name)}


def test_a_wheel_holds_the_package_and_the_engines_inside_it(checkout, wheel):
    packed = set(zipfile.ZipFile(wheel).namelist())
    expected = sources(checkout, "alltalk", "engines")
    expected = {re.sub("^engines/", "alltalk/engines/", name) for name in expected}
    assert {name for name in packed if ".dist-info/" not in name} == expected
    assert any(name.endswith("licenses/LICENSE") for name in packed)


def test_an_sdist_holds_what_a_packager_needs_and_no_weights(checkout, tmp_path):
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path, cwd=checkout)
    (path,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert sources(checkout, "alltalk", "engines", "tests", "docs") <= packed
    assert {"LICENSE", "README.md", "Makefile", "packages.txt", "constraints/dev.txt"} <= packed
    assert WEIGHTS not in packed


def test_an_installed_wheel_finds_its_engines_from_any_folder(installed, tmp_path):
    code = "import alltalk.engines.espeak as engine; print(engine.__file__)"
    found = Path(run(installed / "python", "-c", code, cwd=tmp_path).strip())
    assert found.is_relative_to(installed.parent)


def test_an_installed_wheel_has_the_command(installed, tmp_path):
    assert "serve" in run(installed / "alltalk", "--help", cwd=tmp_path)


def test_every_imported_library_is_declared():
    base = names_of(BASE)
    any_of_them = base.union(*(names_of(EXTRAS[extra]) for extra in EXTRAS if extra != "test"))
    projects = packages_distributions()
    undeclared = [
        f"{path.relative_to(ROOT)}: {library}"
        for path in sorted((ROOT / "alltalk").rglob("*.py"))
        for library, at_import in libraries(path)
        if canonicalize_name(projects.get(library, [library])[0])
        not in (base if at_import else any_of_them)
        and not path.relative_to(ROOT / "alltalk").as_posix().startswith(NEED_AN_EXTRA)
    ]
    assert undeclared == []


NEED_AN_EXTRA = ("torch_compat/", "ui/", "effects/rvc/")
"""Parts that are imported only where their extra is installed."""


def names_of(requirements: list[str]) -> set[str]:
    """Names of the projects required."""
    return {canonicalize_name(Requirement(requirement).name) for requirement in requirements}


def libraries(path: Path) -> list[tuple[str, bool]]:
    """The foreign packages that a module imports; True: as soon as it is imported itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = []
    for node in ast.walk(tree):
        named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            named = [node.module or ""]
        found += [(name.partition(".")[0], node in tree.body) for name in named]
    ours = (*sys.stdlib_module_names, "alltalk")
    return [(library, at_import) for library, at_import in found if library not in ours]


def test_the_lock_names_nothing_but_the_public_index():
    hosts = set(re.findall(r"[a-z]+://[^/\"]*", (ROOT / "uv.lock").read_text(encoding="utf-8")))
    assert hosts == {"https://pypi.org", "https://files.pythonhosted.org"}


def test_the_lock_is_of_these_requirements():
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    (ours,) = (package for package in lock["package"] if package["name"] == "alltalk")
    locked = {
        (each["name"], frozenset(filter(None, each.get("specifier", "").split(","))))
        for each in ours["metadata"]["requires-dist"]
    }
    requirements = [Requirement(each) for each in itertools.chain(BASE, *EXTRAS.values())]
    assert locked == {
        (canonicalize_name(each.name), frozenset(str(part) for part in each.specifier))
        for each in requirements
        if each.name != "alltalk"
    }, "run `uv lock`"


def test_no_weights_are_committed(needs):
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = run(needs("git"), "-C", ROOT, "ls-files", "-z")
    large = [
        name
        for name in listing.split("\0")
        if (ROOT / name).is_file() and (ROOT / name).stat().st_size > 2_000_000
    ]
    assert large == []
