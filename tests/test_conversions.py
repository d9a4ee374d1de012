"""Voice conversion as the doors ask for it: whether it can be used, and what is missing."""

from __future__ import annotations

import json
import shutil

import pytest
from rvc_home import add_rvc

from alltalk.config_store import ConfigStore
from alltalk.conversion import Conversions
from alltalk.errors import RvcBaseMissing, Unsupported
from alltalk.home import Home


async def test_what_keeps_voices_from_being_used_is_told_one_thing_at_a_time(tmp_path):
    add_rvc(tmp_path, "Ana", enabled=False)
    home = Home(tmp_path)
    conversions = Conversions(home, 1, lambda: ConfigStore(home, {}).current)
    base, aside = home.rvc_models / ".base", tmp_path / "aside"
    shutil.move(base, aside)
    with pytest.raises(RvcBaseMissing, match="alltalk models install rvc"):
        await conversions.ready_voices()
    shutil.move(aside, base)
    with pytest.raises(Unsupported, match="rvc_enabled"):
        await conversions.ready_voices()
    home.config_file.write_text(json.dumps({"rvc_settings": {"rvc_enabled": True}}))
    assert await conversions.ready_voices() == ["Ana/ana.pth"]
    conversions.close()
