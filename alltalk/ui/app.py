"""All pages in one Blocks: what `pages.py` loads."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

import gradio as gr
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from alltalk.product import Product
from alltalk.ui import access, engines, long_text, settings, speak, status, voices
from alltalk.ui.parts import quietly
from alltalk.ui.sounds import Sounds

LOOK_S = 600
"""Seconds between two looks for old uploads."""

VISITS = 64
"""Visits that the server remembers, the latest in use; each is half a megabyte.

What an open page knows by itself goes on without it. Its lists that were filled since it came are
filled again when their page is looked at.
"""


async def build(product: Product, sounds: Sounds, uploads_s: int) -> gr.Blocks:
    """The pages, which talk to `product` as any other door does.

    Works for long without a pause, on an event loop of its own: where none runs, Gradio makes
    some that nobody closes.
    Uploads older than `uploads_s` seconds are removed from time to time.
    """
    pages = gr.Blocks(
        title="AllTalk",
        analytics_enabled=False,
        delete_cache=(min(uploads_s, LOOK_S), uploads_s),
    )
    pages.state_session_capacity = VISITS
    with pages:
        gr.HTML(access.TITLE, elem_classes="alltalk-unseen")
        with gr.Tabs() as tabs:
            with gr.Tab("Speak"):
                speak.tab(product, sounds)
            with gr.Tab("Long text"):
                long_text.tab(product)
            with gr.Tab("Voices"):
                voices.tab(product, sounds)
            with gr.Tab("Engines"):
                engines_timer = engines.tab(product)
            with gr.Tab("Settings"):
                settings_timer = settings.tab(product)
            with gr.Tab("Status"):
                status_timer = status.tab(product)
        quietly(
            tabs.select,
            _looked_at,
            [],
            [engines_timer, settings_timer, status_timer],
        )
    return pages


def _looked_at(chosen: gr.SelectData) -> list[gr.Timer]:
    """Only a page that is shown asks how things are."""
    return [gr.Timer(active=chosen.value == each) for each in ("Engines", "Settings", "Status")]


@asynccontextmanager
async def running(pages: gr.Blocks, path: str) -> AsyncGenerator[gr.routes.App]:
    """`pages` as an application that is to be mounted at `path`, at work inside.

    Its streams end, and what visitors uploaded is removed, at the latest when it is left.
    """
    # That the one around it says who may read is how Gradio is told to leave it alone: it would
    # let pages of every origin read. Ours stands outside of all doors.
    around = FastAPI(middleware=[Middleware(CORSMiddleware)])
    gr.mount_gradio_app(
        around,
        pages,
        path,
        css=access.CSS,
        js=access.JS,
        footer_links=["settings"],
        run_history=False,  # what one visitor of a shared browser said is nobody else's business
        ssr_mode=False,
        mcp_server=False,
    )
    mounted = next(route for route in around.routes if getattr(route, "path", "") == path)
    app = cast(gr.routes.App, mounted.app)  # type: ignore[attr-defined]
    # Whoever mounts before the start has this entered by the server. It begins what answers
    # events, and what deletes states and uploads that nobody needs any more.
    async with around.router.lifespan_context(around):
        yield app
        end_streams(app)
        pages.close(verbose=False)


def end_streams(app: gr.routes.App) -> None:
    """Let go of the pages that are open: each holds a stream for as long as it is."""
    app.stop_event.set()
