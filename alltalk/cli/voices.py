"""`alltalk voices`: list what can be spoken with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from alltalk.cli.options import EngineOption, HomeOption
from alltalk.cli.session import session
from alltalk.engine import Voice
from alltalk.errors import UnknownLanguage

EXAMPLES = """\
Examples:

alltalk voices --language de

alltalk voices | grep Britain"""
"""Shown below the help."""


def voices(
    engine: EngineOption = None,
    language: Annotated[
        str | None,
        typer.Option(
            "--language", "-l", help="Only voices of this language, e.g. `en` or `en-gb`."
        ),
    ] = None,
    home: HomeOption = None,
) -> None:
    """List the voices, a line each: name, tab, language."""
    found = asyncio.run(_voices(home, engine))
    if language is not None:
        tags = dict.fromkeys(voice.language for voice in found if voice.language)
        found = [voice for voice in found if _speaks(voice, language.lower())]
        if not found:
            raise UnknownLanguage(language, engine or "The engine", list(tags))
    for voice in found:
        print(f"{voice.name}\t{voice.language}".rstrip())


async def _voices(home: Path | None, engine: str | None) -> Sequence[Voice]:
    async with session(home, engine) as service:
        return service.voices()


def _speaks(voice: Voice, language: str) -> bool:
    """Whether a voice of any country speaks `en`, a British one `en-gb`; a cloned one, all."""
    return not voice.language or f"{voice.language.lower()}-".startswith(f"{language}-")
