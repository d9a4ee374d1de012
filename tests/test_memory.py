"""How much memory is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

from alltalk.memory import used_by_children, used_bytes


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
def test_memory_is_that_of_this_process_and_of_those_it_started():
    hold = "held = bytearray(300_000_000); print(flush=True); input()"
    before, children = used_bytes(), used_by_children()
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdout.readline()
        assert used_by_children() - children > 300_000_000
        child.stdin.close()
    held = bytearray(200_000_000)
    assert used_bytes() - before > 150_000_000
    del held
