"""Every page by keyboard, by a screen reader's names, and on a phone's width."""

from __future__ import annotations

import itertools
import re

import pytest
from playwright.sync_api import expect

PHONE = {"width": 390, "height": 844}
READY = {
    "Speak": "#speak-rvc",
    "Long text": "role=button[name='Make lines of it']",
    "Voices": "#voices-about table",
    "Engines": "role=spinbutton[name='slots']",
    "Settings": "role=textbox[name=/speech.pause_s/]",
    "Status": "text=Ready to speak",
}
"""Each page, and what is there once it is whole."""
MOST_STOPS = 200
CONTROLS = """() => {
    const all = 'a[href], button, input, select, textarea, audio[controls]';
    const shown = (each) => each.checkVisibility({visibilityProperty: true}) &&
        each.getBoundingClientRect().width > 0 && !each.closest('.visually-hidden');
    const scrolls = (each) => {
        for (let place = each.parentElement; place; place = place.parentElement)
            if (['auto', 'scroll'].includes(getComputedStyle(place).overflowX)) return true;
        return false;
    };
    const named = (each) => `${each.tagName} ${each.ariaLabel || each.textContent.trim() ||
        [...(each.labels || [])].map(label => label.textContent.trim()).join() || each.id}`;
    return [...document.querySelectorAll(all)].filter(shown).map(each => {
        const {left, right} = each.getBoundingClientRect();
        const group = each.type === 'radio' && each.name;
        return {
            name: named(each),
            outside: !scrolls(each) && (left < 0 || right > innerWidth),
            stop: !each.disabled && each.tabIndex >= 0 && !(group && !each.checked),
            reached: each.dataset.reached === 'true',
        };
    });
}"""
"""The controls of the page; of a group of radio buttons the chosen one is the Tab key's."""
GAPS = """() => [...document.querySelectorAll('.block')].filter(each =>
    each.checkVisibility() && !each.textContent.trim()
    && getComputedStyle(each).position !== 'absolute'
    && !each.querySelector('audio, button, img, input, progress, svg, textarea')
).map(each => each.id || each.className)"""
"""Blocks with nothing in them that take room nevertheless."""
STOP = """() => {
    const each = document.activeElement;
    if (!each || each === document.body) return null;
    const again = each.dataset.reached === 'true', style = getComputedStyle(each);
    each.dataset.reached = 'true';
    const {top, bottom} = (each.closest('.block') || each).getBoundingClientRect();
    const label = each.labels && each.labels.length ? each.labels[0] : each;
    return {
        again, name: each.ariaLabel || label.textContent.trim().slice(0, 40),
        top: top + scrollY, bottom: bottom + scrollY,
        seen: style.outlineStyle === 'solid' && parseFloat(style.outlineWidth) >= 2,
    };
}"""
"""Where the keyboard is; from `top` to `bottom` in pixels stands what it is part of."""


@pytest.fixture(params=READY)
def whole(request, page):
    """Each page with all of its parts open, on a phone."""
    page.get_by_role("tab", name=request.param, exact=True).click()
    page.set_viewport_size(PHONE)
    for part in page.locator("button.label-wrap").filter(visible=True).all():
        if "open" not in (part.get_attribute("class") or "").split():
            part.click()
    expect(page.locator(READY[request.param]).first).to_be_visible()
    return page


def test_all_of_it_is_within_reach(whole):
    assert whole.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert [each["name"] for each in whole.evaluate(CONTROLS) if each["outside"]] == []
    assert whole.evaluate(GAPS) == []
    assert nameless(whole) == []
    stops = walked(whole)
    assert [each["name"] for each in stops if not each["seen"]] == []
    for before, after in itertools.pairwise(stops):
        assert after["bottom"] >= before["top"], f"{after['name']} stands above {before['name']}"
    expect(whole.locator("[role=combobox][aria-expanded=true]")).to_have_count(0)
    missed = [e["name"] for e in whole.evaluate(CONTROLS) if e["stop"] and not e["reached"]]
    assert missed == []


def nameless(page):
    """Roles of what can be used and has no name, as the browser tells screen readers."""
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    return [each["role"]["value"] for each in nodes if _is_used(each) and not _name(each)]


def _is_used(node):
    properties = {each["name"]: each["value"].get("value") for each in node.get("properties", ())}
    role = node["role"].get("value")
    # A generic one is the inside of an editor, where the Tab key does not stop.
    return (
        not node["ignored"]
        and properties.get("focusable")
        and role not in ("RootWebArea", "generic")
    )


def _name(node):
    return node.get("name", {}).get("value", "").strip()


def walked(page):
    """Where the Tab key stops from the top of the page until it leaves it at the end."""
    page.evaluate(
        "() => { const top = document.querySelector('h1'); top.tabIndex = -1; top.focus() }"
    )
    stops = []
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        stop = page.evaluate(STOP)
        if stop is None:
            return stops
        assert not stop["again"], f"the Tab key comes back to {stop['name']}"
        stops.append(stop)
    raise AssertionError(f"the Tab key does not leave the page: {stops[-3:]}")


def test_what_happens_and_what_is_wrong_is_told_to_screen_readers(page):
    message = page.locator("#speak-message")
    expect(message).to_have_attribute("aria-live", "polite")
    page.get_by_role("button", name="Speak", exact=True).press("Enter")
    expect(message.get_by_role("alert")).to_contain_text("Type a text above.")
    page.get_by_role("tab", name="Settings").click()
    pause = page.get_by_role("textbox", name="speech.pause_s")
    pause.fill("soon")
    pause.press("Tab")
    expect(pause).to_have_attribute("aria-invalid", "true")
    expect(pause).to_have_accessible_description(re.compile("must be a valid number"))
    pause.fill("0.2")
    pause.press("Tab")
    expect(pause).not_to_have_attribute("aria-invalid", "true")
