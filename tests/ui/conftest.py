"""A browser without a window, and a live server with the tone engine to look at."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from live import Live, live_server
from playwright.sync_api import Browser, Page, expect, sync_playwright

from alltalk.home import Home
from alltalk.product import Product, build, running

PATIENCE_MS = 120_000
MOST_S = 900
"""A page does much for one click, and with other programs on its cores it takes its time."""
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--mute-audio")
STILL = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
HEARING = (
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(MOST_S))


@pytest.fixture(scope="module")
def browser(needs: Callable[[str], str]) -> Iterator[Browser]:
    """Chromium, which may play sound unasked and has a microphone that beeps."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=needs("chromium"),
            args=[*QUIET, *STILL, *HEARING],
            timeout=PATIENCE_MS,
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an engine that takes its time, so that there is a middle to stop in."""
    home = tmp_path_factory.mktemp("home")
    folder = home / "engines" / "tone"
    folder.mkdir(parents=True)
    settings = {"settings": {"step_s": 0.03, "def_character_voice": "tone-300"}}
    (folder / "model_settings.json").write_text(json.dumps(settings))
    return home


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Live]:
    with live_server(home) as live:
        yield live


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Product]:
    """What the pages talk to, ready, without a server and a browser."""
    product = build(Home(tmp_path), engine="tone", environ={})
    async with running(product, tended=False):
        await product.pool.ready()
        yield product


@pytest.fixture
def page(browser: Browser, server: Live) -> Iterator[Page]:
    """The pages, open in a browser of a visitor of its own."""
    visitor = browser.new_context(viewport={"width": 1200, "height": 1000})
    yield opened(visitor.new_page(), server)
    visitor.close()


@pytest.fixture
def engines(page: Page) -> Page:
    """The Engines page."""
    page.get_by_role("tab", name="Engines").click()
    return page


@pytest.fixture
def open_page() -> Callable[[Page, Live], Page]:
    return opened


@pytest.fixture
def shot() -> Callable[[Page, str], None]:
    """A picture for whoever looks the pages over, where ALLTALK_SCREENSHOTS names a folder."""

    def take(page: Page, name: str) -> None:
        if folder := os.environ.get("ALLTALK_SCREENSHOTS"):
            page.screenshot(path=Path(folder, f"{name}.png"), full_page=True)

    return take


def opened(page: Page, server: Live) -> Page:
    """The pages of `server`, once they can be used."""
    page.context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    page.goto(f"{server.url}/ui/")
    expect(page.get_by_role("tab", name="Speak")).to_be_visible()
    return page
