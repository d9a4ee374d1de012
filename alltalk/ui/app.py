"""All pages in one Blocks: what `pages.py` loads."""

from __future__ import annotations

import gradio as gr
from starlette.types import ASGIApp

from alltalk.product import Product
from alltalk.ui import long_text, speak, status
from alltalk.ui.sounds import Sounds


def build(product: Product, sounds: Sounds) -> gr.Blocks:
    """The pages, which talk to `product` as any other door does."""
    pages = gr.Blocks(title="AllTalk", analytics_enabled=False)
    with pages, gr.Tabs():
        with gr.Tab("Speak"):
            speak.tab(product, sounds)
        with gr.Tab("Long text"):
            long_text.tab(product)
        with gr.Tab("Status"):
            status.tab(product)
    return pages


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
