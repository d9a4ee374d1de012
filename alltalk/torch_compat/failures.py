"""What goes wrong inside torch, told apart: there was no memory, or something else."""

from __future__ import annotations

import torch

from alltalk.errors import AllTalkError, OutOfMemory, SynthesisFailed

_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch, or Python, ran out of memory of any kind."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in _NO_MEMORY)


def speaking_failed(engine: str, error: BaseException, text: str = "") -> AllTalkError:
    """What it means that came while `engine` spoke `text`: OutOfMemory, or SynthesisFailed."""
    if is_out_of_memory(error):
        return OutOfMemory("There is not enough memory for this sentence.")
    said = repr(text[:60]) if text else "this"
    return SynthesisFailed(f"{engine} could not say {said}: {error}")
