"""The Settings page: every setting with its meaning, and the API keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal, get_args, get_origin

import gradio as gr

from alltalk.config import Config, meanings, settings, subsection
from alltalk.config_store import get
from alltalk.errors import BadInput, BadValue, NotFound
from alltalk.keys import ApiKey, Role, hashed, new_key
from alltalk.product import Product
from alltalk.ui.long_text_view import shown_text, status_html
from alltalk.ui.parts import Update, connect, require, role_of, table_html

SECRET = ("server.api_keys", "presence.redis_url")
"""Not shown: the keys have a place of their own, and a password may be in the address."""


def tab(product: Product) -> None:
    """Put the page into the Blocks that are being built."""
    _Page(product).wire()


class _Page:
    """Its components, and what happens when they are used."""

    def __init__(self, product: Product) -> None:
        self._config, self._control = product.config, product.control
        self._fields = {".".join(key): (key, field) for key, field in settings()}
        self._meanings = all_meanings()
        self.message = gr.HTML(elem_id="settings-message")
        names = [name for name in sorted(self._fields) if name not in SECRET]
        self.name = gr.Dropdown(
            names, value=None, label="Setting", info="Type a part of its name to find it."
        )
        self.meaning = gr.HTML("<p>Choose a setting to see what it does.</p>")
        with gr.Row():
            self.value = gr.Dropdown([], label="Value", allow_custom_value=True, min_width=220)
            self.save = gr.Button("Save", variant="primary", min_width=120)
        with gr.Accordion("API keys", open=False):
            gr.Markdown(
                "Without keys everybody may speak, and this machine may do everything. With the "
                "first key this page asks for one: make one of role *admin* first."
            )
            self.keys = gr.HTML(elem_id="settings-keys")
            with gr.Row():
                self.owner = gr.Textbox(label="Whose key", max_lines=1, min_width=160)
                self.role = gr.Dropdown(["admin", "power", "user"], value="admin", label="May do")
                self.add = gr.Button("Make a key", min_width=120)
                self.remove = gr.Button("Remove that key", variant="stop", min_width=120)

    def wire(self) -> None:
        """Connect the components to what they do."""
        root = gr.context.Context.root_block
        assert root is not None, "a tab is built inside Blocks"

        def on(trigger: Any, call: Any, inputs: list[Any], outputs: list[Any]) -> None:
            connect(trigger, call, inputs, outputs, self.message)

        on(root.load, self._listed, [], [self.keys])
        on(self.name.change, self._show, [self.name], [self.meaning, self.value])
        on(self.save.click, self._save, [self.name, self.value], [self.meaning, self.value])
        on(self.add.click, self._add, [self.owner, self.role], [self.keys, self.owner])
        on(self.remove.click, self._remove, [self.owner], [self.keys, self.owner])

    async def _show(self, name: str | None, asked: gr.Request) -> Update:
        require(asked, Role.ADMIN)
        if not name:
            return {}
        key, field = self._fields[name]
        stored = self._config.current.model_dump(mode="json", by_alias=True)
        variable = self._config.overridden.get(name)
        decided = f" The environment variable {variable} decides it." if variable else ""
        default = shown_value(field.get_default(call_default_factory=True))
        said = f"{self._meanings[name]} Default: {default or 'empty'}.{decided}"
        return {
            self.meaning: f"<p>{shown_text(said)}</p>",
            self.value: gr.update(
                choices=choices_of(field.annotation),
                value=shown_value(get(stored, key)),
                interactive=not variable,
            ),
        }

    async def _save(self, name: str | None, text: str | None, asked: gr.Request) -> Update:
        require(asked, Role.ADMIN)
        if not name:
            raise BadInput("Choose a setting first.")
        value = read_value(text or "", self._fields[name][1].annotation)
        await self._control.change_settings({name: value})
        return {**await self._show(name, asked), self.message: status_html(f"{name} is saved.")}

    async def _listed(self, asked: gr.Request) -> Update:
        return {self.keys: self._keys_html(asked)}

    def _keys_html(self, asked: gr.Request) -> str:
        if role_of(asked) < Role.ADMIN:
            return "<p>Only an admin sees the keys.</p>"
        rows = [[key.name, key.role] for key in self._config.current.server.api_keys]
        return table_html(["Whose", "May do"], rows, "There are no keys.")

    async def _add(self, owner: str, role: Any, asked: gr.Request) -> Update:
        require(asked, Role.ADMIN)
        keys = self._config.current.server.api_keys
        if any(each.name == owner for each in keys):
            raise BadInput(f"There is a key of {owner!r} already; remove that first.")
        if not keys and role != "admin":
            raise BadInput("Make an admin's key first: nobody else could change anything.")
        key = new_key()
        try:
            added = ApiKey(owner, hashed(key), role)
        except ValueError as error:
            raise BadValue("Whose key", f"{error}") from None
        await self._keep((*keys, added))
        said = status_html(f"The key of {owner}, shown this once: {key}")
        return {self.keys: self._keys_html(asked), self.owner: "", self.message: said}

    async def _remove(self, owner: str, asked: gr.Request) -> Update:
        require(asked, Role.ADMIN)
        keys = self._config.current.server.api_keys
        rest = tuple(each for each in keys if each.name != owner)
        if rest == keys:
            raise NotFound(f"There is no key of {owner!r}. Type whose key is to go.")
        await self._keep(rest)
        said = status_html(f"The key of {owner} opens nothing any more.")
        return {self.keys: self._keys_html(asked), self.owner: "", self.message: said}

    async def _keep(self, keys: tuple[ApiKey, ...]) -> None:
        await self._control.change_settings({"server.api_keys": [asdict(key) for key in keys]})


def all_meanings() -> Mapping[str, str]:
    """What each setting does, by its dotted name."""

    def walk(section: Any, above: str) -> dict[str, str]:
        known, found = meanings(section), {}
        for attribute, field in section.model_fields.items():
            name = field.alias or attribute
            if (below := subsection(field)) is not None:
                found.update(walk(below, f"{above}{name}."))
            else:
                found[above + name] = known.get(name, "")
        return found

    return walk(Config, "")


def shown_value(value: Any) -> str:
    """A setting's value as one types it: text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def read_value(text: str, kind: Any) -> Any:
    """What was typed, for a setting of type `kind`; what does not fit is told when it is saved."""
    if kind is str:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def choices_of(kind: Any) -> list[str]:
    """What a setting of type `kind` can be, where that is a short list."""
    if kind is bool:
        return ["true", "false"]
    return [str(each) for each in get_args(kind)] if get_origin(kind) is Literal else []
