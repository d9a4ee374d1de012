"""Finished files: their names, how they come to be, and when they go."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from disks import mounted

from alltalk.draft import Draft, is_draft, write_whole
from alltalk.errors import DiskFull, NotFound, StorageError, UnsafeName
from alltalk.outputs import Outputs

DAY_S = 86400


@pytest.fixture
def outputs(tmp_path) -> Outputs:
    made = Outputs(tmp_path / "outputs")
    made.prepare()
    return made


@pytest.fixture
def put(outputs) -> Callable[..., Path]:
    """Puts a file among the outputs, last changed `age_s` ago."""

    def putting(name: str, age_s: float = 0) -> Path:
        path = outputs.folder / name
        path.write_bytes(b"sound")
        os.utime(path, (time.time() - age_s,) * 2)
        return path

    return putting


@pytest.fixture
def pin() -> Iterator[Callable[[Path], None]]:
    """Mounts a file over itself, as containers do: it can be written, not renamed or deleted."""
    pinned = []

    def pinning(path: Path) -> None:
        if not mounted("--bind", str(path), str(path)):
            pytest.skip("mounting takes Linux and root")
        pinned.append(path)

    yield pinning
    for path in pinned:
        subprocess.run(["umount", str(path)], check=True)


# Names


def test_a_name_with_a_timestamp_has_the_second_and_five_hex_digits(outputs):
    name = outputs.name("my_file", timestamp=True, suffix=".wav")
    found = re.fullmatch(r"my_file_(\d{10})([0-9a-f]{5})\.wav", name)
    assert abs(int(found[1]) - time.time()) < 60


def test_a_name_without_a_timestamp_is_the_same_each_time(outputs):
    assert outputs.name("a", timestamp=False, suffix=".mp3") == "a.mp3"
    assert outputs.name("a", timestamp=False, suffix=".mp3", combined=True) == "a_combined.mp3"


@pytest.mark.parametrize("combined", [False, True])
def test_names_with_timestamps_are_unique_also_within_a_second_and_across_threads(
    outputs, combined
):
    names: list[str] = []

    def draw() -> None:
        for _ in range(1000):
            names.append(outputs.name("a", timestamp=True, suffix=".wav", combined=combined))

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == 4000
    assert all(name.endswith("_combined.wav") == combined for name in names)


@pytest.mark.parametrize("stem", ["../a", "a/b", "C:\\a", "a\0", "x" * 197])
def test_a_stem_that_would_leave_the_folder_is_refused(outputs, stem):
    with pytest.raises(UnsafeName):
        outputs.name(stem, timestamp=False, suffix=".wav")


@pytest.mark.parametrize("name", ["../a.wav", "a.py", "confignew.json", ".hidden.wav", ".wav"])
def test_only_sound_is_created_and_only_in_the_folder(outputs, name):
    with pytest.raises(UnsafeName):
        outputs.create(name)


# How a file comes to be


def test_a_file_appears_whole_and_only_when_committed(outputs):
    with outputs.create("a.wav") as draft:
        draft.write(b"head....")
        draft.write(b"sound")
        draft.overwrite(4, b"size")
        draft.write(b"tail")
        with pytest.raises(NotFound):
            outputs.path("a.wav")
        assert draft.commit() == outputs.path("a.wav")
    assert outputs.path("a.wav").read_bytes() == b"headsizesoundtail"
    assert os.listdir(outputs.folder) == ["a.wav"]


def test_content_at_hand_is_written_in_one_call(outputs, put):
    put("a.wav")
    assert outputs.write("a.wav", b"new") == outputs.path("a.wav")
    assert outputs.path("a.wav").read_bytes() == b"new"
    assert os.listdir(outputs.folder) == ["a.wav"]


def test_a_draft_without_a_commit_leaves_the_old_file_and_nothing_of_the_new(outputs, put):
    put("a.wav")
    with outputs.create("a.wav") as draft:
        draft.write(b"new")
    assert outputs.path("a.wav").read_bytes() == b"sound"
    assert os.listdir(outputs.folder) == ["a.wav"]


def test_so_does_a_draft_that_an_error_ends(outputs, put):
    def speak() -> None:
        with outputs.create("a.wav") as draft:
            draft.write(b"new")
            raise RuntimeError("the caller is gone")

    put("a.wav")
    with pytest.raises(RuntimeError, match="the caller is gone"):
        speak()
    assert outputs.path("a.wav").read_bytes() == b"sound"
    assert os.listdir(outputs.folder) == ["a.wav"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets a reader hold the name")
def test_who_reads_the_old_file_reads_it_to_its_end(outputs, put):
    with put("a.wav").open("rb") as reader:
        assert reader.read(2) == b"so"
        with outputs.create("a.wav") as draft:
            draft.write(b"something else, and longer")
            draft.commit()
        assert reader.read() == b"und"
    assert outputs.path("a.wav").read_bytes() == b"something else, and longer"


def test_two_drafts_of_one_name_do_not_mix(outputs):
    with outputs.create("a.wav") as one, outputs.create("a.wav") as other:
        for _ in range(3):
            one.write(b"1")
            other.write(b"2")
        one.commit()
        other.commit()
    assert outputs.path("a.wav").read_bytes() == b"222"


def test_a_folder_deleted_meanwhile_is_made_again(outputs):
    outputs.folder.rmdir()
    outputs.write("a.wav", b"sound")
    assert outputs.path("a.wav").is_file()


def test_a_full_disk_is_said_and_leaves_the_old_file(full_disk):
    small = Outputs(full_disk)
    small.write("a.wav", b"old")
    with pytest.raises(DiskFull, match=r"Could not write .*a\.wav: (the disk is full|it would)"):
        small.write("a.wav", b"x" * 200_000)
    assert os.listdir(full_disk) == ["a.wav"]
    assert small.path("a.wav").read_bytes() == b"old"


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"Could not make .*: "):
        Outputs(tmp_path / "file" / "outputs").prepare()
    with pytest.raises(StorageError, match=r"Could not write .*: "):
        write_whole(tmp_path / "file" / "a.wav", b"")


@pytest.mark.skipif(sys.platform == "win32", reason="rights of POSIX")
def test_a_private_file_is_its_owners_alone_and_others_keep_their_rights(tmp_path):
    secret, shared = tmp_path / "secret", tmp_path / "shared"
    for path in (secret, shared):
        path.write_text("old")
        path.chmod(0o664)
    write_whole(secret, b"new", private=True)
    write_whole(shared, b"new")
    assert (secret.stat().st_mode & 0o777, shared.stat().st_mode & 0o777) == (0o600, 0o664)


def test_a_file_mounted_by_itself_is_still_written(tmp_path, pin):
    path = tmp_path / "a.json"
    path.write_text("old")
    pin(path)
    write_whole(path, b"new")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.json"]


def test_what_a_crash_left_is_removed_at_the_start_and_running_work_is_not(outputs, put):
    with outputs.create("a.wav") as running:
        running.write(b"...")
        left = put(".b.wav.0123abcd.partial", age_s=2 * 3600)
        others = put("my download.partial", age_s=2 * 3600)
        outputs.prepare()
        assert not left.exists()
        assert others.exists()
        running.commit()
    assert outputs.path("a.wav").is_file()


def test_a_draft_is_known_by_its_name(tmp_path):
    with Draft(tmp_path / "a.wav"):
        (name,) = os.listdir(tmp_path)
    assert is_draft(name)
    assert not is_draft("a.partial")


# Which files are given out


@pytest.mark.parametrize(
    "name",
    [
        *("missing.wav", "../secret.wav", "..", "", "folder.wav", "a.wav/", "C:a.wav"),
        *("notes.txt", ".a.wav.0123abcd.partial", ".hidden.wav"),
    ],
)
def test_nothing_but_finished_sound_of_the_folder_is_given_out(outputs, put, tmp_path, name):
    (tmp_path / "secret.wav").write_bytes(b"")
    (outputs.folder / "folder.wav").mkdir()
    for each in ("a.wav", "notes.txt", ".a.wav.0123abcd.partial", ".hidden.wav"):
        put(each)
    with pytest.raises(NotFound, match="There is no file"):
        outputs.path(name)
    assert outputs.path("a.wav").read_bytes() == b"sound"


# When files go


def test_files_older_than_the_retention_go_and_younger_ones_stay(outputs, put):
    put("old.wav", age_s=8 * DAY_S)
    put("old_combined.mp3", age_s=8 * DAY_S)
    put("young.wav", age_s=6 * DAY_S)
    assert sorted(outputs.clean(7)) == ["old.wav", "old_combined.mp3"]
    assert os.listdir(outputs.folder) == ["young.wav"]


def test_a_file_in_use_stays(outputs, put):
    put("served.wav", age_s=8 * DAY_S)
    assert outputs.clean(7, in_use={"served.wav"}) == []
    assert outputs.path("served.wav").is_file()


def test_what_is_not_ours_stays(outputs, put, tmp_path):
    for name in ("README.md", "notes.txt", ".gitignore", ".mine.wav", "my download.partial"):
        put(name, age_s=100 * DAY_S)
    folder = outputs.folder / "album.wav"
    folder.mkdir()
    os.utime(folder, (0, 0))
    before = sorted(os.listdir(outputs.folder))
    assert outputs.clean(1) == []
    assert sorted(os.listdir(outputs.folder)) == before


@pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX")
def test_a_link_is_not_followed_and_stays(outputs, tmp_path):
    (tmp_path / "song.wav").write_bytes(b"")
    link = outputs.folder / "link.wav"
    link.symlink_to(tmp_path / "song.wav")
    os.utime(link, (0, 0), follow_symlinks=False)
    assert outputs.clean(1) == []
    assert link.is_symlink()


def test_a_file_that_cannot_be_deleted_keeps_none_of_the_others(outputs, put, pin):
    pin(put("pinned.wav", age_s=8 * DAY_S))
    for index in range(5):
        put(f"{index}.wav", age_s=8 * DAY_S)
    with pytest.raises(StorageError, match=r"Could not delete .*pinned\.wav: "):
        outputs.clean(7)
    assert os.listdir(outputs.folder) == ["pinned.wav"]


def test_a_folder_that_is_not_there_needs_no_cleaning(tmp_path):
    assert Outputs(tmp_path / "nowhere").clean(1) == []
