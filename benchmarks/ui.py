"""What the pages at `/ui` cost: the start, the first page, memory, clicks while others speak.

python benchmarks/ui.py [--starts N] [--clicks N] [--clients N]

Wants the extra `ui`, `pip install playwright`, and a Chromium or Chrome on the path.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shutil
import statistics
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version

from load import Client, get, percentile, post
from playwright.async_api import Browser, Page, TimeoutError, async_playwright
from process import Running, alltalk

SENTENCE = "The quick brown fox jumps over the lazy dog. "
QUIET = ("--no-sandbox", "--disable-gpu", "--mute-audio", "--no-first-run")
STILL = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
SETTLED_S = 5.0
"""After that long a server has loaded what it loads in the background."""
AGAIN_S = 0.5
"""After that long without an answer a visitor clicks again."""
CLICKS = (("Make a key", "cannot name a key"), ("Save", "Nothing was changed."))
"""Buttons of the Settings page that are pressed by turns, and what is answered."""
CLICK = """async ([label, answer]) => {
    const buttons = [...document.querySelectorAll('button')];
    const button = buttons.find(each => each.offsetParent && each.textContent.trim() === label);
    const place = document.querySelector('#settings-message');
    const began = performance.now();
    button.click();
    await new Promise(done => {
        const look = () => { if (place.textContent.includes(answer)) done(); };
        const observer = new MutationObserver(look);
        observer.observe(place, {subtree: true, childList: true, characterData: true});
        look();
    });
    return performance.now() - began;
}"""
"""Milliseconds from a click on a button until its answer is there."""


def main() -> None:
    """Run every measurement and print it beside what it is held against."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5, help="of servers, with and without")
    parser.add_argument("--clicks", type=int, default=100)
    parser.add_argument("--clients", type=int, default=16, help="that speak meanwhile")
    chosen = parser.parse_args()
    libraries = ", ".join(f"{name} {version(name)}" for name in ("gradio", "playwright"))
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{libraries}\n\n| Measured | Result | Beside |\n| --- | --- | --- |")
    starts(chosen.starts)
    asyncio.run(pages(chosen.starts, chosen.clicks, chosen.clients))


def starts(times: int) -> None:
    """Time from process start to `Ready`, by turns with and without pages."""
    found: dict[str, list[float]] = {"true": [], "false": []}
    for _ in range(times):
        for offered, seconds in found.items():
            with alltalk(ALLTALK_GRADIO_INTERFACE=offered, ALLTALK_LAUNCH_GRADIO="true") as server:
                seconds.append(server.ready_s)
    there, none = (statistics.median(each) for each in found.values())
    row("start to `Ready` with the pages", f"{there:.2f} s", f"without: {none:.2f} s")


async def pages(starts: int, clicks: int, clients: int) -> None:
    """The first page of fresh servers, its memory, and clicks on the last of them."""
    firsts, seconds, sizes = [], [], []
    async with browsing() as browser:
        for _ in range(starts):
            with alltalk() as server:
                await asyncio.sleep(SETTLED_S)
                before = server.resident_mb
                firsts.append(await visited(browser, server))
                sizes.append(server.resident_mb - before)
                seconds.append(await visited(browser, server))
        row(
            "first visit until a click is answered",
            f"{statistics.median(seconds):.2f} s",
            "at most 3 s; while the pages are not loaded yet "
            f"(`launch_gradio` false) {statistics.median(firsts):.2f} s",
        )
        row("memory of the pages", f"{statistics.median(sizes):.0f} MB", "at most 120 MB")
        with alltalk() as server:
            page, _ = await opened(browser, server)
            await page.get_by_role("tab", name="Settings").click()
            await page.get_by_role("button", name="API keys").click()
            for label, _ in CLICKS:
                button = page.get_by_role("button", name=label, exact=True)
                await button.filter(visible=True).wait_for()
            alone = await clicked(page, clicks)
            busy = await beside(server, clients, clicked(page, clicks))
    row(
        f"a click until its answer is seen, {clients} clients speaking: 95th percentile",
        f"{percentile(busy, 0.95) * 1e3:.0f} ms",
        f"at most 300 ms; median {statistics.median(busy) * 1e3:.0f} ms, "
        f"alone {statistics.median(alone) * 1e3:.0f} ms",
    )


async def visited(browser: Browser, server: Running) -> float:
    """Seconds that a visitor waits who has nothing of the pages yet."""
    page, seconds = await opened(browser, server)
    await page.context.close()
    return seconds


@asynccontextmanager
async def browsing() -> AsyncGenerator[Browser]:
    """A browser without a window."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    program = next((found for each in names if (found := shutil.which(each))), None)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=[*QUIET, *STILL])
        yield browser
        await browser.close()


async def opened(browser: Browser, server: Running) -> tuple[Page, float]:
    """The pages in a browser that has nothing of them, and seconds until a click is answered."""
    page = await (await browser.new_context()).new_page()
    began = time.perf_counter()
    await page.goto(f"http://127.0.0.1:{server.port}/ui/", wait_until="commit")
    await page.get_by_label("Text to speak").fill("")
    answer = page.locator("#speak-message").get_by_role("alert")
    while not await answer.is_visible():
        await page.get_by_role("button", name="Speak", exact=True).click()
        with suppress(TimeoutError):  # what the page asks for as it opens may take the answer away
            await answer.wait_for(timeout=AGAIN_S * 1e3)
    return page, time.perf_counter() - began


async def clicked(page: Page, times: int) -> list[float]:
    """Seconds from each click until the server's answer is in the page, by the page's own clock."""
    return [await page.evaluate(CLICK, CLICKS[number % 2]) / 1e3 for number in range(times)]


async def beside(server: Running, clients: int, work: Awaitable[list[float]]) -> list[float]:
    """What `work` returns while that many clients have sentence after sentence spoken."""
    over = False

    async def speak(number: int) -> None:
        body = {"input": SENTENCE * 3 + str(number), "model": "tts-1", "voice": "alloy"}
        raw = post("/v1/audio/speech", {**body, "response_format": "mp3", "cache": False})
        async with Client(server.port) as client:
            while not over:
                assert (await client.send(raw)).status == 200

    speakers = [asyncio.create_task(speak(number)) for number in range(clients)]
    async with Client(server.port) as client:
        assert (await client.send(get("/api/ready"))).status == 200
    try:
        return await work
    finally:
        over = True
        await asyncio.gather(*speakers)


def row(name: str, result: str, beside: str) -> None:
    """A line of the table."""
    print(f"| {name} | {result} | {beside} |", flush=True)


if __name__ == "__main__":
    main()
