"""`alltalk models`, run as its users run it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import pytest
from hub import absent_hub, local_hub

WEIGHTS = b"weights" * 50_000
MANIFEST = {"alltalk": {"display_name": "Toy", "models": {"files": ["weights.bin"]}}}
TERMS = "Not to be sold."


@pytest.fixture
def hub():
    with local_hub() as server:
        server.share("/weights.bin", WEIGHTS)
        yield server


@pytest.fixture
def home(tmp_path, hub):
    folder = tmp_path / "engines/toy"
    folder.mkdir(parents=True)
    (folder / "engine.py").touch()
    (folder / "model_settings.json").write_text(json.dumps(MANIFEST))
    file = {
        "path": "weights.bin",
        "url": "https://huggingface.co/weights.bin",
        "size": len(WEIGHTS),
        "sha256": hashlib.sha256(WEIGHTS).hexdigest(),
    }
    models = [
        {"name": "small", "licence": "MIT", "languages": ["en-us"], "files": [file]},
        {"name": "bound", "terms": TERMS, "languages": ["de"], "files": [file]},
    ]
    (folder / "available_models.json").write_text(json.dumps({"models": models}))
    return tmp_path


@pytest.fixture
def alltalk(home, hub):
    """`alltalk(*arguments)` is the finished process; the hub is the local one."""

    def run(*arguments, **environ):
        return subprocess.run(
            [sys.executable, "-m", "alltalk", "models", *arguments],
            env={**os.environ, "ALLTALK_HOME": str(home), "HF_ENDPOINT": hub.url, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    return run


def test_install_list_verify_and_remove(alltalk):
    installed = alltalk("install", "small")
    assert installed.returncode == 0, installed.stderr
    assert "Licence: MIT" in installed.stdout
    assert "weights.bin (0.3 MB): fetched" in installed.stdout
    assert "toy/small is installed." in installed.stdout
    assert f"toy/small\tinstalled\t{len(WEIGHTS)}" in alltalk("list", "toy").stdout.splitlines()
    assert alltalk("list", "--installed").stdout.startswith("toy/small\t")
    assert alltalk("verify").stdout == "toy/small: as it should be\n"
    assert alltalk("remove", "small").stdout == "toy/small was removed.\n"
    assert alltalk("list", "--installed").stdout == ""
    nothing = alltalk("verify")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "Nothing is installed yet" in nothing.stderr


def test_what_voice_conversion_needs_is_in_the_catalogue(alltalk):
    done = alltalk("list", "rvc")
    assert done.returncode == 0
    assert done.stdout.startswith("rvc/rvc-base\t")


def test_a_list_can_be_narrowed_to_a_language(alltalk):
    assert alltalk("list", "toy", "--language", "en").stdout.startswith("toy/small\t")
    assert alltalk("list", "toy", "-l", "de").stdout.startswith("toy/bound\t")
    assert alltalk("list", "toy", "-l", "d").stdout == ""


def test_terms_are_shown_and_nothing_is_fetched_until_they_are_agreed_to(alltalk, hub):
    refused = alltalk("install", "bound")
    assert refused.returncode == 2
    assert TERMS in refused.stdout
    assert "alltalk models install toy/bound --yes" in refused.stderr
    assert hub.asked == []
    agreed = alltalk("install", "bound", "--yes")
    assert (agreed.returncode, TERMS in agreed.stdout) == (0, True)


def test_without_a_network_the_command_to_go_on_is_named(alltalk):
    with absent_hub() as gone:
        failed = alltalk("install", "small", HF_ENDPOINT=gone.url)
    assert failed.returncode == 1
    assert "Is there a network here?" in failed.stderr
    assert "To go on: alltalk models install toy/small" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_one_that_fails_does_not_keep_others_from_being_installed(alltalk, home, hub):
    file = {"path": "gone.bin", "url": "https://huggingface.co/gone.bin"}
    own = home / "engines/toy/available_models.json"
    content = json.loads(own.read_text())
    content["models"].append({"name": "gone", "files": [file]})
    own.write_text(json.dumps(content))
    result = alltalk("install", "gone", "small")
    assert result.returncode == 1
    assert "toy/small is installed." in result.stdout
    assert "To go on: alltalk models install toy/gone\n" in result.stderr


def test_names_that_are_none_are_a_fault_of_the_command_line(alltalk):
    unknown = alltalk("install", "smal")
    assert unknown.returncode == 2
    assert "Did you mean small?" in unknown.stderr
    assert alltalk("list", "nonsuch").returncode == 2
    assert alltalk("remove", "small").returncode == 2


def test_verify_says_what_is_wrong_and_how_to_mend_it(alltalk, home):
    alltalk("install", "small")
    (home / "engines/toy/models/small/weights.bin").write_bytes(b"short")
    result = alltalk("verify")
    assert result.returncode == 1
    assert "weights.bin has 5 bytes instead of 350000." in result.stdout
    assert "alltalk models install toy/small" in result.stdout
