"""A home with RVC voices that have random weights, and conversion switched on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tiny_models import tiny


def add_rvc(home: Path, *names: str, enabled: bool = True) -> None:
    """Voices `Ana/ana.pth` and so on, and what all need.

    Without RMVPE, whose random weights hear no pitch: the tracker that needs no file is used.
    """
    made, folder = tiny("rvc"), home / "rvc_models"
    shutil.copytree(made / ".base" / "hubert", folder / ".base" / "hubert")
    for name in names:
        (folder / name).mkdir(parents=True)
        shutil.copy(made / "voice.pth", folder / name / f"{name.lower()}.pth")
        shutil.copy(made / "voice.index", folder / name / f"{name.lower()}.index")
    settings = {"rvc_settings": {"rvc_enabled": enabled}}
    (home / "confignew.json").write_text(json.dumps(settings))
