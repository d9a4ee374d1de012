"""`alltalk serve`: run the server."""

from __future__ import annotations

from typing import Annotated

import typer

from alltalk.cli.options import HomeOption

EXAMPLES = """\
Examples:

alltalk serve

alltalk serve --host 0.0.0.0 --port 8000"""
"""Shown below the help."""


def serve(
    home: HomeOption = None,
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to listen on; 0.0.0.0 lets other machines in.",
            show_default="127.0.0.1",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port; 0 takes a free one.", show_default="7851"),
    ] = None,
) -> None:
    """Serve speech over HTTP: AllTalk V2's API, and OpenAI's at /v1."""
    from alltalk.home import Home
    from alltalk.server import run

    run(Home.find(home), host=host, port=port)
