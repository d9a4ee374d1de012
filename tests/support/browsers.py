"""What a browser sends the pages, without one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.state_holder import SessionState
from starlette.requests import Request

from alltalk.keys import Role


async def send(
    pages: gr.Blocks, trigger: Any, event: str, values: Mapping[Any, Any], role: Role = Role.ADMIN
) -> dict[Any, Any]:
    """What `event` of `trigger` answers a browser whose components hold `values`, by component.

    The server has never heard of that browser, as after a restart.
    """
    targets = (trigger._id, event)
    (call,) = (each for each in pages.fns.values() if targets in each.targets)
    scope = {"type": "http", "headers": [], "client": ("127.0.0.1", 1), "alltalk.role": role}
    inputs = [values.get(each, getattr(each, "value", None)) for each in call.inputs]
    asked = gr.Request(Request(scope))
    answer = await pages.process_api(call, inputs, SessionState(pages), asked)
    return dict(zip(call.outputs, answer["data"], strict=True))


def pages_of(component: Any) -> gr.Blocks:
    """The Blocks that it is in."""
    block = component
    while block.parent is not None:
        block = block.parent
    return block
