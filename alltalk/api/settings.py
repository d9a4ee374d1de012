"""The settings over HTTP: `/settings-json`, `/update-settings`, `/api/reload_config`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from alltalk.api.body import FORM, documented, form_fields, validated
from alltalk.api.deps import ControlDep, ServiceDep, at_least
from alltalk.api.json import JSONResponse
from alltalk.api.pages import landing_page
from alltalk.api.schemas import Fields
from alltalk.config import Config
from alltalk.errors import BadValue
from alltalk.keys import Role

router = APIRouter(tags=["AllTalk V2: settings"])

_PORTS = range(1024, 65536)


class SettingsForm(Fields):
    """The fields of `POST /update-settings`. What is not sent stays as it is."""

    delete_output_wavs: str | None = Field(None, description="`Disabled`, or such as `7 Days`.")
    gradio_interface: bool | None = Field(None, description="Offer the settings pages.")
    gradio_port_number: int | None = Field(None, description="1024 to 65535.")
    api_port_number: int | None = Field(None, description="1024 to 65535; at the next start.")

    def changes(self) -> dict[str, Any]:
        """What was sent, by the settings' names. Raises BadValue."""
        sent = self.model_dump(exclude_none=True)
        for name in ("gradio_port_number", "api_port_number"):
            if sent.get(name, _PORTS[0]) not in _PORTS:
                raise BadValue(name, f"must be between {_PORTS[0]} and {_PORTS[-1]}")
        if "api_port_number" in sent:
            sent["api_def.api_port_number"] = sent.pop("api_port_number")
        return sent


@router.get("/settings-json", dependencies=[at_least(Role.POWER)], summary="All settings")
async def settings_json(service: ServiceDep) -> Response:
    """As `confignew.json` holds them, without what is secret."""
    return JSONResponse(shown(service.config))


@router.post(
    "/update-settings",
    dependencies=[at_least(Role.ADMIN)],
    openapi_extra=documented(SettingsForm, *FORM),
    summary="Change settings",
)
async def update_settings(http: Request, control: ControlDep) -> Response:
    """In force at once, but for ports; all of them, or with 400 none."""
    form = validated(SettingsForm, await form_fields(http))
    await control.change_settings(form.changes())
    return landing_page()


@router.get("/api/reload_config", summary="Read all settings and voices again")
async def reload_config(control: ControlDep) -> Response:
    """Ours and the engines'. A file that does not hold changes nothing and is an error."""
    await control.reload()
    return PlainTextResponse("Config file reloaded successfully")


def shown(config: Config) -> dict[str, Any]:
    """The settings, but for what others must not read."""
    values = config.model_dump(mode="json", by_alias=True)
    values["server"]["api_keys"] = [
        {"name": key.name, "role": key.role} for key in config.server.api_keys
    ]
    if config.presence.redis_url:
        values["presence"]["redis_url"] = "…"  # a password may be in it
    return values
