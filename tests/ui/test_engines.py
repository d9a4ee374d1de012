"""The Engines page as a visitor uses it: a real browser, a live server, the tone engine."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect


@pytest.fixture
def engines(page):
    page.get_by_role("tab", name="Engines").click()
    return page


def choose(page, label, option):
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()


def current(page):
    return page.request.get(page.url.split("/ui")[0] + "/api/currentsettings").json()


def test_the_model_and_the_engine_are_changed(engines, shot):
    expect(engines.locator("#engines-backends")).to_contain_text("running")
    shot(engines, "engines")
    choose(engines, "Model to load", "tone-b")
    engines.get_by_role("button", name="Load this model").click()
    expect(engines.locator("#engines-message")).to_contain_text("speaks with tone-b now.")
    assert current(engines)["current_model_loaded"] == "tone-b"
    choose(engines, "Engine to load", "espeak")
    engines.get_by_role("button", name="Load this engine").click()
    expect(engines.locator("#engines-message")).to_contain_text("espeak speaks now")
    assert current(engines)["current_engine_loaded"] == "espeak"
    expect(engines.get_by_label("DeepSpeed")).to_be_disabled()
    expect(engines.locator("#engines-switches")).to_contain_text("has no DeepSpeed mode")


def test_engines_are_restarted(engines):
    engines.get_by_role("button", name="Restart all").click()
    expect(engines.locator("#engines-message")).to_contain_text("1 restarted.")
    expect(engines.locator("#engines-backends")).to_contain_text("running")
