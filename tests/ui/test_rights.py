"""What keys of other roles see on the pages: no more than the API tells them."""

from __future__ import annotations

import json

import httpx
import pytest
from live import live_server
from playwright.sync_api import expect

from alltalk.keys import hashed

KEYS = {role: f"at-{role}-secret" for role in ("admin", "power", "user")}
TITLE = "Behind the stairs"


@pytest.fixture(scope="module")
def server(home):
    """With a key of each role, a second backend, and a mode asked for that is not there."""
    keys = [{"name": role, "hash": hashed(key), "role": role} for role, key in KEYS.items()]
    (home / "confignew.json").write_text(json.dumps({"server": {"api_keys": keys}}))
    asks = {"settings": {"deepspeed_enabled": True}}
    (home / "engines/tone/model_settings.json").write_text(json.dumps(asks))
    with live_server(home) as live:
        added = call(live, "AddNewBackend", type_id="espeak")
        edited = call(live, "EditBackend", backend_id=added["id"], title=TITLE, settings={})
        assert edited["title"] == TITLE
        yield live


def call(server, name, role="admin", **fields):
    """What the backends API answers."""
    with httpx.Client(headers=shown(role), timeout=60) as client:
        session = client.post(f"{server.url}/API/GetNewSession").json()["session_id"]
        answer = client.post(f"{server.url}/API/{name}", json={"session_id": session, **fields})
        return answer.json()


def shown(role):
    return {"Authorization": f"Bearer {KEYS[role]}"}


@pytest.fixture
def visit(browser, server, open_page):
    """`visit(role)`: the Engines page as whoever has a key of that role has it."""
    visitors = []

    def visit(role):
        visitors.append(browser.new_context(extra_http_headers=shown(role)))
        page = open_page(visitors[-1].new_page(), server)
        page.get_by_role("tab", name="Engines").click()
        expect(page.locator("#engines-backends")).to_contain_text("running")
        return page

    yield visit
    for visitor in visitors:
        visitor.close()


def test_a_key_without_the_right_sees_of_backends_what_the_api_tells_it(visit, server):
    assert "error" in call(server, "ListBackends", "user")
    assert TITLE in json.dumps(call(server, "ListBackends", "power"))
    page = visit("user")
    table = page.locator("#engines-backends")
    expect(table).to_contain_text("0: tone (current)")
    expect(table).to_contain_text("tone-a")  # as /health tells
    expect(table).to_contain_text("1: espeak")  # as /metrics tells
    expect(table).not_to_contain_text("cpu")
    page.get_by_role("button", name="Settings of an engine").click()
    expect(page.get_by_text("An API key of role power shows")).to_be_visible()
    expect(page.get_by_label("slots", exact=True)).to_have_count(0)
    assert TITLE not in page.content()
    page = visit("power")
    expect(page.locator("#engines-backends")).to_contain_text(f"1: {TITLE}")
    page.get_by_role("button", name="Settings of an engine").click()
    expect(page.get_by_label("slots", exact=True)).to_be_visible()


def test_a_mode_asked_for_in_vain_can_be_turned_off_at_its_switch(visit):
    page = visit("power")
    box, switches = page.get_by_label("DeepSpeed", exact=True), page.locator("#engines-switches")
    expect(switches).to_contain_text("DeepSpeed: off, although the settings ask for it.")
    expect(box).to_be_checked()
    box.uncheck()
    expect(switches).not_to_contain_text("although")
    expect(box).not_to_be_checked()
    expect(box).to_be_disabled()
