"""Settings as people read and type them."""

from __future__ import annotations

import pytest

from alltalk.config import Config, settings
from alltalk.config_store import get
from alltalk.ui.setting_values import ADDRESS, LISTED, Setting, all_settings

ALL = {each.name: each for part in all_settings().values() for each in part}


def test_every_setting_has_its_place_and_its_meaning():
    assert set(ALL) == {".".join(key) for key, _ in settings()} - {LISTED}
    assert [each.name for each in ALL.values() if not each.meaning] == []


@pytest.mark.parametrize("setting", ALL.values(), ids=ALL)
def test_what_is_shown_is_read_as_the_same(setting: Setting):
    stored = get(Config().model_dump(mode="json", by_alias=True), setting.key)
    shown = setting.shown(stored)
    read = setting.read(shown)
    assert (read, isinstance(read, bool)) == (stored, isinstance(stored, bool))
    assert setting.default == shown
    assert not setting.choices or shown in setting.choices


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("server.cors_allow_origins", " https://a.example ,https://b.example,", 2),
        ("server.port", "", None),
        ("server.port", "8000", 8000),
        ("speech.pause_s", "soon", "soon"),
        ("speech.served_model_name", "0123", "0123"),
        ("speech.strict_streaming", "true", True),
    ],
)
def test_what_is_typed_has_the_setting_s_type(name, typed, value):
    read = ALL[name].read(typed)
    assert (len(read) if isinstance(read, list) else read) == value


def test_a_password_in_an_address_is_neither_shown_nor_lost_unseen():
    setting = ALL[ADDRESS]
    shown = setting.shown("redis://me:secret@host:6379/0")
    assert shown == "redis://me:•••@host:6379/0"
    assert setting.read("redis://host:6379/0") == "redis://host:6379/0"
    assert ":@" in setting.read(shown.replace("6379", "6380"))
