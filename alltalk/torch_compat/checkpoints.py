"""Checkpoints as data: what torch saved is read, and no code in it is run."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from alltalk.errors import AllTalkError, LoadFailed, OutOfMemory
from alltalk.torch_compat.failures import is_out_of_memory

_ALLOWING = threading.Lock()  # what torch allows is the process's, so its lock is too
_CODE = ("GLOBAL ", "call reduce", "Can only build", "Can only create new")
"""What torch says of a pickle that does more than hold tensors."""


def read_checkpoint(file: Path, inert: Sequence[str] = ()) -> Any:
    """What `file` holds, its tensors on the CPU.

    `inert` are full names of classes that old files mention and nobody needs: they become empty
    objects, and nothing of those classes is imported. Raises LoadFailed, OutOfMemory.
    """
    stand_ins: list[Any] = [(_Inert, name) for name in inert]
    with _told(file), _ALLOWING, torch.serialization.safe_globals(stand_ins):
        return torch.load(file, map_location="cpu", weights_only=True)


def weights_in(file: Path, inert: Sequence[str] = ()) -> dict[str, torch.Tensor]:
    """Name → tensor of the `model` in `file`. Raises LoadFailed, OutOfMemory."""
    checkpoint = read_checkpoint(file, inert)
    weights = checkpoint.get("model") if isinstance(checkpoint, dict) else None
    if not isinstance(weights, dict) or not all(map(torch.is_tensor, weights.values())):
        raise LoadFailed(f"{file} is a torch file, but holds no model.")
    return weights


@contextmanager
def building(folder: Path) -> Generator[None]:
    """What goes wrong while a model is built from the files in `folder`, as one sentence.

    Raises OutOfMemory, LoadFailed; what of AllTalk's errors is raised inside stays as it is.
    """
    try:
        yield
    except AllTalkError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemory(f"There is not enough memory for the model in {folder}.") from error
        if isinstance(error, RuntimeError) and "state_dict" in str(error):
            raise LoadFailed(
                f"config.json in {folder} does not fit the weights beside it: they are of "
                "different models. Install the model again."
            ) from error
        reason = " ".join(str(error).split())[:300]
        raise LoadFailed(
            f"The model in {folder} cannot be used: {type(error).__name__}: {reason}"
        ) from error


class _Inert:
    """What becomes of an object whose class is nobody's business."""

    def __init__(self, *_arguments: object) -> None:
        pass

    def __setstate__(self, _state: object) -> None:
        pass


@contextmanager
def _told(file: Path) -> Generator[None]:
    try:
        yield
    except pickle.UnpicklingError as error:
        if any(sign in str(error) for sign in _CODE):
            raise LoadFailed(
                f"{file} holds Python code beside its weights, which AllTalk does not run. Get it "
                "as safetensors or plain weights, or convert it if you trust it: see "
                "docs/engines.md, Safe loading."
            ) from error
        raise LoadFailed(f"{file} is no checkpoint of torch: install the model again.") from error
    except OSError as error:
        raise LoadFailed(f"{file} cannot be read: {error.strerror or error}.") from error
    except (RuntimeError, EOFError, ValueError, MemoryError) as error:
        if is_out_of_memory(error):
            raise OutOfMemory(f"There is not enough memory to read {file}.") from error
        raise LoadFailed(f"{file} is damaged or cut off: install the model again.") from error
