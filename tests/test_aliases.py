"""Variables of a server that ours replaces go on working."""

from __future__ import annotations

import pytest

from alltalk.config_store import ALIASES, ConfigStore, get
from alltalk.errors import ConfigError
from alltalk.home import Home


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("CACHE_TTL_MINUTES", "30", "cache.ttl_minutes", 30),
        ("CACHE_TTL_MINUTES", "0", "cache.ttl_minutes", 0),
        ("AUDIO_CACHE_DIR", "/var/cache/tts", "cache.folder", "/var/cache/tts"),
        ("SERVED_MODEL_NAME", "voxcpm", "speech.served_model_name", "voxcpm"),
        ("DEFAULT_VOICE", "alloy", "speech.default_voice", "alloy"),
        ("CORS_ALLOW_ORIGINS", "*", "server.cors_allow_origins", ["*"]),
        (
            "CORS_ALLOW_ORIGINS",
            "https://a, null",
            "server.cors_allow_origins",
            ["https://a", "null"],
        ),
        ("REDIS_URL", "redis://r:6379/0", "presence.redis_url", "redis://r:6379/0"),
        ("NODE_ID", "n1", "presence.node_id", "n1"),
        ("NODE_HOST", "tts.lan", "presence.node_host", "tts.lan"),
        ("NODE_PORT", "9004", "presence.node_port", 9004),
        ("REDIS_PUBLISH_INTERVAL", "2", "presence.interval_s", 2),
    ],
)
def test_a_variable_of_the_other_server_sets_our_key(tmp_path, variable, text, key, value):
    store = ConfigStore(Home(tmp_path), {variable: text})
    assert get(store.current.model_dump(mode="json"), tuple(key.split("."))) == value
    assert store.overridden[key] == variable


def test_our_own_variable_wins(tmp_path):
    environ = {"DEFAULT_VOICE": "alloy", "ALLTALK_SPEECH__DEFAULT_VOICE": "nova"}
    assert ConfigStore(Home(tmp_path), environ).current.speech.default_voice == "nova"


def test_an_empty_variable_is_none(tmp_path):
    store = ConfigStore(Home(tmp_path), dict.fromkeys(ALIASES, " "))
    assert store.overridden == {}


def test_a_wrong_value_is_blamed_on_its_variable(tmp_path):
    with pytest.raises(ConfigError, match=r"CACHE_TTL_MINUTES: cache\.ttl_minutes"):
        ConfigStore(Home(tmp_path), {"CACHE_TTL_MINUTES": "a week"})
