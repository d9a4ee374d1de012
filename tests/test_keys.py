"""API keys and the tokens that stand for them."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import pytest
from typer.testing import CliRunner

from alltalk.cli import app as command_line
from alltalk.config_store import ConfigStore
from alltalk.errors import BadInput, ConfigError, NotFound
from alltalk.home import Home
from alltalk.keys import ApiKey, Role, find_key, hashed, keys_in, new_key, with_key
from alltalk.tokens import TokenSigner, home_secret

SECRET = bytes(range(32))
PHONE, DESK = ApiKey("phone", hashed("p")), ApiKey("desk", hashed("d"))
KEYS = (PHONE, DESK)


@pytest.fixture
def alltalk(tmp_path):
    """Runs `alltalk keys …` in a home of its own; what it prints."""

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(
            command_line, ["keys", *arguments, "--home", str(tmp_path)], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return result.output

    return run


class Clock:
    """Says what it is told."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_key_is_found_by_itself_and_by_nothing_else():
    one, two = new_key(), new_key()
    keys = [ApiKey("a", hashed(one), "user"), ApiKey("b", hashed(two), "admin")]
    assert find_key(keys, one) is keys[0]
    assert find_key(keys, two) is keys[1]
    for wrong in ("", one[:-1], one + "x", hashed(one), "ключ"):
        assert find_key(keys, wrong) is None


def test_roles_stand_above_one_another():
    assert Role.named("user") < Role.named("power") < Role.named("admin")


@pytest.mark.parametrize("name", ["", "a b", "a.b", "ä", "x" * 41, "a\n"])
def test_a_key_cannot_have_a_name_that_would_break_a_token(name):
    with pytest.raises(ValueError, match="cannot name a key"):
        ApiKey(name, hashed("k"))


def test_keys_of_the_environment_are_hashed_and_may_be_named():
    keys = keys_in(" first , phone=second,,third=")
    assert [(key.name, key.hash) for key in keys] == [
        ("key-1", hashed("first")),
        ("phone", hashed("second")),
        ("key-3", hashed("third=")),
    ]
    assert {key.role for key in keys} == {"admin"}


def test_the_environment_sets_keys_and_they_are_never_written(tmp_path):
    store = ConfigStore(Home(tmp_path), {"ALLTALK_API_KEYS": "hush"})
    assert find_key(store.current.server.api_keys, "hush").name == "key-1"
    store.change({"speech.pause_s": 0.5})
    written = (tmp_path / "confignew.json").read_text()
    assert "hush" not in written
    assert json.loads(written)["server"]["api_keys"] == []


def test_an_added_key_is_kept_as_a_hash_only(alltalk, tmp_path):
    key = alltalk("add", "phone", "--role", "power").strip()
    assert key not in (tmp_path / "confignew.json").read_text()
    (kept,) = ConfigStore(Home(tmp_path), {}).current.server.api_keys
    assert kept == ApiKey("phone", hashed(key), "power")


def test_keys_are_listed_and_removed_by_name(alltalk):
    alltalk("add", "phone")
    alltalk("add", "desk", "--role", "admin")
    assert alltalk("list") == "phone\tuser\ndesk\tadmin\n"
    alltalk("remove", "phone")
    assert alltalk("list") == "desk\tadmin\n"


def test_a_name_is_given_once_and_must_be_there_to_be_removed(alltalk):
    alltalk("add", "phone")
    with pytest.raises(BadInput, match="already"):
        alltalk("add", "phone")
    with pytest.raises(BadInput, match="cannot name a key"):
        alltalk("add", "my phone")
    with pytest.raises(NotFound):
        alltalk("remove", "desk")


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ([{"name": "a", "hash": "secret", "role": "user"}], "hash"),
        ([{"name": "a", "hash": hashed("k"), "role": "king"}], "role"),
        ([{"name": "a", "hash": hashed(k)} for k in "xy"], "there twice"),
    ],
)
def test_keys_that_cannot_be_are_refused_with_the_settings(tmp_path, keys, problem):
    (tmp_path / "confignew.json").write_text(json.dumps({"server": {"api_keys": keys}}))
    with pytest.raises(ConfigError, match=rf"(?s)server\.api_keys.*{problem}"):
        ConfigStore(Home(tmp_path), {})


def test_a_token_is_good_for_its_path_until_it_expires():
    clock = Clock()
    signer = TokenSigner(SECRET, clock=clock)
    token = signer.sign("/audio/ü 1.wav", PHONE, 60)
    assert signer.check("/audio/ü 1.wav", token, KEYS) == PHONE
    assert signer.check("/audio/2.wav", token, KEYS) is None
    clock.now += 61
    assert signer.check("/audio/ü 1.wav", token, KEYS) is None


def test_a_changed_token_is_worth_nothing():
    signer = TokenSigner(SECRET)
    expiry, name, signature = signer.sign("/a", PHONE, 60).split(".")
    assert signer.check("/a", f"{expiry}.{name}.{signature}", KEYS) == PHONE
    for token in (
        f"{int(expiry) + 1}.{name}.{signature}",
        f"{expiry}.desk.{signature}",
        f"{expiry}.{name}.{signature[:-1]}",
        f"{expiry}.{name}.",
        f"{expiry}{name}{signature}",
        f"never.{name}.{signature}",
        "",
        "é.é.é",
    ):
        assert signer.check("/a", token, KEYS) is None


def test_another_key_of_the_same_name_does_not_take_the_token():
    signer = TokenSigner(SECRET)
    token = signer.sign("/a", PHONE, 60)
    assert signer.check("/a", token, [DESK]) is None
    assert signer.check("/a", token, [ApiKey("phone", hashed("another"))]) is None


def test_another_home_does_not_take_the_token():
    token = TokenSigner(SECRET).sign("/a", PHONE, 60)
    assert TokenSigner(SECRET[::-1]).check("/a", token, KEYS) is None


def test_a_home_keeps_its_secret_to_its_owner(tmp_path):
    secret = home_secret(tmp_path)
    assert len(secret) == 32
    assert home_secret(tmp_path) == secret
    assert os.listdir(tmp_path) == [".secret"]
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / ".secret").stat().st_mode) == 0o600


def test_servers_that_start_at_once_agree_on_the_secret(tmp_path):
    with ThreadPoolExecutor(8) as threads:
        secrets = set(threads.map(home_secret, [tmp_path] * 32))
    assert len(secrets) == 1
    assert os.listdir(tmp_path) == [".secret"]


def test_a_home_that_cannot_keep_a_secret_still_gets_one(tmp_path, caplog):
    (tmp_path / ".secret").write_bytes(b"short")
    assert len(home_secret(tmp_path)) == 32
    assert "too short" in caplog.text


def test_keys_changed_by_two_at_once_are_all_kept(tmp_path):
    """The page and the command line hold a store each, and what they last read may be old."""
    page, command = ConfigStore(Home(tmp_path), {}), ConfigStore(Home(tmp_path), {})

    def add(store, name):
        def patch(config):
            keys = with_key(config.server.api_keys, name, new_key())
            return {"server.api_keys": [asdict(key) for key in keys]}

        return store.edit(patch)

    add(command, "cli")
    assert [key.name for key in add(page, "page").server.api_keys] == ["cli", "page"]
    assert [key.name for key in command.reload().server.api_keys] == ["cli", "page"]
