"""Sound from a GPU to main memory."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch


def to_host(sounds: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The same in main memory, each [n]; the GPU is waited for once."""
    if not sounds or not sounds[0].is_cuda:
        return list(sounds)
    joined = torch.cat(list(sounds))
    pinned = torch.empty(joined.shape, dtype=joined.dtype, pin_memory=True)
    pinned.copy_(joined, non_blocking=True)
    torch.cuda.current_stream().synchronize()
    ends = list(itertools.accumulate(map(len, sounds)))
    return [pinned[end - len(sound) : end].clone() for sound, end in zip(sounds, ends, strict=True)]
