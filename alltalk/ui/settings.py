"""The Settings page: every setting with its meaning, the API keys, and the pages' colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from alltalk.config_store import get
from alltalk.errors import BadInput
from alltalk.keys import Role
from alltalk.product import Product
from alltalk.ui.api_keys import ApiKeys
from alltalk.ui.appearance import colours
from alltalk.ui.long_text_view import status_html
from alltalk.ui.parts import Update, connect, require
from alltalk.ui.setting_fields import PLACES, Place
from alltalk.ui.setting_values import NEEDS_RESTART, Setting, all_settings

TICK_S = 2.0
FIRST = "speech"
"""The section that is shown first."""


def tab(product: Product) -> gr.Timer:
    """Put the page into the Blocks that are being built; what looks anew while it is shown."""
    page = _Page(product)
    page.wire()
    return page.timer


class _Page:
    """Its components, and what happens when they are used."""

    def __init__(self, product: Product) -> None:
        self._config, self._control = product.config, product.control
        self._sections = all_settings()
        assert max(map(len, self._sections.values())) <= PLACES
        self._settings = {each.name: each for part in self._sections.values() for each in part}
        self.opened = gr.context.Context.block.select  # type: ignore[union-attr]
        self.timer = gr.Timer(TICK_S, active=False)
        self.known = gr.JSON({}, visible=False)
        """Names of the settings that are shown, in their places, and their values as shown.

        Kept by the browser, beside what is typed: an answer on its way, or a server that has
        restarted meanwhile, cannot make one mean another setting than it stands at.
        """
        with gr.Row():
            titles = list(self._sections)
            first = next(title for title in titles if title.startswith(f"{FIRST}:"))
            self.section = gr.Dropdown(titles, value=first, label="Part", scale=2)
            self.sought = gr.Textbox(
                label="Find a setting",
                placeholder="a part of its name or meaning",
                max_lines=1,
            )
        among = {choice for each in self._settings.values() for choice in each.choices}
        self.places = [Place(number, sorted(among)) for number in range(PLACES)]
        self.message = gr.HTML(elem_id="settings-message")
        self.save = gr.Button("Save", variant="primary")
        self.keys = ApiKeys(product, self.message)
        with gr.Accordion("Appearance", open=False):
            colours()

    def wire(self) -> None:
        """Connect the components to what they do."""
        fields = [field for place in self.places for field in place.fields]
        problems = [place.problem for place in self.places]
        shown = [*fields, *problems, self.known]

        def on(trigger: Any, call: Any, inputs: list[Any], outputs: list[Any]) -> None:
            connect(trigger, call, inputs, outputs, self.message)

        on(self.opened, self._open, [self.known, self.section], shown)
        on(self.section.input, self._show_section, [self.section], [*shown, self.sought])
        on(self.sought.change, self._find, [self.sought, self.section], shown)
        on(self.save.click, self._save, [self.known, self.section, *fields], shown)
        on(self.timer.tick, self._follow, [self.known, self.section], shown)
        for number, place in enumerate(self.places):
            checked = self._checking(number)
            for trigger in (place.text.blur, place.text.submit):
                on(trigger, checked, [self.known, self.section, place.text], shown)
        self.keys.wire(self.opened)

    async def _open(self, known: Mapping[str, str], section: str, asked: gr.Request) -> Update:
        return {} if self._is_shown(known) else self._shown(self._sections[section], asked)

    async def _show_section(self, section: str, asked: gr.Request) -> Update:
        return {**self._shown(self._sections[section], asked), self.sought: ""}

    async def _find(self, sought: str, section: str, asked: gr.Request) -> Update:
        words = sought.lower().split()
        if not words:
            return self._shown(self._sections[section], asked)
        found = [
            each
            for each in self._settings.values()
            if all(word in f"{each.name} {each.meaning}".lower() for word in words)
        ]
        named = [each for each in found if words[0] in each.name.lower()]
        found = [*named, *(each for each in found if each not in named)]
        many = status_html(f"{len(found)} settings; type more to see the rest.")
        none = status_html("No setting has that in its name or meaning.")
        said = none if not found else many if len(found) > PLACES else ""
        return {**self._shown(found[:PLACES], asked), self.message: said}

    def _shown(self, settings: Sequence[Setting], asked: gr.Request) -> Update:
        require(asked, Role.ADMIN)
        values, update = self._values(each.name for each in settings), {}
        for place, setting in zip(self.places, settings, strict=False):
            variable = self._config.overridden.get(setting.name, "")
            update.update(place.showing(setting, values[setting.name], variable))
        for place in self.places[len(settings) :]:
            update.update(place.empty())
        return {**update, self.known: values}

    def _is_shown(self, known: Mapping[str, str]) -> bool:
        """False where the browser has nothing, or what another version has shown it."""
        return bool(known) and len(known) <= PLACES and known.keys() <= self._settings.keys()

    def _anew(self, section: str, asked: gr.Request) -> Update:
        """The section, where it is not known what the fields stand for."""
        said = "Nothing is saved: this page was out of date. Here is what is set now; try again."
        shown = self._shown(self._sections[section], asked)
        return {**shown, self.message: status_html(said, wrong=True)}

    def _values(self, names: Any) -> dict[str, str]:
        """What those settings are, as they are shown."""
        stored = self._config.current.model_dump(mode="json", by_alias=True)
        return {
            name: self._settings[name].shown(get(stored, tuple(name.split(".")))) for name in names
        }

    def _checking(self, number: int) -> Any:
        """What looks at the value that is typed in that place, before it is saved."""

        async def check(
            known: Mapping[str, str], section: str, text: str, asked: gr.Request
        ) -> Update:
            require(asked, Role.ADMIN)
            if not self._is_shown(known):
                return self._anew(section, asked)
            if number >= len(known):  # it was left because other settings took its place
                return {self.message: gr.skip()}
            name, problem = list(known)[number], ""
            try:
                if text != known[name]:
                    await self._control.check_settings({name: self._settings[name].read(text)})
            except BadInput as error:
                problem = str(error)
            return {**self.places[number].told(problem), self.message: gr.skip()}

        return check

    async def _save(
        self, known: Mapping[str, str], section: str, asked: gr.Request, *typed: Any
    ) -> Update:
        require(asked, Role.ADMIN)
        if not self._is_shown(known):
            return self._anew(section, asked)
        update, changed = {}, {}
        for number, (name, before) in enumerate(known.items()):
            setting = self._settings[name]
            text = typed[2 * number + bool(setting.choices)] or ""
            update.update(self.places[number].told(""))
            if text != before:
                changed[name] = setting.read(text)
        if not changed:
            return {**update, self.message: status_html("Nothing was changed.")}
        try:
            await self._control.change_settings(changed)
        except BadInput as error:
            problems = dict(await self._problems(known, changed))
            for number, name in enumerate(known):
                update.update(self.places[number].told(problems.get(name, "")))
            return {**update, self.message: status_html(f"Nothing is saved. {error}", wrong=True)}
        said = f"Saved: {', '.join(changed)}."
        if late := [name for name in changed if name in NEEDS_RESTART]:
            said += f" Restart the server to have it listen by {', '.join(late)}."
        return {
            **update,
            **self._renewed(known, self._values(known)),
            self.message: status_html(said),
        }

    async def _problems(
        self, known: Mapping[str, str], changed: Mapping[str, Any]
    ) -> list[tuple[str, str]]:
        """What is wrong with each of the changes alone."""
        found = []
        for name in changed:
            try:
                await self._control.check_settings({name: changed[name]})
            except BadInput as error:
                found.append((name, str(error)))
        return found

    async def _follow(self, known: Mapping[str, str], section: str, asked: gr.Request) -> Update:
        """Show what was changed elsewhere, by another page or in the file."""
        if not known:  # it has just been opened, or may not be seen
            return {self.message: gr.skip()}
        require(asked, Role.ADMIN)
        if not self._is_shown(known):
            return self._anew(section, asked)
        values = self._values(known)
        changed = [name for name in known if known[name] != values[name]]
        if not changed:
            return {self.message: gr.skip()}
        said = status_html(f"Changed elsewhere: {', '.join(changed)}.")
        return {**self._renewed(known, values), self.message: said}

    def _renewed(self, known: Mapping[str, str], values: Mapping[str, str]) -> Update:
        update: Update = {self.known: dict(values)}
        for place, name in zip(self.places, known, strict=False):
            if known[name] != values[name]:
                update.update(place.valued(self._settings[name], values[name]))
        return update
