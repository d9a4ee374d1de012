"""The settings of one engine on the Engines page: a field for each, made from its schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from alltalk.backend_types import Setting, engine_settings
from alltalk.errors import BadInput, BadValue
from alltalk.keys import Role
from alltalk.product import Product
from alltalk.ui.long_text_view import status_html
from alltalk.ui.parts import Update, quietly, require, role_of, telling


class EngineSettings:
    """Its components, and what happens when they are used."""

    def __init__(self, product: Product) -> None:
        self._service, self._control = product.service, product.control
        self._registry = product.registry
        with gr.Accordion("Settings of an engine", open=False) as self.opened:
            self.engine = gr.Dropdown(
                [], label="Settings of", value=None, allow_custom_value=True, min_width=200
            )
            self.message = gr.HTML(elem_id="engine-settings-message")
            self.saved = gr.State(0)
            gr.render(
                [self.engine, self.saved],
                [self.engine.change, self.saved.change],
                show_progress="hidden",
            )(self._form)

    def wire(self) -> None:
        """Connect the components to what they do."""
        quietly(
            self.opened.expand,
            self._open,
            [self.engine],
            [self.engine],
        )

    async def _open(self, engine: str | None) -> Update:
        """The engines there are, the current one first of all."""
        status = await self._service.lane().run(self._service.status)
        known = [each for each in status.engines if each in self._registry.manifests]
        first = engine or (status.engine if status.engine in known else None)
        return {self.engine: gr.update(choices=known, value=first)}

    def _form(self, engine: str | None, saved: int, asked: gr.Request) -> None:
        """A field for each setting, and what saves them, for those who may read them."""
        if role_of(asked) < Role.POWER:
            gr.Markdown("An API key of role power shows the settings of engines.")
            return
        if engine is None or engine not in self._registry.manifests:
            gr.Markdown("Choose an engine.")
            return
        settings = sorted(
            engine_settings(self._registry, engine), key=lambda each: each.type == "boolean"
        )
        values = {each.name: self._value(engine, each) for each in settings}
        with gr.Row():
            fields = [_field(each, values[each.name]) for each in settings]
        save = gr.Button("Save, and load it again", variant="primary")

        async def keep(asked: gr.Request, *typed: Any) -> Update:
            require(asked, Role.ADMIN)
            changed = {
                each.name: value
                for each, value in zip(settings, typed, strict=True)
                if each.read(value) != values[each.name]
            }
            if not changed:
                raise BadInput("Nothing was changed.")
            count = await self._control.change_engine_settings(engine, changed)
            told = f"Saved: {', '.join(changed)}. "
            told += f"{engine} is loaded again with it." if count else "It is in force."
            return {self.message: status_html(told), self.saved: saved + 1}

        for setting, field in zip(settings, fields, strict=True):
            if isinstance(field, gr.Number | gr.Textbox):
                _check_when_typed(setting, field)
        save.click(
            telling(keep, self.message),
            fields,
            [self.message, self.saved],
            validator=lambda *typed: _checked(settings, typed),
            concurrency_limit=None,
            show_progress="hidden",
            api_visibility="private",
        )

    def _value(self, engine: str, setting: Setting) -> Any:
        """What is in force: the current backend may have a value of its own."""
        current = self._service.pool.current
        own: Mapping[str, Any] = current.spec.settings if current else {}
        if current is not None and current.spec.type == engine and setting.name in own:
            return own[setting.name]
        return setting.default


def _field(setting: Setting, value: Any) -> gr.components.Component:
    """What `setting` is typed into or chosen with."""
    told = "" if setting.shipped is None else f" Default: {_shown(setting.shipped)}."
    how: dict[str, Any] = {
        "label": setting.name,
        "info": setting.help + told,
        "interactive": True,
        "min_width": 300,
    }
    if setting.type == "boolean":
        with gr.Column(min_width=300):  # by itself it would be as narrow as its box
            return gr.Checkbox(value, **how)
    if setting.type == "dropdown":
        return gr.Dropdown(list(setting.values), value=value, **how)
    if setting.type in ("integer", "decimal") and not setting.nullable:
        return gr.Number(value, **how)
    # also for a number that may be nothing: Gradio's field of numbers makes 0 of that
    return gr.Textbox(_typed(value), max_lines=1, **how)


def _check_when_typed(setting: Setting, field: gr.Number | gr.Textbox) -> None:
    """Tell below the field what does not fit, once it is left."""
    field.blur(
        lambda _: None,
        [field],
        [],
        validator=lambda typed: _checked([setting], [typed])[0],
        concurrency_limit=None,
        show_progress="hidden",
        api_visibility="private",
    )


def _checked(settings: Sequence[Setting], typed: Sequence[Any]) -> list[Any]:
    """For each field, whether its setting takes what was typed, else why not."""
    found = []
    for setting, value in zip(settings, typed, strict=True):
        try:
            setting.read(value)
            found.append(gr.validate(True, ""))
        except BadValue as error:
            found.append(gr.validate(False, str(error)))
    return found


def _typed(value: Any) -> str:
    """`value` as one would type it; nothing: no text."""
    return "" if value is None else f"{value:.15g}" if isinstance(value, float) else str(value)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)
