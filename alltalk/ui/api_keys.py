"""The API keys on the Settings page: made, listed, removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import gradio as gr

from alltalk.config import Config
from alltalk.errors import BadInput
from alltalk.keys import ApiKey, Role, new_key, with_key, without_key
from alltalk.product import Product
from alltalk.ui.asked_twice import AskedTwice
from alltalk.ui.long_text_view import status_html
from alltalk.ui.parts import Update, connect, require, role_of, table_html


class ApiKeys:
    """Their part of the page; what happens is told in `message`."""

    def __init__(self, product: Product, message: Any) -> None:
        self._config, self._control = product.config, product.control
        self.message = message
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
                self.removal = AskedTwice("Remove that key", "keys-remove", min_width=120)
            self.removal.build_question("Really remove it")

    def wire(self, opened: Any) -> None:
        """Connect the components to what they do; `opened`: when the page is."""
        into = [self.keys, self.owner]
        connect(opened, self._listed, [], [self.keys], self.message)
        connect(self.add.click, self._add, [self.owner, self.role], into, self.message)
        self.removal.wire(self.owner, self._loss, self.message)
        connect(
            self.removal.really.click,
            self._remove,
            [self.removal.meant],
            [*into, *self.removal.outputs],
            self.message,
        )

    async def _listed(self, asked: gr.Request) -> Update:
        return {self.keys: self._keys_html(asked)}

    def _keys_html(self, asked: gr.Request) -> str:
        if role_of(asked) < Role.ADMIN:
            return "<p>Only an admin sees the keys.</p>"
        rows = [[key.name, key.role] for key in self._config.current.server.api_keys]
        return table_html(["Whose", "May do"], rows, "There are no keys.")

    async def _add(self, owner: str, role: Any, asked: gr.Request) -> Update:
        require(asked, Role.ADMIN)
        key = new_key()
        await self._keep(lambda keys: with_key(keys, owner, key, role))
        said = status_html(f"The key of {owner}, shown this once: {key}")
        return {self.keys: self._keys_html(asked), self.owner: "", self.message: said}

    async def _loss(self, owner: str) -> str:
        if not owner.strip():
            raise BadInput("Type whose key it is first.")
        return f"Whoever uses the key of {owner} is locked out once it is removed."

    async def _remove(self, owner: str, asked: gr.Request) -> Update:
        require(asked, Role.ADMIN)
        await self._keep(lambda keys: without_key(keys, owner))
        said = status_html(f"The key of {owner} opens nothing any more.")
        gone = {**self.removal.over(), self.keys: self._keys_html(asked), self.owner: ""}
        return {**gone, self.message: said}

    async def _keep(self, edited: Callable[[Sequence[ApiKey]], Sequence[ApiKey]]) -> None:
        """Change the keys that are there by then. Raises BadInput where nobody could go on here."""

        def patch(config: Config) -> dict[str, Any]:
            keys = edited(config.server.api_keys)
            if keys and not any(each.role == "admin" for each in keys):
                raise BadInput(
                    "Nobody could change anything here: there must be a key of an admin while "
                    "there are others. Make one first, or remove the others first."
                )
            return {"server.api_keys": [asdict(each) for each in keys]}

        await self._control.edit_settings(patch)
