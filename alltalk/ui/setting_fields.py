"""Places for settings to be typed in: a fixed number, in which a section's settings are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from alltalk.ui.long_text_view import shown_text
from alltalk.ui.parts import Update
from alltalk.ui.setting_values import Setting

PLACES = 18
"""As many settings as the largest section has."""


class Place:
    """One of them: where a text is typed or one of a few is chosen, and what is wrong with it."""

    def __init__(self, number: int, among: Sequence[str]) -> None:
        """`among` has whatever a setting can be chosen to be.

        A server that does not know any more what it has shown takes such a choice all the same.
        """
        field = f"setting-{number}"
        self.text = gr.Textbox(visible=False, max_lines=1, elem_classes="setting", elem_id=field)
        self.choice = gr.Radio(list(among), value=None, visible=False, elem_classes="setting")
        self.problem = gr.HTML(visible=False, elem_id=f"{field}-problem")

    @property
    def fields(self) -> list[Any]:
        """Those that hold its value, one at a time."""
        return [self.text, self.choice]

    def showing(self, setting: Setting, value: str, variable: str) -> Update:
        """With `setting`, which an environment `variable` may decide."""
        said = setting.meaning
        if setting.unused:
            said = f"Kept for V2's sake, not used: {setting.unused}. {said}"
        if variable:
            said += f" The environment variable {variable} decides it; change it there."
        more: dict[str, Any] = {
            "label": setting.name,
            "info": f"{said} Default: {setting.default or 'empty'}.",
            "value": value,
            "visible": True,
            "interactive": not (variable or setting.unused),
        }
        if setting.choices:
            more["choices"] = list(setting.choices)
        chosen, other = self.fields[::-1] if setting.choices else self.fields
        return {chosen: gr.update(**more), other: gr.update(visible=False), **self.told("")}

    def empty(self) -> Update:
        """With nothing."""
        return {field: gr.update(visible=False) for field in (*self.fields, self.problem)}

    def told(self, problem: str) -> Update:
        """With what is wrong; empty: nothing is."""
        said = f'<p role="alert" style="color:var(--error-text-color)">{shown_text(problem)}</p>'
        return {self.problem: gr.update(value=said if problem else "", visible=bool(problem))}

    def valued(self, setting: Setting, value: str) -> Update:
        """With another value of the setting that it shows."""
        return {self.choice if setting.choices else self.text: value, **self.told("")}
