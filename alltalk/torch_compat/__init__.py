"""coqui-tts and transformers beside a torch without CUDA: call `prepare` before their import.

torchaudio's wheel is built for CUDA, and transformers, coqui and Parler's audio library import it;
beside a CPU build of torch it dies for want of a library. Its Python half, which is all that speech
models use, works. coqui also refuses to be imported unless a module `torchcodec` can be found; it
reads sound files with it, and nobody here lets it read any.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from alltalk.errors import LoadFailed

_PREPARING = threading.Lock()  # what is imported is the process's, so its lock is too


def prepare() -> None:
    """Make both importable. Installations that work are left as they are; so is a second call.

    Raises LoadFailed when torchaudio is missing.
    """
    with _PREPARING:
        _prepare_torchaudio()
        if not _loads("torchcodec"):
            sys.modules["torchcodec"] = _empty("torchcodec")


def prepare_torchaudio() -> None:
    """Make torchaudio importable, for what needs no more. Raises LoadFailed when it is missing."""
    with _PREPARING:
        _prepare_torchaudio()


def prepare_transformers() -> None:
    """Make transformers importable, where torchaudio may be missing: it does without."""
    if importlib.util.find_spec("torchaudio"):
        prepare()


def _prepare_torchaudio() -> None:
    if not _loads("torchaudio"):
        sys.modules["torchaudio._extension"] = _without_libraries("torchaudio._extension")
        _import_torchaudio()


def _loads(package: str) -> bool:
    """Whether `package` can be imported, libraries and all; what is left of a failure is gone."""
    try:
        importlib.import_module(package)
    except (ImportError, OSError, RuntimeError):  # missing, or made for another torch
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            del sys.modules[name]
        return False
    return True


def _import_torchaudio() -> None:
    try:
        importlib.import_module("torchaudio")
    except (ImportError, OSError) as error:
        del sys.modules["torchaudio._extension"]
        raise LoadFailed(
            f"torchaudio cannot be loaded: {error}. Reinstall it: pip install 'alltalk[xtts]'."
        ) from error


def _without_libraries(name: str) -> ModuleType:
    """torchaudio's loader of its libraries, which says that there are none."""

    def refuse(_function: Any) -> Any:
        def refused(*_arguments: Any, **_named: Any) -> Any:
            raise RuntimeError("torchaudio runs without its libraries here, beside a CPU torch.")

        return refused

    module = _empty(name)
    vars(module).update(
        _IS_TORCHAUDIO_EXT_AVAILABLE=False,
        _check_cuda_version=lambda: None,
        _load_lib=lambda _name: False,  # older versions ask for it
        fail_if_no_align=refuse,
    )
    return module


def _empty(name: str) -> ModuleType:
    """A module that can be found."""
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, loader=None)
    return module
