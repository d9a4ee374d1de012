"""The backends API's words: bodies of its calls, and how it shows a backend and a type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from alltalk.backend_types import BackendType, Setting
from alltalk.serving.backend import BackendView, State
from alltalk.serving.backend_store import BackendSpec

SECRET = "\t<secret>"
"""Stands for a stored secret; sent back, it leaves the secret as it is."""


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("Input should be a valid integer")
    return value


BackendId = Annotated[int, BeforeValidator(_no_truth)]


class Body(BaseModel):
    """What every call may say."""

    model_config = ConfigDict(extra="ignore")
    session_id: str = Field("", description="From GetNewSession; or the header X-Session-ID.")


class ListBody(Body):
    """What to list."""

    nonreal: bool = Field(False, description="Temporary backends too; there are none.")
    full_data: bool = Field(False, description="Tell the loaded model too.")


class AddBody(Body):
    """What to add."""

    type_id: str = Field(description="As ListBackendTypes names it.")


class EditBody(Body):
    """What to change."""

    backend_id: BackendId
    title: str | None = Field(None, max_length=200)
    settings: Any = Field(None, description="An object: those that change.")
    raw_inp: Any = Field(None, description="The same, or an object with `settings` in it.")
    new_id: BackendId = Field(-1, description="0 or more: the id it shall have.")

    @property
    def changed(self) -> Mapping[str, Any] | None:
        """The settings to change, without secrets that are to stay; None: none were sent."""
        settings = self.settings
        if settings is None and isinstance(self.raw_inp, dict):
            settings = self.raw_inp.get("settings", self.raw_inp or None)
        if not isinstance(settings, dict):
            return None
        return {name: value for name, value in settings.items() if value != SECRET}


class BackendBody(Body):
    """Which backend."""

    backend_id: BackendId


class ToggleBody(BackendBody):
    """Which backend, and whether it shall run."""

    enabled: bool


class RestartBody(Body):
    """Which backends."""

    backend: BackendId | Literal["all"] = "all"

    @property
    def id(self) -> int | None:
        """The one that is meant; None: all."""
        return None if self.backend == "all" else self.backend


class FreeBody(RestartBody):
    """Which backends."""

    system_ram: bool = Field(False, description="Main memory too; it is freed in any case.")


def shown_backend(
    view: BackendView, spec: BackendSpec, kind: BackendType, *, full: bool = False
) -> dict[str, Any]:
    """A backend, its fields in the order that clients know, then ours; `full`: with its model.

    What went wrong is its `problem`: clients take an answer with `error` for a failed call.
    """
    resting = view.status is State.RESTING
    shown: dict[str, Any] = {
        "type": view.type,
        "status": (State.RUNNING if resting else view.status).value,
        "id": view.id,
        "settings": _values(kind, spec),
        "modcount": view.modcount,
        "features": list(view.features),
        "enabled": view.enabled,
        "title": view.title,
        "max_usages": view.max_usages,
        "seconds_since_used": view.seconds_since_used,
        "time_since_used": view.time_since_used,
        "can_load_models": view.can_load_models,
        "usages": view.usages,
        "current": view.current,
        "resting": resting,
        "problem": view.error,
    }
    return {**shown, "current_model": view.current_model} if full else shown


def shown_type(kind: BackendType) -> dict[str, Any]:
    """A type, and what it can be set to."""
    return {
        "id": kind.id,
        "name": kind.name,
        "description": kind.description,
        "settings": [_setting(each) for each in kind.settings],
        "is_standard": True,
    }


def _values(kind: BackendType, spec: BackendSpec) -> dict[str, Any]:
    """What it is set to; what is secret is not told."""
    secret = {setting.name for setting in kind.settings if setting.secret}
    values = kind.values(spec)
    return {name: SECRET if name in secret and value else value for name, value in values.items()}


def _setting(setting: Setting) -> dict[str, Any]:
    choices = list(setting.values) if setting.type == "dropdown" else None
    return {
        "name": setting.name,
        "type": setting.type,
        "description": setting.help,
        "placeholder": "" if setting.default is None else str(setting.default),
        "is_secret": setting.secret,
        "values": choices,
        "value_names": choices,
    }
