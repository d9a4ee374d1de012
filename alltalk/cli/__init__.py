"""The `alltalk` command: one module per subcommand."""

from __future__ import annotations

import signal
import sys

import typer

from alltalk import __version__
from alltalk.cli import adopt, backends, bench, convert, doctor, keys, models, say, serve, voices
from alltalk.cores import wait_asleep
from alltalk.errors import AllTalkError, BadInput, NotFound

app = typer.Typer(
    name="alltalk",
    help="Text to speech on your own machine: a server, and a command line.",
    epilog="Begin with: alltalk serve, or: alltalk say Hello -o hello.wav",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve", epilog=serve.EXAMPLES)(serve.serve)
app.command("say", epilog=say.EXAMPLES)(say.say)
app.command("voices", epilog=voices.EXAMPLES)(voices.voices)
app.command("doctor")(doctor.doctor)
app.command("convert", epilog=convert.EXAMPLES)(convert.convert)
app.command("adopt")(adopt.adopt)
app.command("bench", epilog=bench.EXAMPLES)(bench.bench)
app.add_typer(models.app, name="models")
app.add_typer(backends.app, name="backends")
app.add_typer(keys.app, name="keys")

BAD_INPUT, FAILED = 2, 1
"""Exit codes: the command line or what it names is wrong; it was right and did not work."""


def main() -> None:
    """Run the command line. Exit code 0: done, 1: failed, 2: asked for what cannot be, 130: ^C."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # leaves as by ^C
    wait_asleep()
    try:
        app()
    except AllTalkError as error:
        print(f"alltalk: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT if isinstance(error, BadInput | NotFound) else FAILED)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Show the version and leave."),
) -> None:
    if version:
        print(f"alltalk {__version__}")
        raise typer.Exit
