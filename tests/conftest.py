"""What tests of every kind share."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from disks import mounted

from alltalk.cores import wait_asleep

wait_asleep()  # as the command does


@pytest.fixture(scope="module", autouse=True)
def _what_is_imported_is_no_garbage() -> None:
    """Every server that stops collects garbage, which took longer than most tests.

    torch, Gradio and others that an earlier module imported are a million objects to look at.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def needs() -> Callable[[str], str]:
    """`needs("git")` is the path of that program; without it the test skips, under CI it fails.

    A program named here has its line in packages.txt.
    """

    def find(program: str) -> str:
        if path := shutil.which(program):
            return path
        sentence = f"{program} is not installed (see packages.txt)"
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(sentence)
        pytest.skip(sentence)

    return find


@pytest.fixture
def full_disk(tmp_path) -> Iterator[Path]:
    """A folder that takes no more than 64 KiB: a disk of its own, else the largest file's size."""
    resource = pytest.importorskip("resource", reason="neither a small disk nor a limit to be had")
    folder = tmp_path / "small"
    folder.mkdir()
    if mounted("-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)):
        yield folder
        subprocess.run(["umount", str(folder)], check=True)
        return
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, limits[1]))
    yield folder
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
