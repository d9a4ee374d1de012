"""All pages in one Blocks: what `pages.py` loads."""

from __future__ import annotations

import gradio as gr
from starlette.types import ASGIApp

from alltalk.product import Product
from alltalk.ui import engines, long_text, settings, speak, status, voices
from alltalk.ui.sounds import Sounds


def build(product: Product, sounds: Sounds) -> gr.Blocks:
    """The pages, which talk to `product` as any other door does."""
    pages = gr.Blocks(title="AllTalk", analytics_enabled=False)
    with pages:
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
                settings.tab(product)
            with gr.Tab("Status"):
                status_timer = status.tab(product)
        tabs.select(
            _looked_at,
            [],
            [engines_timer, status_timer],
            concurrency_limit=None,
            show_progress="hidden",
            api_visibility="private",
        )
    return pages


def _looked_at(chosen: gr.SelectData) -> tuple[gr.Timer, gr.Timer]:
    """Only a page that is shown asks how things are."""
    return gr.Timer(active=chosen.value == "Engines"), gr.Timer(active=chosen.value == "Status")


async def started(pages: gr.Blocks, path: str) -> ASGIApp:
    """`pages` as an application that is to be mounted at `path`, and at work."""
    from fastapi import FastAPI

    around = FastAPI()
    gr.mount_gradio_app(
        around,
        pages,
        path,
        footer_links=["settings"],
        run_history=False,  # what one visitor of a shared browser said is nobody else's business
        ssr_mode=False,
        mcp_server=False,
    )
    # Whoever mounts before the start has these run by the lifespan; now they are ours to run, or
    # every event would hang.
    pages.run_startup_events()  # type: ignore[no-untyped-call]
    await pages.run_extra_startup_events()  # type: ignore[no-untyped-call]
    mounted = next(route for route in around.routes if getattr(route, "path", "") == path)
    app: ASGIApp = mounted.app  # type: ignore[attr-defined]
    return app
