"""Files are fetched whole and right, whatever the network and the disk do."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys

import pytest
from hub import absent_hub, local_hub

from alltalk.errors import DownloadFailed
from alltalk.models import Hub, ModelFile
from alltalk.models.downloads import Fetcher

CONTENT = random.Random(7).randbytes(1_500_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def hub():
    with local_hub() as server:
        yield server


@pytest.fixture
def other_host():
    with local_hub() as server:
        yield server


@pytest.fixture
def place(tmp_path):
    return tmp_path / "deep" / "model.bin"


def partial(place):
    return place.with_name(place.name + ".partial")


async def fetch(hub, place, *, report=lambda at: None, token="", path="/m/model.bin", **published):
    file = ModelFile("model.bin", f"https://huggingface.co{path}", **published)
    async with Fetcher(Hub(hub.url, token), pause_s=0.001) as fetcher:
        return await fetcher.fetch(file, place, report)


async def test_a_file_arrives_whole_and_its_sha256_is_told(hub, place):
    hub.share("/m/model.bin", CONTENT)
    assert await fetch(hub, place, size=len(CONTENT), sha256=SHA256) == SHA256
    assert partial(place).read_bytes() == CONTENT
    assert [each.name for each in place.parent.iterdir()] == ["model.bin.partial"]


async def test_progress_grows_up_to_the_size(hub, place):
    hub.share("/m/model.bin", CONTENT)
    seen = []
    await fetch(hub, place, report=seen.append)
    received = [at.received for at in seen]
    assert received == sorted(received)
    assert (received[0], received[-1]) == (0, len(CONTENT))
    assert {(at.path, at.size) for at in seen} == {("model.bin", len(CONTENT))}


async def test_a_cut_connection_goes_on_where_it_broke_off(hub, place):
    hub.share("/m/model.bin", CONTENT, cuts=[400_000, 500_000])
    assert await fetch(hub, place, sha256=SHA256) == SHA256
    second, third = hub.headers_of("/m/model.bin")[1:]
    assert second["if-range"] == third["if-range"] == '"first"'
    assert 0 < int(second["range"][6:-1]) < int(third["range"][6:-1])


async def test_a_later_run_goes_on_where_the_first_broke_off(hub, place):
    file = hub.share("/m/model.bin", CONTENT, cuts=[700_000, 0, 0, 0])
    with pytest.raises(DownloadFailed, match="kept for the next try"):
        await fetch(hub, place)
    arrived = partial(place).stat().st_size
    assert 0 < arrived <= 700_000
    file.cuts.clear()
    assert await fetch(hub, place) == SHA256
    assert hub.asked[-1][1]["range"] == f"bytes={arrived}-"


async def test_a_file_changed_meanwhile_is_fetched_anew(hub, place):
    file = hub.share("/m/model.bin", CONTENT, cuts=[700_000, 0, 0, 0])
    with pytest.raises(DownloadFailed):
        await fetch(hub, place)
    file.content, file.etag, file.cuts = CONTENT[::-1], '"second"', []
    await fetch(hub, place)
    assert partial(place).read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
async def test_without_a_strong_tag_the_rest_is_asked_for_only_if_a_digest_will_tell(
    hub, place, etag
):
    for digest, ranges in (({}, 0), ({"md5": hashlib.md5(CONTENT).hexdigest()}, 1)):
        hub.asked.clear()
        hub.share("/m/model.bin", CONTENT, cuts=[700_000], etag=etag)
        assert await fetch(hub, place.with_name(f"with-{ranges}"), **digest) == SHA256
        assert sum("range" in headers for _, headers in hub.asked) == ranges


async def test_a_server_that_knows_no_parts_sends_all_again(hub, place):
    hub.share("/m/model.bin", CONTENT, cuts=[700_000], ranges=False)
    assert await fetch(hub, place, sha256=SHA256) == SHA256
    assert "range" in hub.asked[1][1]


async def test_a_file_that_came_whole_in_an_earlier_run_is_not_fetched_again(hub, place):
    hub.share("/m/model.bin", CONTENT)
    await fetch(hub, place)
    assert await fetch(hub, place, size=len(CONTENT), sha256=SHA256) == SHA256
    assert len(hub.asked) == 1


async def test_the_server_says_when_nothing_is_missing_of_a_file_of_unknown_size(hub, place):
    hub.share("/m/model.bin", CONTENT)
    await fetch(hub, place)
    assert await fetch(hub, place, sha256=SHA256) == SHA256
    assert hub.asked[-1][1]["range"] == f"bytes={len(CONTENT)}-"


async def test_more_than_the_file_has_is_thrown_away(hub, place):
    hub.share("/m/model.bin", CONTENT)
    place.parent.mkdir()
    partial(place).write_bytes(CONTENT + b"more")
    assert await fetch(hub, place, sha256=SHA256) == SHA256


@pytest.mark.parametrize(
    ("published", "difference"),
    [
        ({"sha256": "0" * 64}, f"SHA-256 is {SHA256}"),
        ({"md5": "0" * 32}, "its MD5 is"),
        ({"size": 17}, "it has 1500000 bytes, not 17"),
    ],
)
async def test_what_is_not_as_published_is_removed(hub, place, published, difference):
    hub.share("/m/model.bin", CONTENT)
    with pytest.raises(DownloadFailed, match=f"not the file that was published.*{difference}"):
        await fetch(hub, place, **published)
    assert list(place.parent.iterdir()) == []


async def test_a_file_of_another_size_is_refused_before_it_is_sent(hub, place):
    hub.share("/m/model.bin", CONTENT)
    seen = []
    with pytest.raises(DownloadFailed):
        await fetch(hub, place, report=seen.append, size=17)
    assert seen == []


async def test_the_digest_the_hub_names_before_it_redirects_is_checked(hub, other_host, place):
    other_host.share("/blob", CONTENT)
    wrong = {"X-Linked-Etag": f'"{"0" * 64}"'}
    hub.share("/m/model.bin", b"", redirect=f"{other_host.url}/blob", headers=wrong)
    with pytest.raises(DownloadFailed, match="SHA-256"):
        await fetch(hub, place)
    hub.files["/m/model.bin"].headers = {"X-Linked-Etag": f'"{SHA256}"'}
    assert await fetch(hub, place) == SHA256


async def test_the_token_goes_to_the_hub_and_to_no_other_host(hub, other_host, place):
    other_host.share("/blob", CONTENT)
    hub.share("/m/model.bin", b"", redirect=f"{other_host.url}/blob")
    await fetch(hub, place, token="hf_secret")
    assert hub.asked[0][1]["authorization"] == "Bearer hf_secret"
    assert "authorization" not in other_host.asked[0][1]


async def test_a_file_from_elsewhere_is_asked_for_without_the_token(hub, other_host, place):
    other_host.share("/file", CONTENT)
    file = ModelFile("model.bin", f"{other_host.url}/file")
    async with Fetcher(Hub(hub.url, "hf_secret")) as fetcher:
        await fetcher.fetch(file, place, lambda at: None)
    assert "authorization" not in other_host.asked[0][1]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_gated_file_says_how_to_be_let_in(hub, place, status):
    hub.share("/m/model.bin", b"", status=status)
    with pytest.raises(DownloadFailed, match="HF_TOKEN"):
        await fetch(hub, place)


async def test_a_file_that_is_not_there_is_not_asked_for_again(hub, place):
    with pytest.raises(DownloadFailed, match="answers 404"):
        await fetch(hub, place)
    assert len(hub.asked) == 1


async def test_a_server_in_trouble_is_asked_again_a_few_times(hub, place):
    hub.share("/m/model.bin", b"", status=503)
    with pytest.raises(DownloadFailed, match="it answers 503"):
        await fetch(hub, place)
    assert len(hub.asked) == 3


async def test_without_a_network_it_says_so_and_what_may_be_missing(place):
    with (
        absent_hub() as gone,
        pytest.raises(DownloadFailed, match=r"Is there a network here.*HTTPS_PROXY"),
    ):
        await fetch(gone, place)


def test_a_mirror_stands_in_for_hugging_face_alone():
    hub = Hub.of({"HF_ENDPOINT": "https://mirror.example/hf/", "HF_TOKEN": "t"})
    assert hub.locate("https://huggingface.co/a/b") == "https://mirror.example/hf/a/b"
    assert hub.locate("https://github.com/a/b") == "https://github.com/a/b"
    assert hub.headers("https://mirror.example/hf/a/b") == {"Authorization": "Bearer t"}
    assert hub.headers("http://mirror.example/hf/a/b") == {}
    assert "Bearer" not in repr(hub)
    assert Hub.of({}).headers("https://huggingface.co/a") == {}


FULL_DISK = """
import asyncio, resource, signal, sys
from pathlib import Path
from alltalk.errors import StorageError
from alltalk.models import Hub, ModelFile
from alltalk.models.downloads import Fetcher

async def fetch():
    async with Fetcher(Hub(sys.argv[1])) as fetcher:
        file = ModelFile("model.bin", "https://huggingface.co/m/model.bin")
        print(await fetcher.fetch(file, Path(sys.argv[2]), lambda at: None))

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    asyncio.run(fetch())
except StorageError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes there")
def test_a_full_disk_is_named_and_what_has_arrived_is_used_later(hub, place):
    hub.share("/m/model.bin", CONTENT)

    def run(limit):
        command = [sys.executable, "-c", FULL_DISK, hub.url, str(place), str(limit)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert run(600_000).startswith(f"Could not write {partial(place)}: it would be larger")
    assert partial(place).read_bytes() == CONTENT[:600_000]
    assert run(10_000_000) == SHA256
    assert hub.asked[-1][1]["range"] == "bytes=600000-"
