"""The docs name every route, every setting, and every command with its options."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import typer.main
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel

from alltalk.app import create_app
from alltalk.cli import app as command_line
from alltalk.config import Config
from alltalk.home import Home

ROOT = Path(__file__).resolve().parent.parent

NOT_FOR_READERS = {"/docs/oauth2-redirect"}
"""Routes that come with FastAPI and that nobody asks for."""


@pytest.fixture(scope="module")
def pages() -> str:
    """All of docs/ as one text."""
    return "\n".join(
        path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").rglob("*.md"))
    )


def test_every_route_is_documented(pages, tmp_path):
    app = create_app(Home(tmp_path))
    routes = {*app.openapi()["paths"], *paths(app.routes)} - NOT_FOR_READERS
    assert len(routes) > 10
    assert missing(routes, pages) == []


def test_every_setting_is_documented(pages):
    assert missing((f"`{key}`" for key in settings(Config)), pages) == []


def test_every_command_and_option_is_documented(pages):
    commands = typer.main.get_command(command_line).commands
    assert missing((f"alltalk {name}" for name in commands), pages) == []
    options = {option for each in commands.values() for option in long_options(each)}
    assert missing(options - {"--help"}, pages) == []


def test_every_link_inside_the_docs_leads_somewhere():
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_a_longer_path_does_not_document_a_shorter_one():
    assert missing(["/api/tts"], "GET `/api/tts-streaming`, `/api/tts/{id}`") == ["/api/tts"]
    assert missing(["/api/tts"], "GET `/api/tts` speaks") == []


def test_a_route_outside_the_schema_is_seen():
    app, router = FastAPI(), APIRouter(prefix="/audio")
    router.add_api_route("/{name}", lambda name: name, include_in_schema=False)
    app.include_router(router)
    assert "/audio/{name}" in set(paths(app.routes))


def missing(names: Iterable[str], text: str) -> list[str]:
    """Those of `names` that do not stand in `text` as they are, sorted."""
    return sorted(
        name
        for name in set(names)
        if not re.search(rf"(?<![\w/-]){re.escape(name)}(?![\w/{{-])", text)
    )


def paths(routes: Iterable[object]) -> Iterator[str]:
    """The paths of `routes`, whether in the schema or not, those of included routers too."""
    for route in routes:
        if hasattr(route, "path"):
            yield re.sub(r":\w+}", "}", route.path).rstrip("/") or "/"
        if hasattr(route, "effective_route_contexts"):  # an included router, where FastAPI keeps it
            yield from paths(route.effective_route_contexts())


def settings(model: type[BaseModel]) -> Iterator[str]:
    """The keys of a settings model as they stand in the file, those of its sections included."""
    for name, field in model.model_fields.items():
        yield field.alias or name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings(field.annotation)


def long_options(command: object) -> Iterator[str]:
    """The `--options` of a command."""
    for parameter in command.params:
        yield from (name for name in parameter.opts if name.startswith("--"))
