"""What the pages have in common: messages, who asks, what the browser keeps, tables."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import gradio as gr

from alltalk.config import Config
from alltalk.errors import AllTalkError, Forbidden, NotFound, TooLarge
from alltalk.keys import Role
from alltalk.serving.requests import new_id
from alltalk.speech import Ticket
from alltalk.ui.long_text_view import shown_text, status_html

Update = dict[Any, Any]
"""New values by component."""


def opened(call: Callable[..., Any]) -> None:
    """Give `call` the events of the page being built: it is opened, or its tab is chosen again.

    What was true when it was opened may have changed on another tab.
    """
    context = gr.context.Context
    assert context.root_block is not None, "a tab is built inside Blocks"
    call(context.root_block.load)
    block = context.block
    while block is not None and not isinstance(block, gr.Tab):
        block = block.parent
    if block is not None:
        call(block.select)


def telling(call: Callable[..., Any], status: Any) -> Callable[..., Any]:
    """`call`, whose errors of ours become the message above the page."""
    if asyncio.iscoroutinefunction(call):

        @functools.wraps(call)
        async def once(*args: Any, **more: Any) -> Update:
            try:
                return {status: "", **await call(*args, **more)}
            except AllTalkError as error:
                return {status: status_html(str(error), wrong=True)}

        return once

    @functools.wraps(call)
    async def several(*args: Any, **more: Any) -> AsyncGenerator[Update]:
        try:
            async for update in call(*args, **more):
                yield {status: "", **update}
        except AllTalkError as error:
            yield {status: status_html(str(error), wrong=True)}

    return several


def client(request: gr.Request) -> tuple[str, bool]:
    """Who asks: the API key's name, else the address; and which of the two."""
    scope = request.request.scope if request.request else {}
    if (key := scope.get("alltalk.key")) is not None:
        return key.name, True
    return (scope["client"][0] if scope.get("client") else ""), False


def choice(choices: list[tuple[str, str]], now: str | None, wanted: str | None, **more: Any) -> Any:
    """An update of a list, where `now` is chosen and `wanted`, if it is there, is to be.

    It sets no value that need not change: the visitor may have chosen another since it was read.
    """
    known = [value for _, value in choices]
    chosen = wanted if wanted in known else next(iter(known), None)
    value: dict[str, Any] = {} if chosen == now else {"value": chosen}
    return gr.update(choices=choices, **value, **more)


def ticket(request: gr.Request, config: Config) -> Ticket:
    """For one thing that whoever asks wants spoken."""
    who, named = client(request)
    return Ticket(new_id(), who, named, deadline_s=config.admission.deadline_s, door="/ui")


def uploaded(files: str | list[str] | None, largest_bytes: int) -> list[Path]:
    """What a visitor has sent, which may be nothing.

    It is only read: two who send the same share one file, which is swept when it is old. Raises
    TooLarge for what the API refuses, NotFound for what was swept.
    """
    paths = [Path(each) for each in ([files] if isinstance(files, str) else files or ())]
    for path in paths:
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            raise NotFound("That upload is no longer there. Choose the file again.") from None
        if size > largest_bytes:
            raise TooLarge(size, largest_bytes)
    return paths


def role_of(request: gr.Request) -> Role:
    """What whoever asks may do."""
    scope = request.request.scope if request.request else {}
    role: Role = scope.get("alltalk.role", Role.USER)
    return role


def require(request: gr.Request, role: Role) -> None:
    """Raise Forbidden unless whoever asks may do what `role` may."""
    if role_of(request) < role:
        raise Forbidden(
            f"This needs an API key of role {role.name.lower()}, "
            "or a browser on the server's own machine while no key is set."
        )


def connect(
    trigger: Callable[..., Any],
    call: Callable[..., Any],
    inputs: Any,
    outputs: Any,
    status: Any,
    js: str | None = None,
) -> Any:
    """Have `trigger` call `call`; failures of ours are told in `status`.

    `js` changes the inputs in the browser. What is returned has a `then`, for what follows it.
    """
    return quietly(trigger, telling(call, status), inputs, [*outputs, status], js=js)


def quietly(
    trigger: Callable[..., Any], call: Callable[..., Any], inputs: Any, outputs: Any, **more: Any
) -> Any:
    """Have `trigger` call `call`, without a sign that it is under way.

    Only what answers in pieces goes through Gradio's queue: there it waits for turns that nobody
    needs, and pages that were open as the server was restarted hear no more of it.
    """
    return trigger(
        call,
        inputs,
        outputs,
        concurrency_limit=None,
        show_progress="hidden",
        queue=inspect.isasyncgenfunction(call),
        api_visibility="private",
        **more,
    )


def table_html(
    heads: list[str], rows: list[list[str]], empty: str, max_height: str = "none"
) -> str:
    """A table that a phone can scroll, and who has no mouse; `empty` says what to do where there is
    nothing. `max_height`: CSS.
    """
    if not rows:
        return f"<p>{shown_text(empty)}</p>"
    head = "".join(f'<th scope="col">{shown_text(each)}</th>' for each in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{shown_text(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    called = shown_text(", ".join(filter(None, heads)))
    return (
        f'<div tabindex="0" role="region" aria-label="Table: {called}" '
        f'style="overflow:auto;max-height:{max_height}">'
        f'<table style="width:100%"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
