"""Lets torchaudio be imported beside a torch it was not built for.

The wheels of torchaudio are built for CUDA, and loading their library fails beside a torch without
it. Parler's audio library imports torchaudio, and speaking calls nothing that lies in the library.
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_EXTENSION = "torchaudio._extension"


def make_importable() -> None:
    """To be called before parler_tts is imported; changes nothing where torchaudio works."""
    try:
        importlib.import_module("torchaudio")
    except (ImportError, OSError):
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchaudio"]:
            del sys.modules[name]
        sys.modules[_EXTENSION] = _without_library()
        importlib.import_module("torchaudio")


def _without_library() -> ModuleType:
    """What torchaudio takes from its extension, for an extension that is not there."""
    module: Any = ModuleType(_EXTENSION)
    module.__spec__ = ModuleSpec(_EXTENSION, None)
    module._IS_TORCHAUDIO_EXT_AVAILABLE = False
    module._check_cuda_version = lambda: None
    module._load_lib = lambda name: False
    module.fail_if_no_align = lambda function: function
    return module  # type: ignore[no-any-return]
