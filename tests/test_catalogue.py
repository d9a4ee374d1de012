"""What can be installed, and installing it: the catalogue's files, and models in their place."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import json
import shutil
import threading
import zipfile
from pathlib import Path

import pytest
from hub import local_hub

from alltalk.errors import (
    ConfigError,
    DiskFull,
    DownloadFailed,
    NotFound,
    Refused,
    StorageError,
    TermsNotAccepted,
)
from alltalk.home import Home
from alltalk.models import Hub, ModelCatalogue, ModelState
from alltalk.models.catalogue import FILE_NAME, read_catalogue
from alltalk.registry import Registry

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS, CONFIG = b"weights" * 50_000, b'{"sample_rate": 24000}'
MANIFEST = {"alltalk": {"display_name": "Toy", "models": {"files": ["weights.bin"]}}}


@pytest.fixture
def hub():
    with local_hub() as server:
        server.share("/small/weights.bin", WEIGHTS)
        server.share("/small/config.json", CONFIG)
        yield server


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    home.create()
    folder = home.engines / "toy"
    folder.mkdir()
    (folder / "engine.py").touch()
    (folder / "model_settings.json").write_text(json.dumps(MANIFEST))
    return home


@pytest.fixture
def offer(home, hub):
    """`offer(entry, …)` writes the catalogue of the engine `toy`; without any, that of `small`."""

    def write(*entries):
        content = {"base_url": f"{hub.url}/", "models": entries or [small()]}
        (home.engines / "toy" / FILE_NAME).write_text(json.dumps(content))
        return ModelCatalogue(home, Registry(home), Hub(), pause_s=0.001)

    return write


def small(**changes):
    files = [published("config.json", CONFIG), published("weights.bin", WEIGHTS)]
    return {"name": "small", "files": files, **changes}


def published(name, content):
    sha256 = hashlib.sha256(content).hexdigest()
    return {"path": name, "url": f"small/{name}", "size": len(content), "sha256": sha256}


def files_in(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


async def state_of(catalogue, name="small"):
    return next(each.state for each in await catalogue.list("toy") if each.entry.name == name)


async def test_an_installed_model_is_one_of_its_engine(offer, home):
    catalogue = offer()
    assert await state_of(catalogue) is ModelState.ABSENT
    listed = await catalogue.install("small", agreed=False)
    assert listed.state is await state_of(catalogue) is ModelState.INSTALLED
    assert Registry(home).models("toy") == ("small",)
    assert (home.engines / "toy/models/small/weights.bin").read_bytes() == WEIGHTS
    assert await catalogue.verify("small") == []


async def test_an_interrupted_installation_shows_no_model_and_goes_on_later(offer, home, hub):
    catalogue = offer()
    hub.files["/small/weights.bin"].cuts = [200_000, 0, 0, 0]
    with pytest.raises(DownloadFailed, match=r"weights\.bin"):
        await catalogue.install("small", agreed=False)
    assert await state_of(catalogue) is ModelState.PARTIAL
    assert Registry(home).models("toy") == ()
    assert all(name.endswith((".partial", ".tag", ".lock")) for name in models_of(home))
    hub.files["/small/weights.bin"].cuts = []
    await catalogue.install("small", agreed=False)
    assert "range" in hub.asked[-1][1]
    assert await state_of(catalogue) is ModelState.INSTALLED


def models_of(home):
    return files_in(home.engines / "toy/models")


async def test_a_wrong_file_makes_no_model(offer, home, hub):
    hub.files["/small/weights.bin"].content = WEIGHTS[::-1]
    with pytest.raises(DownloadFailed, match="not the file that was published"):
        await offer().install("small", agreed=False)
    assert Registry(home).models("toy") == ()


async def test_installing_twice_fetches_once(offer, hub):
    catalogue = offer()
    await catalogue.install("small", agreed=False)
    await catalogue.install("toy/small", agreed=False)
    assert len(hub.asked) == 2


async def test_the_same_model_is_not_installed_twice_at_a_time(offer, hub, wait_until):
    catalogue = offer()
    held = hub.files["/small/weights.bin"].held = threading.Event()
    first = asyncio.create_task(catalogue.install("small", agreed=False))
    await wait_until(lambda: len(hub.asked) == 2)
    with pytest.raises(Refused, match="small is being installed already"):
        await catalogue.install("small", agreed=False)
    with pytest.raises(Refused):
        await catalogue.remove("small")
    held.set()
    assert (await first).state is ModelState.INSTALLED


@pytest.fixture
def wait_until():
    async def wait(holds):
        async with asyncio.timeout(60):
            while not holds():  # noqa: ASYNC110 - another thread makes it true
                await asyncio.sleep(0.01)

    return wait


async def test_an_installation_that_is_cancelled_keeps_what_has_arrived(offer, hub, wait_until):
    catalogue = offer()
    held = hub.files["/small/weights.bin"].held = threading.Event()
    arrived = []
    task = asyncio.create_task(catalogue.install("small", agreed=False, report=arrived.append))
    await wait_until(lambda: any(at.path == "weights.bin" and at.received for at in arrived))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await state_of(catalogue) is ModelState.PARTIAL
    held.set()
    await catalogue.install("small", agreed=False)
    assert any("range" in headers for headers in hub.headers_of("/small/weights.bin"))


async def test_a_model_with_terms_is_fetched_only_when_they_are_agreed_to(offer, hub):
    catalogue = offer(small(terms="Not to be sold."))
    with pytest.raises(TermsNotAccepted, match="Not to be sold"):
        await catalogue.install("small", agreed=False)
    assert hub.asked == []
    assert (await catalogue.install("small", agreed=True)).state is ModelState.INSTALLED


async def test_verify_tells_what_was_changed_and_installing_again_mends_it(offer, home, hub):
    catalogue = offer()
    await catalogue.install("small", agreed=False)
    folder = home.engines / "toy/models/small"
    (folder / "weights.bin").write_bytes(WEIGHTS[::-1])
    (folder / "config.json").unlink()
    assert await state_of(catalogue) is ModelState.DAMAGED
    missing, changed = await catalogue.verify("small")
    assert missing == "config.json is missing."
    assert changed.startswith("weights.bin was changed")
    (folder / "own.txt").write_text("mine")
    await catalogue.install("small", agreed=False)
    assert await catalogue.verify("small") == []
    assert (folder / "own.txt").read_text() == "mine"


async def test_only_what_is_not_right_is_fetched_again(offer, home, hub):
    catalogue = offer()
    await catalogue.install("small", agreed=False)
    (home.engines / "toy/models/small/config.json").unlink()
    hub.asked.clear()
    await catalogue.install("small", agreed=False)
    assert [path for path, _ in hub.asked] == ["/small/config.json"]


async def test_a_model_that_somebody_else_put_there_is_known_by_its_files(offer, home):
    folder = home.engines / "toy/models/small"
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(WEIGHTS)
    (folder / "config.json").write_bytes(CONFIG)
    catalogue = offer()
    assert await state_of(catalogue) is ModelState.INSTALLED
    assert await catalogue.verify("small") == []


async def test_removing_leaves_nothing_but_the_files_of_others(offer, home):
    catalogue = offer()
    await catalogue.install("small", agreed=False)
    own = home.engines / "toy/models/small/own.txt"
    own.write_text("mine")
    assert (await catalogue.remove("small")).state is ModelState.ABSENT
    assert [name for name in models_of(home) if not name.endswith(".lock")] == ["small/own.txt"]
    with pytest.raises(NotFound, match="not installed"):
        await catalogue.remove("small")


async def test_models_without_a_folder_lie_side_by_side(offer, home):
    catalogue = offer(
        small(folder=""),
        {
            "name": "other",
            "folder": "",
            "files": [{"path": "other.bin", "url": "small/weights.bin"}],
        },
    )
    await catalogue.install("small", agreed=False)
    await catalogue.install("other", agreed=False)
    await catalogue.remove("small")
    visible = [name for name in models_of(home) if not name.startswith(".")]
    assert visible == ["other.bin"]
    assert await catalogue.verify("other") == []


async def test_an_archive_is_replaced_by_its_content(offer, home, hub):
    hub.share("/small.zip", zipped({"top/weights.bin": WEIGHTS, "top/deep/a.json": CONFIG}))
    catalogue = offer(
        {"name": "small", "files": [{"path": "s.zip", "url": "small.zip", "unpack": True}]}
    )
    await catalogue.install("small", agreed=False)
    assert files_in(home.engines / "toy/models/small") == ["deep/a.json", "weights.bin"]
    assert await catalogue.verify("small") == []
    await catalogue.install("small", agreed=False)
    assert len(hub.asked) == 1
    await catalogue.remove("small")
    assert not (home.engines / "toy/models/small").exists()


@pytest.mark.parametrize(
    "name", ["../escaped.bin", "/tmp/escaped.bin", "a/../../escaped.bin", "con"]
)
async def test_an_archive_that_would_leave_its_folder_is_not_unpacked(offer, home, hub, name):
    hub.share("/small.zip", zipped({"weights.bin": WEIGHTS, name: b"x"}))
    catalogue = offer(
        {"name": "small", "files": [{"path": "s.zip", "url": "small.zip", "unpack": True}]}
    )
    with pytest.raises(DownloadFailed, match="not unpacked"):
        await catalogue.install("small", agreed=False)
    assert Registry(home).models("toy") == ()
    assert not list(home.root.rglob("escaped.bin"))


async def test_what_is_no_archive_is_said_to_be_none(offer, hub):
    hub.share("/small.zip", b"<html>")
    catalogue = offer(
        {"name": "small", "files": [{"path": "s.zip", "url": "small.zip", "unpack": True}]}
    )
    with pytest.raises(DownloadFailed, match="no archive"):
        await catalogue.install("small", agreed=False)


def zipped(files):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return sink.getvalue()


async def test_a_model_that_will_not_fit_is_not_begun(offer, home, hub):
    free = shutil.disk_usage(home.root).free
    big = {"path": "weights.bin", "url": "small/weights.bin", "size": free * 2}
    with pytest.raises(DiskFull, match="MB left"):
        await offer({"name": "small", "files": [big]}).install("small", agreed=False)
    assert hub.asked == []


async def test_a_folder_that_cannot_be_written_is_named(offer, home):
    (home.engines / "toy/models").write_text("not a folder")
    with pytest.raises(StorageError, match="models") as raised:
        await offer().install("small", agreed=False)
    assert raised.value.__cause__.errno in (errno.ENOTDIR, errno.EEXIST)


async def test_an_engine_s_name_stands_for_its_recommended_model(offer):
    catalogue = await offer(small(), small(name="better", recommended=True)).read()
    assert catalogue.find("toy").name == "better"
    assert catalogue.find("TOY/Small").name == "small"
    with pytest.raises(NotFound, match="Did you mean better"):
        catalogue.find("beter")


async def test_entries_of_the_home_s_own_file_replace_those_that_came_with_the_engine(home):
    folder = home.engines / "piper"
    folder.mkdir()
    name = "en_US-lessac-medium"
    own = {"name": name, "files": [{"path": "a", "url": "https://mirror.example/a"}]}
    (folder / FILE_NAME).write_text(json.dumps({"models": [own]}))
    catalogue = await ModelCatalogue(home, Registry(home), Hub()).read()
    assert catalogue.find(name).files[0].url == "https://mirror.example/a"
    assert catalogue.find("en_US-lessac-high").files[0].url.startswith("https://huggingface.co/")


async def test_a_file_that_does_not_hold_leaves_out_its_engine_and_no_other(offer, home):
    (home.engines / "piper").mkdir()
    (home.engines / "piper" / FILE_NAME).write_text("[]")
    catalogue = await offer().read()
    assert catalogue.find("small")
    place = f"engines/piper/{FILE_NAME}"
    assert list(catalogue.problems) == [place]
    assert catalogue.problems[place].startswith(place)
    assert str(home.root) not in catalogue.problems[place]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"files": []}, "no files"),
        ({"files": [{"path": "../x", "url": "a"}]}, "cannot be a file name"),
        ({"files": [{"path": "/etc/x", "url": "a"}]}, "cannot be a file name"),
        ({"files": [{"path": "C:\\x", "url": "a"}]}, "cannot be a file name"),
        ({"files": [{"path": ".partial/x", "url": "a"}]}, "begin with a dot"),
        ({"files": [{"path": "x", "url": "file:///etc/passwd"}]}, "not the address"),
        ({"files": [{"path": "x", "url": "a", "size": "9"}]}, "number of bytes"),
        ({"files": [{"path": "x", "url": "a", "sha256": "abc"}]}, "sha256 of x"),
        ({"name": "a/b"}, "cannot be a file name"),
        ({"folder": "../up"}, "cannot be a file name"),
        ({"languages": "en"}, "languages"),
        ({"license": "MIT"}, "unknown key license"),
    ],
)
def test_an_entry_that_does_not_hold_is_refused_by_name(tmp_path, change, complaint):
    file = tmp_path / FILE_NAME
    file.write_text(json.dumps({"base_url": "https://example.org/", "models": [small(**change)]}))
    with pytest.raises(ConfigError, match=complaint) as raised:
        read_catalogue(file, "toy", Path("engines/toy/models"))
    assert str(file) in str(raised.value)


def test_two_entries_with_one_name_are_refused(tmp_path):
    file = tmp_path / FILE_NAME
    models = [small(), small(name="SMALL")]
    file.write_text(json.dumps({"base_url": "https://example.org/", "models": models}))
    with pytest.raises(ConfigError, match="small is there twice"):
        read_catalogue(file, "toy", Path("x"))


@pytest.mark.parametrize("file", sorted(ROOT.glob(f"engines/*/{FILE_NAME}")), ids=str)
def test_the_catalogues_that_come_with_alltalk_hold(file):
    group = file.parent.name
    entries = read_catalogue(file, group, Path("engines", group, "models"))
    assert sum(entry.recommended for entry in entries) == 1
    for entry in entries:
        assert entry.description
        assert entry.licence
        assert entry.languages
        assert all(each.url.startswith("https://") for each in entry.files)


def test_what_piper_publishes_is_offered_with_sizes_and_digests():
    entries = read_catalogue(ROOT / "engines/piper" / FILE_NAME, "piper", Path("x"))
    assert len(entries) > 150
    for entry in entries:
        config, network = entry.files
        assert (config.path, network.path) == (f"{entry.name}.onnx.json", f"{entry.name}.onnx")
        assert all(each.size and each.md5 for each in entry.files)


def test_xtts_asks_for_agreement_to_its_licence():
    entries = read_catalogue(ROOT / "engines/xtts" / FILE_NAME, "xtts", Path("x"))
    assert {entry.name for entry in entries} == {"xttsv2_2.0.2", "xttsv2_2.0.3"}
    assert all("non-commercial" in entry.terms for entry in entries)
