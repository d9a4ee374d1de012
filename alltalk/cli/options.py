"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        help="Folder of settings, voices and models. Default: $ALLTALK_HOME, else the checkout "
        "this runs from, else ~/.alltalk.",
        show_default=False,
    ),
]
EngineOption = Annotated[
    str | None,
    typer.Option("--engine", "-e", help="Engine to speak with.", show_default="as configured"),
]
