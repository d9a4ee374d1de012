"""Models are installed in the background: told, stopped, gone on with, and removed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading

import pytest
from hub import local_hub

from alltalk.errors import NotFound, Refused, TermsNotAccepted
from alltalk.home import Home
from alltalk.models import Hub, Installs, InstallState, ModelCatalogue, ModelState
from alltalk.models.threads import to_its_end
from alltalk.registry import Registry

WEIGHTS = b"weights" * 50_000
MANIFEST = {"alltalk": {"display_name": "Toy", "models": {"files": ["weights.bin"]}}}


@pytest.fixture
def hub():
    with local_hub() as server:
        server.share("/weights.bin", WEIGHTS)
        yield server


@pytest.fixture
def in_use():
    """Folders of models that are loaded."""
    return set()


@pytest.fixture
def home(tmp_path, hub):
    home = Home(tmp_path)
    home.create()
    folder = home.engines / "toy"
    folder.mkdir()
    (folder / "engine.py").touch()
    (folder / "model_settings.json").write_text(json.dumps(MANIFEST))
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    file = {"path": "weights.bin", "url": f"{hub.url}/weights.bin", "sha256": digest}
    known = {**file, "size": len(WEIGHTS)}
    models = [
        {"name": "small", "files": [known]},
        {"name": "sizeless", "files": [file]},
        {"name": "bound", "terms": "Not to be sold.", "files": [known]},
    ]
    (folder / "available_models.json").write_text(json.dumps({"models": models}))
    return home


@pytest.fixture
async def installs(home, in_use):
    async def loaded():
        return in_use

    installs = Installs(ModelCatalogue(home, Registry(home), Hub(), pause_s=0.001), loaded)
    yield installs
    await installs.close()


async def until(holds):
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - another thread makes it true
            await asyncio.sleep(0.005)


def is_now(installs, state, key="toy/small"):
    return lambda: installs.view(key).state is state


async def test_an_installation_goes_on_by_itself_and_tells_how_far_it_is(installs, hub):
    held = hub.files["/weights.bin"].held = threading.Event()
    begun = installs.changes
    entry = await installs.start("sizeless", agreed=False)
    await until(lambda: installs.view(entry.key).received > 0)
    view = installs.view(entry.key)
    assert view.state is InstallState.RUNNING
    assert 0 < view.received < view.size == len(WEIGHTS)
    with pytest.raises(Refused, match="is being installed already"):
        await installs.start("sizeless", agreed=False)
    held.set()
    await until(is_now(installs, InstallState.INSTALLED, entry.key))
    assert installs.view(entry.key).received == len(WEIGHTS)
    assert installs.changes == begun + 2
    assert await installs.catalogue.label(entry.key) == "sizeless"


async def test_one_that_is_stopped_goes_on_where_it_was(installs, hub):
    held = hub.files["/weights.bin"].held = threading.Event()
    await installs.start("small", agreed=False)
    await until(lambda: installs.view("toy/small").received > 0)
    await installs.stop("toy/small")
    assert installs.view("toy/small").state is InstallState.STOPPED
    with pytest.raises(NotFound, match="is not being installed"):
        await installs.stop("toy/small")
    held.set()
    await installs.start("small", agreed=False)
    await until(is_now(installs, InstallState.INSTALLED))
    assert "range" in hub.asked[-1][1]


async def test_one_that_is_stopped_at_once_has_not_begun(installs, hub):
    await installs.start("small", agreed=False)
    await installs.stop("toy/small")
    assert installs.view("toy/small").state is InstallState.STOPPED
    assert hub.asked == []


async def test_without_a_network_it_says_so_and_can_be_begun_again(installs, hub):
    hub.files["/weights.bin"].status = 503
    await installs.start("small", agreed=False)
    await until(is_now(installs, InstallState.FAILED))
    assert "Is there a network here?" in installs.view("toy/small").error
    hub.files["/weights.bin"].status = 200
    await installs.start("small", agreed=False)
    await until(is_now(installs, InstallState.INSTALLED))
    assert len(installs.views) == 1


async def test_terms_are_agreed_to_before_anything_is_fetched(installs, hub):
    with pytest.raises(TermsNotAccepted, match="Not to be sold"):
        await installs.start("bound", agreed=False)
    assert (hub.asked, installs.views) == ([], [])


async def test_a_model_that_is_loaded_is_not_removed(installs, home, in_use):
    await installs.start("small", agreed=False)
    await until(is_now(installs, InstallState.INSTALLED))
    in_use.add(home.engines / "toy/models/small")
    with pytest.raises(Refused, match="Load another model first"):
        await installs.remove("small")
    in_use.clear()
    assert (await installs.remove("small")).state is ModelState.ABSENT
    assert installs.view("toy/small") is None
    with pytest.raises(NotFound):
        await installs.catalogue.label("small")


async def test_whoever_is_cancelled_leaves_no_step_half_done():
    begun, go_on, done = threading.Event(), threading.Event(), []

    def step():
        begun.set()
        go_on.wait(60)
        done.append(True)

    caller = asyncio.create_task(to_its_end(step))
    await until(begun.is_set)
    caller.cancel()
    await asyncio.sleep(0)
    caller.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done == [True]
