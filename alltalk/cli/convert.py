"""`alltalk convert`: a recording in another voice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from alltalk.cli.options import HomeOption
from alltalk.clips import decode
from alltalk.config_store import ConfigStore
from alltalk.conversion import Conversions
from alltalk.draft import Draft
from alltalk.encode import packed
from alltalk.errors import NotFound
from alltalk.home import Home
from alltalk.plan import settled
from alltalk.speech import AudioFormat, Conversion

LONGEST_S = 4 * 3600.0
"""Seconds of a recording."""
EXAMPLES = """\
Examples:

alltalk convert me.wav her.mp3 --voice Ana/ana.pth

alltalk convert me.wav her.wav --voice Ana/ana.pth --pitch 12"""
"""Shown below the help; one paragraph a line."""


def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A recording, in any format.")],
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help="File to write; its ending chooses the format.")
    ],
    voice: Annotated[
        str, typer.Option("--voice", "-v", help="RVC voice: its .pth, as it lies in rvc_models/.")
    ],
    pitch: Annotated[float, typer.Option(min=-24, max=24, help="Semitones.")] = 0.0,
    home: HomeOption = None,
) -> None:
    """Convert the recording IN to an RVC voice, as the file OUT."""
    format = AudioFormat.named(target.suffix.lstrip(".") or "wav")
    try:
        with source.open("rb") as file:
            audio = decode(file, source.name, LONGEST_S)
    except OSError as error:
        raise NotFound(f"{source} cannot be read: {error.strerror or error}.") from error
    with Draft(target) as draft:  # a place that cannot be written is told before the work
        conversions, config = _conversions(Home.find(home))
        digest = conversions.digests([voice])[voice]
        wanted = settled(Conversion(voice, pitch), config.current, digest)
        draft.write(packed(conversions.convert_now(audio, wanted), format))
        draft.commit()


def _conversions(home: Home) -> tuple[Conversions, ConfigStore]:
    """As the settings have it, but switched on: who asks for a conversion wants one."""
    store = ConfigStore(home, os.environ)
    rvc = store.current.rvc_settings.model_copy(update={"rvc_enabled": True})
    config = store.current.model_copy(update={"rvc_settings": rvc})
    return Conversions(home, os.cpu_count() or 1, lambda: config), store
