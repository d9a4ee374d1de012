"""Temporary folders of ours: gone when closed, and swept once their process is dead."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from alltalk.scratch import OWNER, Scratch, sweep

KEEP = (
    "from alltalk.scratch import Scratch; kept = Scratch(); print(kept.path, flush=True); input()"
)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of this test's own for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that is to be killed, and its folder."""
    environ = {**os.environ, "TMPDIR": str(tmp_path), "TEMP": str(tmp_path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", KEEP], env=environ, text=True, **pipes) as process:
        assert process.stdout is not None
        yield process, aged(Path(process.stdout.readline().strip()))
        process.kill()


def aged(folder: Path) -> Path:
    """`folder`, made a day ago."""
    made = (folder / OWNER).stat().st_mtime - 86_400
    os.utime(folder / OWNER, (made, made))
    return folder


def test_a_folder_is_gone_with_its_block(tmp_path: Path) -> None:
    with closing(Scratch()) as scratch:
        folder = scratch.path
        (folder / "below").mkdir()
        (folder / "below" / "clip.wav").write_bytes(b"sound")
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_only_what_a_dead_process_left_is_swept(
    killed: tuple[subprocess.Popen[str], Path],
) -> None:
    process, folder = killed
    (folder / "clip.wav").write_bytes(b"sound")
    with closing(Scratch()) as scratch:
        own = aged(scratch.path)
        assert (sweep(), folder.exists(), own.exists()) == (0, True, True)
        process.kill()
        process.wait()
        assert (sweep(), folder.exists(), own.exists()) == (1, False, True)


def test_what_is_young_or_may_be_another_program_s_stays(tmp_path: Path) -> None:
    young, other, link = (tmp_path / f"alltalk-{name}" for name in ("young", "other", "link"))
    young.mkdir()
    (young / OWNER).touch()
    other.mkdir()
    link.symlink_to(other)
    assert sweep() == 0
    (other / OWNER).mkdir()
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / OWNER).touch()
    aged(tmp_path / "else")
    assert sweep() == 0
    assert all(each.exists() for each in (young, other, link, tmp_path / "else"))
    aged(young)
    assert sweep() == 1
