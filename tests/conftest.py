"""What tests of every kind share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest


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
