"""`alltalk say`: speak a text to a file, a pipe or the speaker."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from alltalk.cli.options import EngineOption, HomeOption
from alltalk.cli.session import session
from alltalk.draft import Draft
from alltalk.encode import wav_header
from alltalk.engine import Sampling
from alltalk.errors import BadValue, NotFound
from alltalk.playback import find_player, play
from alltalk.service import SpeechService
from alltalk.serving.requests import new_id
from alltalk.speech import (
    FORMATS,
    AudioFormat,
    Narrator,
    Outside,
    SpeechRequest,
    TextFilterName,
    Ticket,
)

LONG_TEXT = 400
"""Characters from which a progress bar is worth its line."""
HELD_CHARS = 200_000
"""Longest text whose compressed sound is held in memory, 0.2 GB of it, to tell its length in its
header: some four hours."""
EXAMPLES = """\
Examples:

alltalk say "Hello there."

alltalk say - -o book.mp3 < book.txt

alltalk say '*She nods.* "Yes."' --narrator male_01.wav -o scene.wav

alltalk say "Bonjour." -l fr -o - | ffplay -"""
"""Shown below the help; one paragraph a line."""


def say(
    text: Annotated[
        str,
        typer.Argument(metavar="TEXT", help="What to say; `-` reads it from standard input."),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write, its ending choosing the format: .wav .mp3 .opus .flac .aac .m4a "
            ".ogg .pcm; `-` writes to a pipe. Without it the sound is played.",
        ),
    ] = None,
    format: Annotated[
        str | None, typer.Option("--format", "-f", help="Format, where the ending does not say.")
    ] = None,
    voice: Annotated[
        str,
        typer.Option(
            "--voice", "-v", help="As `alltalk voices` lists it.", show_default="the engine's own"
        ),
    ] = "",
    engine: EngineOption = None,
    language: Annotated[
        str,
        typer.Option(
            "--language",
            "-l",
            help="Language code, e.g. `de`, or `auto`.",
            show_default="the voice's own",
        ),
    ] = "",
    speed: Annotated[float, typer.Option(help="0.25 to 4; 1 is natural.")] = 1.0,
    pitch: Annotated[float, typer.Option(help="Semitones, -24 to 24.")] = 0.0,
    narrator: Annotated[
        str | None, typer.Option(help="Voice for *text between asterisks*; `silent` skips it.")
    ] = None,
    outside: Annotated[
        Outside,
        typer.Option(help='With --narrator: who says what is neither *so* nor "so" marked.'),
    ] = "character",
    text_filter: Annotated[
        TextFilterName, typer.Option("--filter", help="How the text is cleaned before.")
    ] = "standard",
    seed: Annotated[
        int | None, typer.Option(help="For engines that draw: the same seed, the same sound.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Speak TEXT into a file, into a pipe, or aloud."""
    _check_output(output)
    request = SpeechRequest(
        text=_standard_input() if text == "-" else text,
        voice=voice,
        narrator=_narrator(narrator, outside),
        text_filter=text_filter,
        language=language,
        speed=speed,
        pitch=pitch,
        sampling=Sampling(seed=seed),
        format=_format(output, format),
    )
    asyncio.run(_say(request, output, engine, home))


async def _say(
    request: SpeechRequest, output: str | None, engine: str | None, home: Path | None
) -> None:
    async with session(home, engine) as service:
        if output == "-":
            await _pipe(service, request)
            return
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "alltalk.wav") if output is None else Path(output)
            async with _progress(service, len(request.text)):
                await _write(service, request, file)
            if output is None:
                play(file)


async def _pipe(service: SpeechService, request: SpeechRequest) -> None:
    """Sound to standard output as it is spoken, for players that read while it grows."""
    async with aclosing(service.encoded(request, _ticket())) as sound:
        async for piece in sound:
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()


async def _write(service: SpeechService, request: SpeechRequest, file: Path) -> None:
    """The sound as `file`, whole or not at all. A place that cannot be written is told at once."""
    with Draft(file) as draft:
        if request.format.uncompressed or len(request.text) > HELD_CHARS:
            await _write_pieces(service, request, draft)
        else:
            draft.write(await service.whole(request, _ticket()))
        draft.commit()


async def _write_pieces(service: SpeechService, request: SpeechRequest, draft: Draft) -> None:
    """As it is spoken, so that hours of sound need not fit into memory."""
    header, written = b"", 0
    async with aclosing(service.encoded(request, _ticket())) as sound:
        async for piece in sound:
            header = header or piece[:44]
            draft.write(piece)
            written += len(piece)
    if request.format.name == "wav":  # only now is its length known
        sample_rate = int.from_bytes(header[24:28], "little")
        draft.overwrite(0, wav_header(sample_rate, (written - len(header)) // 2))


@asynccontextmanager
async def _progress(service: SpeechService, characters: int) -> AsyncGenerator[None]:
    """A bar on standard error while a long text is spoken, when that is a terminal."""
    if characters < LONG_TEXT or not sys.stderr.isatty():
        yield
        return
    drawing = asyncio.create_task(_draw(service))
    try:
        yield
    finally:
        drawing.cancel()
        with suppress(asyncio.CancelledError):
            await drawing


async def _draw(service: SpeechService) -> None:
    columns = (TextColumn("Speaking"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("speak", total=1.0)
        while True:
            for live in service.requests:
                progress.update(bar, completed=live.progress)
            await asyncio.sleep(0.1)


def _check_output(output: str | None) -> None:
    """Raise NotFound, BadValue for what no sound could go to, before any is made."""
    if output is None and find_player() is None:
        raise NotFound("This machine has no player; name a file to write, such as -o hello.wav.")
    if output == "-" and sys.stdout.isatty():
        raise BadValue("-o", "`-` is for a pipe, and this is a terminal; name a file instead.")
    if output and Path(output).is_dir():
        raise BadValue("-o", f"{output} is a folder; name a file in it.")


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadValue("TEXT", f"standard input is not UTF-8 text: {error}.") from error


def _narrator(voice: str | None, outside: Outside) -> Narrator | None:
    if voice is None:
        return None
    silent = voice == "silent"
    return Narrator(voice="" if silent else voice, silent=silent, outside=outside)


def _format(output: str | None, named: str | None) -> AudioFormat:
    """The one asked for, else the one that the file's ending names, else wav."""
    if output is None:
        if named is not None:
            raise BadValue("--format", "is for a file or a pipe; say which with -o.")
        return FORMATS["wav"]
    return AudioFormat.named(named or Path(output).suffix.lstrip(".") or "wav")


def _ticket() -> Ticket:
    return Ticket(id=new_id(), door="cli")
