"""The backends on the Engines page: watched, restarted, freed, changed, added and removed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gradio as gr

from alltalk.backend_types import missing_type
from alltalk.errors import BadInput
from alltalk.keys import Role
from alltalk.product import Product
from alltalk.serving.backend import BackendView, State
from alltalk.serving.backend_store import REMOTE, BackendSpec
from alltalk.ui.asked_twice import AskedTwice
from alltalk.ui.long_text_view import status_html
from alltalk.ui.parts import Update, connect, quietly, require, role_of, table_html
from alltalk.ui.visible import visible_backends

ALL = -1
"""Instead of a backend's id."""
LONGEST_TITLE = 200


class Backends:
    """Its components, and what happens when they are used."""

    def __init__(self, product: Product, message: gr.HTML) -> None:
        self._service, self.message = product.service, message
        self.table = gr.HTML(elem_id="engines-backends")
        with gr.Row():
            self.which = gr.Dropdown([], label="Backend", allow_custom_value=True, min_width=160)
            self.restart = gr.Button("Restart", min_width=120)
            self.free = gr.Button("Free memory", min_width=120)
        with gr.Accordion("Change this backend, or add one", open=False):
            self._build_change()
            with gr.Row():
                self.type = gr.Dropdown([], label="Kind of a new backend", min_width=200)
                self.add = gr.Button("Add a backend", min_width=120)

    def _build_change(self) -> None:
        with gr.Row():
            self.title = gr.Textbox(label="Title", max_lines=1, max_length=LONGEST_TITLE)
            self.device = gr.Dropdown(
                ["cpu", "cuda", "cuda:1"],
                label="Runs on",
                allow_custom_value=True,
                info="cuda: the first NVIDIA GPU, cuda:1 the second.",
            )
            self.threads = gr.Number(
                label="Threads", minimum=0, precision=0, info="Cores it may use; 0: its share."
            )
            self.process = gr.Dropdown(
                ["auto", "here", "worker"],
                label="Process",
                info="auto: a worker where it needs one.",
            )
            self.address = gr.Textbox(
                label="Address", max_lines=1, placeholder="http://192.168.1.5:7851", visible=False
            )
            self.key = gr.Textbox(
                label="Its API key",
                type="password",
                max_lines=1,
                placeholder="Empty: stays as it is",
                visible=False,
            )
            self.model = gr.Textbox(label="Its model", max_lines=1, visible=False)
        with gr.Row():
            self.save = gr.Button("Save", variant="primary", min_width=90)
            self.current = gr.Button("Make it current", min_width=90)
            self.toggle = gr.Button("Disable", min_width=90)
            self.removal = AskedTwice("Remove", "backends-remove", min_width=90)
        self.removal.build_question("Really remove it")

    def wire(self, timer: gr.Timer) -> None:
        """Connect the components to what they do; at each tick of `timer` the states are new."""
        root = gr.context.Context.root_block
        assert root is not None, "a tab is built inside Blocks"
        typed = [self.title, self.device, self.threads, self.process]
        typed += [self.address, self.key, self.model]
        fields = [*typed, self.toggle, self.current]
        shown = [self.table, self.which, self.type, *fields]

        def on(trigger: Any, call: Any, inputs: list[Any], outputs: list[Any]) -> None:
            connect(trigger, call, inputs, outputs, self.message)

        on(root.load, self._all, [self.which], shown)
        on(self.which.input, self._all, [self.which], shown)
        quietly(
            timer.tick,
            self._look,
            [],
            [self.table, self.which],
        )
        on(self.restart.click, self._restart, [self.which], [self.table])
        on(self.free.click, self._free, [self.which], [self.table])
        on(self.save.click, self._save, [self.which, *typed], shown)
        on(self.current.click, self._make_current, [self.which], shown)
        on(self.toggle.click, self._toggle, [self.which], shown)
        self.removal.wire(self.which, self._loss, self.message)
        gone = [*shown, *self.removal.outputs]
        on(self.removal.really.click, self._remove, [self.removal.meant], gone)
        on(self.add.click, self._add, [self.type], shown)

    async def _look(self, asked: gr.Request) -> Update:
        """How they are. What a visitor has chosen stays chosen."""
        return {self.table: self._table(asked), self.which: gr.update(choices=self._choices(asked))}

    def _visible(self, asked: gr.Request) -> list[BackendView]:
        return visible_backends(self._service.pool.backends, role_of(asked))

    def _table(self, asked: gr.Request) -> str:
        return backends_html(self._visible(asked))

    def _choices(self, asked: gr.Request) -> list[tuple[str, int]]:
        return [("all of them", ALL), *((_name(view), view.id) for view in self._visible(asked))]

    async def _all(self, which: int | None, asked: gr.Request) -> Update:
        known = {view.id for view in self._service.pool.backends}
        value = which if which in known else ALL
        return {
            self.table: self._table(asked),
            self.which: gr.update(choices=self._choices(asked), value=value),
            self.type: gr.update(choices=await self._types(asked)),
            **self._fields(which, asked),
        }

    async def _types(self, asked: gr.Request) -> list[tuple[str, str]]:
        """Kinds of backend, for those who may know."""
        if role_of(asked) < Role.POWER:
            return []
        return [(each.name, each.id) for each in (await self._service.backend_types()).values()]

    def _fields(self, which: int | None, asked: gr.Request) -> Update:
        """What the backend that is meant is set to, for those who may know."""
        view = self._only(which)
        if view is None or role_of(asked) < Role.POWER:
            spec = BackendSpec(0, "none")
        else:
            spec = self._service.pool.spec(view.id)
        far = spec.type == REMOTE
        return {
            self.title: spec.title,
            self.device: gr.update(value=spec.device, visible=not far),
            self.threads: gr.update(value=spec.threads, visible=not far),
            self.process: gr.update(value=spec.process, visible=not far),
            self.address: gr.update(value=spec.settings.get("base_url", ""), visible=far),
            self.key: gr.update(value="", visible=far),
            self.model: gr.update(value=spec.model, visible=far),
            self.toggle: "Disable" if spec.enabled else "Enable",
            self.current: gr.update(interactive=not (view and view.current)),
        }

    def _only(self, which: int | None) -> BackendView | None:
        """The one that is chosen, or the only one; None: which of several is meant is not told."""
        views = self._service.pool.backends
        meant = [view for view in views if which in (None, ALL, view.id)]
        return meant[0] if len(meant) == 1 else None

    def _one(self, which: int | None) -> BackendView:
        if (view := self._only(which)) is None:
            raise BadInput("Choose one backend above first.")
        return view

    async def _restart(self, which: int | None, asked: gr.Request) -> Update:
        require(asked, Role.POWER)
        count = await self._service.pool.restart(self._meant(which))
        said = f"{count} being loaded again." if count else "Nothing to restart: it is disabled."
        return {self.table: self._table(asked), self.message: status_html(said)}

    async def _free(self, which: int | None, asked: gr.Request) -> Update:
        require(asked, Role.POWER)
        count = await self._service.free(self._meant(which))
        said = f"{count} freed." if count else "Nothing to free: none is loaded and quiet."
        return {self.table: self._table(asked), self.message: status_html(said)}

    def _meant(self, which: int | None) -> int | None:
        """The id of the backend that is chosen; None: all. Raises NotFound: it went meanwhile."""
        if which is None or which == ALL:
            return None
        return self._service.pool.view(which).id

    async def _save(
        self,
        which: int | None,
        title: str,
        device: str,
        threads: float | None,
        process: str,
        address: str,
        key: str,
        model: str,
        asked: gr.Request,
    ) -> Update:
        require(asked, Role.ADMIN)
        view = self._one(which)
        kind = (await self._service.backend_types()).get(view.type) or missing_type(view.type)
        near = {"device": device, "threads": threads, "process": process}
        far = {"base_url": address, "model": model, **({"api_key": key} if key else {})}
        changes = kind.read(far if view.type == REMOTE else near)
        await self._service.pool.edit(view.id, title=title, **changes)
        return {**await self._all(view.id, asked), self.message: status_html("Saved.")}

    async def _make_current(self, which: int | None, asked: gr.Request) -> Update:
        require(asked, Role.ADMIN)
        view = self._one(which)
        await self._service.pool.make_current(view.id)
        said = status_html(f"{_name(view)} is the current backend now.")
        return {**await self._all(view.id, asked), self.message: said}

    async def _toggle(self, which: int | None, asked: gr.Request) -> Update:
        require(asked, Role.ADMIN)
        view = self._one(which)
        await self._service.pool.toggle(view.id, not view.enabled)
        said = "does not speak any more." if view.enabled else "is being loaded."
        return {
            **await self._all(view.id, asked),
            self.message: status_html(f"{_name(view)} {said}"),
        }

    async def _loss(self, which: int | None) -> str:
        return f"What {_name(self._one(which))} is set to is lost once it is removed."

    async def _remove(self, which: int | None, asked: gr.Request) -> Update:
        require(asked, Role.ADMIN)
        view = self._one(which)
        await self._service.pool.remove(view.id)
        said = status_html(f"{_name(view)} was removed.")
        return {**await self._all(ALL, asked), **self.removal.over(), self.message: said}

    async def _add(self, type: str | None, asked: gr.Request) -> Update:
        require(asked, Role.ADMIN)
        if not type:
            raise BadInput("Choose the kind of the new backend first.")
        added = await self._service.pool.add(BackendSpec(id=0, type=type))
        hint = "Type its address and save." if type == REMOTE else "It is being loaded."
        said = status_html(f"{_name(added)} was added. {hint}")
        return {**await self._all(added.id, asked), self.message: said}


def backends_html(views: Iterable[BackendView]) -> str:
    """The backends as they are now."""
    rows = [
        [
            f"{_name(view)}{' (current)' if view.current else ''}",
            *(_STATES.get(view.status, view.status.value), view.current_model, view.device),
            *(f"{view.usages} of {view.max_usages}", view.error),
        ]
        for view in views
    ]
    heads = ["Backend", "State", "Model", "Runs on", "In use", "What is wrong"]
    return table_html(heads, rows, "There is no backend. Add one below.")


_STATES = {State.RESTING: "resting, its memory is free", State.IDLE: "does not answer"}
"""Where the state's own name does not tell enough."""


def _name(view: BackendView) -> str:
    return f"{view.id}: {view.title or view.type}"
