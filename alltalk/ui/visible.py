"""What whoever asks may see of the backends: no more than the API tells the same key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from alltalk.keys import Role
from alltalk.serving.backend import BackendView


def visible_backends(views: Iterable[BackendView], role: Role) -> list[BackendView]:
    """The backends as `role` may see them.

    From power up all, as `ListBackends` tells. Others what `/metrics` and `/health` tell them: what
    kinds there are, their states and use, and the model of the current one and what is wrong with
    it.
    """
    return [view if role >= Role.POWER else _public(view) for view in views]


def _public(view: BackendView) -> BackendView:
    public = replace(view, title="", device="", process="", settings={})
    return public if view.current else replace(public, current_model="", error="")
