"""Dark or light, as this browser is to remember it."""

from __future__ import annotations

from typing import Any

import gradio as gr

CHOICES = ("As the system", "Light", "Dark")
_SHOW = """
    const dark = choice === 'Dark' ||
        (choice !== 'Light' && matchMedia('(prefers-color-scheme: dark)').matches);
    document.body.classList.toggle('dark', dark);
"""
_CHOOSE = f"(choice) => {{ localStorage.setItem('alltalk-colours', choice); {_SHOW} }}"
_REMEMBER = f"""() => {{
    const choice = localStorage.getItem('alltalk-colours') || '{CHOICES[0]}';
    {_SHOW}
    return choice;
}}"""


def colours() -> None:
    """Put the choice into the Blocks that are being built. The server never hears of it."""
    chosen = gr.Radio(list(CHOICES), value=CHOICES[0], label="Colours of these pages")
    root: Any = gr.context.Context.root_block
    chosen.input(None, [chosen], None, js=_CHOOSE)
    root.load(None, None, [chosen], js=_REMEMBER)
