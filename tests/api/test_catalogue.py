"""Models are listed, installed and removed over HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hub import LocalHub, local_hub

WEIGHTS = b"weights" * 50_000
MANIFEST = {"alltalk": {"display_name": "Toy", "models": {"files": ["weights.bin"]}}}


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    with local_hub() as server:
        server.share("/weights.bin", WEIGHTS)
        yield server


@pytest.fixture(autouse=True)
def toy(tmp_path: Path, hub: LocalHub) -> None:
    """An engine that has a model in the catalogue."""
    folder = tmp_path / "engines" / "toy"
    folder.mkdir(parents=True)
    (folder / "engine.py").touch()
    (folder / "model_settings.json").write_text(json.dumps(MANIFEST))
    file = {
        "path": "weights.bin",
        "url": f"{hub.url}/weights.bin",
        "size": len(WEIGHTS),
        "sha256": hashlib.sha256(WEIGHTS).hexdigest(),
    }
    models = [{"name": "small", "terms": "Be kind.", "languages": ["de-de"], "files": [file]}]
    (folder / "available_models.json").write_text(json.dumps({"models": models}))


async def small(client: httpx.AsyncClient) -> dict[str, Any]:
    listed = (await client.get("/v1/catalogue?engine=toy&language=de")).json()
    assert listed["problems"] == {}
    (model,) = listed["data"]
    return dict(model)


async def until(client: httpx.AsyncClient, state: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while (model := await small(client))["installation"]["state"] != state:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return model


async def test_a_model_is_installed_told_of_stopped_and_removed(
    client: httpx.AsyncClient, hub: LocalHub, tmp_path: Path
) -> None:
    model = await small(client)
    assert (model["id"], model["state"], model["size"]) == ("toy/small", "absent", len(WEIGHTS))
    assert model["installation"] is None
    refused = await client.post("/v1/catalogue/toy/small")
    assert (refused.status_code, "Be kind." in refused.text) == (400, True)
    held = hub.files["/weights.bin"].held = threading.Event()
    begun = await client.post("/v1/catalogue/toy/small", json={"agreed": True})
    assert (begun.status_code, begun.json()["status"]) == (202, "installing")
    assert (await client.post("/v1/catalogue/toy/small", json={"agreed": True})).status_code == 503
    assert (await client.delete("/v1/catalogue/toy/small")).json()["status"] == "stopped"
    assert (await small(client))["installation"]["state"] == "stopped"
    held.set()
    await client.post("/v1/catalogue/toy/small", json={"agreed": True})
    model = await until(client, "installed")
    assert (model["state"], model["installation"]["received"]) == ("installed", len(WEIGHTS))
    assert (tmp_path / "engines/toy/models/small/weights.bin").read_bytes() == WEIGHTS
    assert (await client.delete("/v1/catalogue/toy/small")).json()["status"] == "removed"
    assert (await small(client))["state"] == "absent"


async def test_what_cannot_be_is_told(client: httpx.AsyncClient, hub: LocalHub) -> None:
    assert (await client.post("/v1/catalogue/toy/large")).status_code == 404
    assert (await client.delete("/v1/catalogue/toy/small")).status_code == 404
    assert (await client.post("/v1/catalogue/toy/small", json={"agree": True})).status_code == 400
    hub.files["/weights.bin"].status = 404
    await client.post("/v1/catalogue/toy/small", json={"agreed": True})
    assert "answers 404" in (await until(client, "failed"))["installation"]["error"]


async def test_a_voice_that_the_loaded_engine_speaks_with_is_not_removed(
    client: httpx.AsyncClient, hub: LocalHub, tmp_path: Path
) -> None:
    folder = tmp_path / "engines" / "tone"  # its voices are `low` and others
    (folder / "models").mkdir(parents=True)
    (folder / "available_models.json").write_text(
        json.dumps({"models": [among_others("spoken", "low"), among_others("other", "bass")]})
    )
    for file in ("low", "bass"):
        (folder / "models" / file).write_bytes(WEIGHTS)
    refused = await client.delete("/v1/catalogue/tone/spoken")
    assert (refused.status_code, "Load another engine first" in refused.text) == (503, True)
    assert (folder / "models/low").exists()
    assert (await client.delete("/v1/catalogue/tone/other")).json()["status"] == "removed"
    assert not (folder / "models/bass").exists()


def among_others(name: str, path: str) -> dict[str, Any]:
    """A catalogue's entry whose one file has no folder of its own."""
    file = {"path": path, "url": "http://127.0.0.1/unused", "size": len(WEIGHTS)}
    return {"name": name, "folder": "", "files": [file]}


async def test_only_an_admin_installs_and_removes(app: FastAPI) -> None:
    elsewhere = httpx.ASGITransport(app, client=("192.168.1.9", 9999))
    async with httpx.AsyncClient(transport=elsewhere, base_url="http://127.0.0.1") as client:
        assert (await client.get("/v1/catalogue")).status_code == 200
        assert (await client.post("/v1/catalogue/toy/small")).status_code == 403
        assert (await client.delete("/v1/catalogue/toy/small")).status_code == 403
