"""The examples of docs/alltalk-api.md, run as they stand there."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from live import Live, live_server

PAGE = Path(__file__).resolve().parents[2] / "docs" / "alltalk-api.md"
EXAMPLE = re.compile(r"### (.+?)\n.*?```sh\n(.+?)\n```\n\n```\n(.+?)\n```", re.DOTALL)
EXAMPLES = {
    title: (command, printed)
    for title, command, printed in EXAMPLE.findall(PAGE.read_text("utf-8"))
}
"""Heading → command, and what it prints."""


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Generator[Live]:
    """A server for these examples alone, in the order of the page."""
    with live_server(tmp_path_factory.mktemp("documented")) as live:
        yield live


@pytest.mark.parametrize("title", EXAMPLES)
def test_the_example_prints_what_the_page_says(
    documented: Live, needs: Callable[[str], str], title: str
) -> None:
    needs("curl")
    command, printed = EXAMPLES[title]
    done = subprocess.run(
        ["sh", "-c", command.replace("http://127.0.0.1:7851", documented.url)],
        capture_output=True,
        text=True,
        check=True,
    )
    pattern = ".*".join(re.escape(part) for part in printed.split("…"))
    assert re.match(pattern, done.stdout.strip(), re.DOTALL), done.stdout


def test_every_heading_has_an_example() -> None:
    headings = re.findall(r"^### (.+)$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert headings == list(EXAMPLES)
