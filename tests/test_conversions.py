"""Voice conversion as the doors ask for it: whether it can be used, and what is missing."""

from __future__ import annotations

import shutil

import pytest
from rvc_home import add_rvc

from alltalk.config_store import ConfigStore
from alltalk.conversion import Conversions
from alltalk.errors import RvcBaseMissing
from alltalk.home import Home


async def test_missing_base_models_are_told_with_the_command_that_installs_them(tmp_path):
    add_rvc(tmp_path, "Ana", enabled=False)
    home = Home(tmp_path)
    conversions = Conversions(home, 1, lambda: ConfigStore(home, {}).current)
    await conversions.require_installed()
    shutil.rmtree(home.rvc_models / ".base")
    with pytest.raises(RvcBaseMissing, match="alltalk models install rvc"):
        await conversions.require_installed()
    conversions.close()
