"""The landing page and the settings over HTTP."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest


@pytest.mark.parametrize("path", ["/", "/settings"])
async def test_the_landing_page_needs_nothing_from_outside(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(path)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert not re.findall(r"(?:src|href)=\"?(?:https?:)?//", answer.text)
    for asked in re.findall(r"\"(/[a-z][\w/-]*)\??", answer.text):
        if asked not in ("/ui", "/api/tts-generate", "/update-settings"):
            status = (await client.get(asked.split("?")[0])).status_code
            assert status in (200, 405), asked


async def test_the_settings_are_told_without_secrets(client: httpx.AsyncClient) -> None:
    settings = (await client.get("/settings-json")).json()
    assert settings["api_def"]["api_port_number"] == 7851
    assert settings["theme"]["class"] == "gradio/base"
    assert settings["server"]["api_keys"] == []


async def test_settings_are_changed_at_once_and_kept(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    form = {
        "delete_output_wavs": "7 Days",
        "gradio_interface": "false",
        "gradio_port_number": "8000",
        "api_port_number": "8001",
    }
    answer = await client.post("/update-settings", data=form)
    assert (answer.status_code, answer.headers["content-type"][:9]) == (200, "text/html")
    for settings in (
        (await client.get("/settings-json")).json(),
        json.loads((tmp_path / "confignew.json").read_bytes()),
    ):
        assert settings["delete_output_wavs"] == "7 Days"
        assert settings["gradio_interface"] is False
        assert settings["gradio_port_number"] == 8000
        assert settings["api_def"]["api_port_number"] == 8001


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"api_port_number": "80"}, 400),
        ({"gradio_port_number": "70000"}, 400),
        ({"delete_output_wavs": "soon"}, 400),
        ({"api_port_number": "many"}, 422),
        ({"gradio_interface": "perhaps"}, 422),
    ],
)
async def test_a_wrong_setting_changes_nothing(
    client: httpx.AsyncClient, tmp_path: Path, form: dict[str, str], status: int
) -> None:
    before = (tmp_path / "confignew.json").read_bytes()
    answer = await client.post("/update-settings", data={"gradio_port_number": "9000", **form})
    assert answer.status_code == status
    assert (tmp_path / "confignew.json").read_bytes() == before


async def test_pages_of_other_sites_cannot_change_settings(client: httpx.AsyncClient) -> None:
    headers = {"origin": "https://example.com"}
    form = {"delete_output_wavs": "1 Day"}
    assert (await client.post("/update-settings", data=form, headers=headers)).status_code == 403


@pytest.mark.parametrize(
    "path", ["/static/confignew.json", "/static/", "/static/../confignew.json"]
)
async def test_nothing_of_the_programs_folder_is_given_away(
    client: httpx.AsyncClient, path: str
) -> None:
    assert (await client.get(path)).status_code == 404
