"""The catalogue on the Engines page: a real browser, a live server, and a hub of our own."""

from __future__ import annotations

import hashlib
import json
import threading

import pytest
from hub import local_hub
from live import live_server
from playwright.sync_api import expect
from visiting import choose

WEIGHTS = b"weights" * 500_000
TERMS = "Not to be sold, and not to be sung."
ENGINE = """
import numpy as np
from alltalk.audio import Audio
from alltalk.engine import Capabilities, Chunk, Voice

def load(folder, model, place, settings):
    return Toy((folder / "models" / model / "weights.bin").read_bytes())

class Toy:
    capabilities = Capabilities()

    def __init__(self, weights):
        self._samples = np.frombuffer(weights[:8000], np.uint8).astype(np.float32) / 256

    def voices(self):
        return [Voice("toy")]

    def synthesize(self, utterance):
        yield Chunk(Audio(self._samples.copy(), 16000))

    def close(self):
        pass
"""


@pytest.fixture(scope="module")
def hub():
    with local_hub() as hub:
        hub.share("/weights.bin", WEIGHTS)
        yield hub


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """With an engine whose models are in the catalogue, and none of them here."""
    home = tmp_path_factory.mktemp("home")
    folder = home / "engines" / "toy"
    folder.mkdir(parents=True)
    (folder / "engine.py").write_text(ENGINE)
    rule = {"display_name": "Toy", "models": {"files": ["weights.bin"]}}
    settings = {"def_character_voice": "toy", "def_narrator_voice": "toy"}
    (folder / "model_settings.json").write_text(json.dumps({"settings": settings, "alltalk": rule}))
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    url = "https://huggingface.co/weights.bin"
    file = {"path": "weights.bin", "url": url, "size": len(WEIGHTS), "sha256": digest}
    big = {
        "name": "big",
        "description": "Speaks as it was taught.",
        "languages": ["en-us", "de"],
        "licence": "CPML",
        "licence_url": "https://example.org/licence",
        "terms": TERMS,
        "recommended": True,
        "files": [file],
    }
    small = {"name": "small", "licence": "MIT", "languages": ["de"], "files": [file]}
    (folder / "available_models.json").write_text(json.dumps({"models": [big, small]}))
    broken = home / "engines" / "piper"
    broken.mkdir()
    (broken / "available_models.json").write_text('{"models": "none"}')
    return home


@pytest.fixture(scope="module")
def server(home, hub):
    with live_server(home, environ={"HF_ENDPOINT": hub.url}) as live:
        yield live


def press(page, name):
    page.get_by_role("button", name=name, exact=True).filter(visible=True).click()


def test_a_model_is_read_about_installed_spoken_with_and_removed(
    engines, hub, server, open_page, shot
):
    table, about = engines.locator("#models-table"), engines.locator("#models-about")
    expect(table).to_contain_text("xtts/xttsv2_2.0.3")
    expect(table.get_by_role("alert")).to_contain_text("models is not a list of objects")
    (server.home / "engines/piper/available_models.json").unlink()
    choose(engines, "Show models of", "Toy")
    expect(table).to_contain_text("toy/small")
    expect(table.get_by_role("alert")).to_have_count(0)
    expect(table).not_to_contain_text("xtts/")
    expect(table).to_contain_text("3.5 MB")
    choose(engines, "That speak", "en")
    expect(table).not_to_contain_text("toy/small")
    expect(about).to_contain_text("Licence: CPML. Size: 3.5 MB.")
    expect(about.get_by_role("link", name="CPML")).to_have_attribute(
        "href", "https://example.org/licence"
    )
    expect(about.locator("blockquote")).to_have_text(TERMS)
    press(engines, "Install")
    expect(engines.locator("#models-message")).to_contain_text("has terms to agree to first")
    assert hub.asked == []
    held = hub.files["/weights.bin"].held = threading.Event()
    engines.get_by_label("I have read these terms and agree").check()
    press(engines, "Install")
    expect(engines.locator("#models-progress progress")).to_be_visible()
    expect(engines.locator("#models-progress")).to_contain_text("toy/big: 1.8 MB of 3.5 MB")
    expect(table).to_contain_text("being installed")
    shot(engines, "models")
    engines.set_viewport_size({"width": 390, "height": 844})
    shot(engines, "models-phone")
    assert engines.evaluate("document.documentElement.scrollWidth") <= 390
    engines.set_viewport_size({"width": 1200, "height": 1000})
    open_page(engines, server)  # whoever comes back finds it going on
    engines.get_by_role("tab", name="Engines").click()
    expect(engines.locator("#models-progress")).to_contain_text("toy/big:")
    held.set()
    hub.files["/weights.bin"].held = None
    expect(engines.locator("#models-progress")).to_contain_text("toy/big is installed.")
    expect(table).to_contain_text("toy/big")
    choose(engines, "Model of the catalogue", "toy/big")
    press(engines, "Speak with it")
    expect(engines.locator("#models-message")).to_contain_text("toy speaks now, with big.")
    expect(engines.locator("#engines-backends")).to_contain_text("big")
    press(engines, "Remove")
    press(engines, "Really remove it")
    expect(engines.locator("#models-message")).to_contain_text("Load another model first.")
    choose(engines, "Engine to load", "espeak")
    press(engines, "Load this engine")
    expect(engines.locator("#engines-message")).to_contain_text("espeak speaks now")
    press(engines, "Remove")
    press(engines, "Really remove it")
    expect(engines.locator("#models-message")).to_contain_text("toy/big was removed.")
    assert not (server.home / "engines/toy/models/big").exists()


def test_one_is_stopped_and_without_a_network_the_page_says_what_to_do(engines, hub):
    choose(engines, "Show models of", "Toy")
    choose(engines, "Model of the catalogue", "toy/small")
    hub.files["/weights.bin"].held = threading.Event()
    press(engines, "Install")
    expect(engines.locator("#models-progress progress")).to_be_visible()
    press(engines, "Stop installing")
    expect(engines.locator("#models-progress")).to_contain_text("toy/small was stopped.")
    hub.files["/weights.bin"].held = None
    hub.files["/weights.bin"].status = 503
    press(engines, "Go on installing")
    failed = engines.locator("#models-progress").get_by_role("alert")
    expect(failed).to_contain_text("toy/small is not installed.")
    expect(failed).to_contain_text("Is there a network here?")
    hub.files["/weights.bin"].status = 200
    press(engines, "Go on installing")
    expect(engines.locator("#models-progress")).to_contain_text("toy/small is installed.")
    assert "range" in hub.asked[-1][1]
