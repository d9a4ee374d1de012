"""What a visitor of the pages does with their fields."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Page, expect


def choose(page: Page, label: str, option: str) -> None:
    """Choose `option` in the list called `label`."""
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()
    # It fades out, and the next list may have the same in it.
    expect(page.get_by_test_id("dropdown-option")).to_have_count(0)


def slide(page: Page, label: str, value: float) -> None:
    """Type `value` beside the slider called `label`."""
    page.get_by_label(f"number input for {label}").fill(str(value))
    page.get_by_label(f"number input for {label}").press("Tab")


def give(page: Page, field: str, *files: Path) -> None:
    """Choose `files` in `field` (CSS); return when the server has them and the page knows."""
    with page.expect_response("**/upload*"):
        page.locator(f"{field} input[type=file]").set_input_files(_paths(files))
    expect(page.locator(f"{field} .file-preview")).to_contain_text(files[-1].stem)


def _paths(files: Sequence[Path]) -> list[str | Path]:
    return [*files]
