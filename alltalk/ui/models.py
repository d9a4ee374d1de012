"""The catalogue on the Engines page: models are read about, installed, spoken with, removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from alltalk.errors import BadInput
from alltalk.keys import Role
from alltalk.models import InstallState, ListedModel, ModelState
from alltalk.models.catalogue import RVC
from alltalk.product import Product
from alltalk.ui.asked_twice import AskedTwice
from alltalk.ui.long_text_view import status_html
from alltalk.ui.models_view import (
    ALL,
    RECOMMENDED,
    about_html,
    installs_html,
    languages_of,
    models_html,
    problems_html,
    selected,
)
from alltalk.ui.parts import Update, connect, quietly, require


class Models:
    """Its components, and what happens when they are used."""

    def __init__(self, product: Product) -> None:
        self._installs, self._control = product.installs, product.control
        self._registry = product.registry
        self.seen = gr.State(-1)
        with gr.Row():
            self.engine = _choice("Show models of")
            self.language = _choice("That speak")
        self.table = gr.HTML(elem_id="models-table")
        self.chosen = _choice("Model of the catalogue")
        self.about = gr.HTML(elem_id="models-about")
        self.agreed = gr.Checkbox(label="I have read these terms and agree", visible=False)
        with gr.Row():
            self.install = gr.Button("Install", variant="primary", min_width=110)
            self.stop = gr.Button("Stop installing", min_width=110)
            self.speak = gr.Button("Speak with it", min_width=110)
            self.removal = AskedTwice("Remove", "models-remove", min_width=110)
        self.removal.build_question("Really remove it")
        self.message = gr.HTML(elem_id="models-message")
        self.progress = gr.HTML(elem_id="models-progress")

    def wire(self, timer: gr.Timer) -> None:
        """Connect the components to what they do; at each tick of `timer` all is looked at."""
        root = gr.context.Context.root_block
        assert root is not None, "a tab is built inside Blocks"
        one = [self.about, self.agreed, self.install, self.stop, self.speak, self.removal.ask]
        shown = [self.engine, self.language, self.table, self.chosen, *one, self.progress]
        shown.append(self.seen)
        asked = [self.engine, self.language, self.chosen]

        def on(trigger: Any, call: Any, inputs: list[Any], outputs: list[Any]) -> None:
            connect(trigger, call, inputs, outputs, self.message)

        on(root.load, self._all, asked, shown)
        on(self.engine.input, self._all, asked, shown)
        on(self.language.input, self._all, asked, shown)
        on(self.chosen.input, self._describe, [self.chosen], one)
        quietly(
            timer.tick,
            self._look,
            [self.seen, *asked],
            [*shown, self.message],
        )
        on(self.install.click, self._install, [self.agreed, *asked], shown)
        on(self.stop.click, self._stop, asked, shown)
        on(self.speak.click, self._speak, [self.chosen], [])
        self.removal.wire(self.chosen, self._loss, self.message)
        gone = [*shown, *self.removal.outputs]
        on(self.removal.really.click, self._remove, [self.removal.meant, *asked], gone)

    async def _look(
        self, seen: int, engine: str | None, language: str | None, chosen: str | None
    ) -> Update:
        """How far it is; all of it where something was begun, ended or removed since."""
        if self._installs.changes != seen:
            return {**await self._all(engine, language, chosen), self.message: ""}
        return {self.progress: installs_html(self._installs.views)}

    async def _all(self, engine: str | None, language: str | None, chosen: str | None) -> Update:
        seen = self._installs.changes  # before looking: what changes meanwhile is seen next time
        models = await self._installs.catalogue.list()
        problems = (await self._installs.catalogue.read()).problems
        listed = selected(models, engine or RECOMMENDED, language or "")
        keys = [each.entry.key for each in listed]
        first = chosen if chosen in keys else (keys[0] if keys else None)
        return {
            self.engine: gr.update(choices=self._engines(models), value=engine or RECOMMENDED),
            self.language: gr.update(
                choices=[("any language", ""), *languages_of(models)], value=language or ""
            ),
            self.table: problems_html(problems)
            + models_html(listed, self._running())
            + _counted(len(listed), len(models), engine or RECOMMENDED),
            self.chosen: gr.update(choices=keys, value=first),
            self.progress: installs_html(self._installs.views),
            self.seen: seen,
            **self._described(next((each for each in listed if each.entry.key == first), None)),
        }

    def _running(self) -> set[str]:
        views = self._installs.views
        return {view.key for view in views if view.state is InstallState.RUNNING}

    async def _describe(self, chosen: str | None) -> Update:
        models = await self._installs.catalogue.list()
        return self._described(next((each for each in models if each.entry.key == chosen), None))

    def _described(self, chosen: ListedModel | None) -> Update:
        """What can be read about a model, and done with it."""
        runs = chosen is not None and chosen.entry.key in self._running()
        state = chosen.state if chosen else ModelState.ABSENT
        is_here = state is ModelState.INSTALLED
        is_whole = is_here and not (chosen and chosen.needs_environment)
        speaks = chosen is not None and chosen.entry.group in self._registry.manifests
        verb = {ModelState.PARTIAL: "Go on installing", ModelState.DAMAGED: "Mend"}
        has_terms = bool(chosen and chosen.entry.terms) and not is_whole and not runs
        return {
            self.about: about_html(chosen, self._missing(chosen)) if chosen else "",
            self.agreed: gr.update(value=False, visible=has_terms),
            self.install: gr.update(
                value=verb.get(state, "Install"),
                interactive=bool(chosen and not (is_whole or runs)),
            ),
            self.stop: gr.update(interactive=runs),
            self.speak: gr.update(interactive=is_whole and speaks),
            self.removal.ask: gr.update(interactive=not runs and state is not ModelState.ABSENT),
        }

    def _engines(self, models: Sequence[ListedModel]) -> list[tuple[str, str]]:
        groups = dict.fromkeys(each.entry.group for each in models)
        known = self._registry.manifests
        names = [
            (known[each].display_name if each in known else _GROUPS.get(each, each), each)
            for each in groups
        ]
        return [("what is recommended or here", RECOMMENDED), ("all engines", ALL), *names]

    def _missing(self, chosen: ListedModel) -> str:
        """What must be installed by hand before its engine can speak; empty: nothing."""
        group = chosen.entry.group
        manifest = self._registry.manifests.get(group)
        if manifest is None or manifest.environment == "own":
            return ""
        if not (missing := self._registry.missing(group)):
            return ""
        how = f": pip install 'alltalk[{manifest.extra}]'" if manifest.extra else ""
        return f"{manifest.display_name} cannot speak yet: it needs {', '.join(missing)}{how}."

    async def _install(
        self,
        agreed: bool,
        engine: str | None,
        language: str | None,
        chosen: str | None,
        asked: gr.Request,
    ) -> Update:
        require(asked, Role.ADMIN)
        entry = await self._installs.start(_needed(chosen), agreed=agreed)
        said = f"{entry.key} is being installed. It goes on when you leave this page."
        return {**await self._all(engine, language, chosen), self.message: status_html(said)}

    async def _stop(
        self, engine: str | None, language: str | None, chosen: str | None, asked: gr.Request
    ) -> Update:
        require(asked, Role.ADMIN)
        await self._installs.stop(_needed(chosen))
        return await self._all(engine, language, chosen)

    async def _speak(self, chosen: str | None, asked: gr.Request) -> Update:
        require(asked, Role.POWER)
        key = _needed(chosen)
        label = await self._installs.catalogue.label(key)
        offer = await self._control.load_engine(key.partition("/")[0], label)
        return {self.message: status_html(f"{offer.engine} speaks now, with {offer.model}.")}

    async def _loss(self, chosen: str | None) -> str:
        return f"{_needed(chosen)} has to be installed again once it is removed."

    async def _remove(
        self,
        meant: str,
        engine: str | None,
        language: str | None,
        chosen: str | None,
        asked: gr.Request,
    ) -> Update:
        require(asked, Role.ADMIN)
        removed = await self._installs.remove(meant)
        said = status_html(f"{removed.entry.key} was removed.")
        gone = {**await self._all(engine, language, chosen), **self.removal.over()}
        return {**gone, self.message: said}


def _choice(label: str) -> gr.Dropdown:
    """What is chosen among things that come and go: one that went is an answer, not an error."""
    return gr.Dropdown([], label=label, min_width=160, allow_custom_value=True)


def _counted(listed: int, total: int, engine: str) -> str:
    more = " Choose an engine to see all of its." if engine == RECOMMENDED else ""
    return f"<p>{listed} of {total} models.{more}</p>"


_GROUPS = {RVC: "voice conversion (RVC)"}
"""Groups of the catalogue that are no engines."""


def _needed(name: str | None) -> str:
    if not name:
        raise BadInput("Choose a model first.")
    return name
