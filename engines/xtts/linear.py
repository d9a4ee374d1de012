"""The trunk's matrix products, in the precision and the layout that the device is fastest with."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import linear

from alltalk.errors import ConfigError

PRECISIONS = ("auto", "float32", "bfloat16", "float16", "int8")
Linear = Callable[[torch.Tensor], torch.Tensor]
"""float [n, in] → [n, out] of the same kind."""
_ROWS = 8
"""oneDNN packs for a number of rows; packed for this one it is as fast with 1."""


def chosen_precision(asked: str, device: str) -> str:
    """`asked`; for "auto" bfloat16 where the processor or GPU multiplies it, else float32.

    Raises ConfigError for a precision that there is not on such a device.
    """
    on_cpu = device == "cpu"
    if asked not in PRECISIONS or (asked == "float16" and on_cpu):
        raise ConfigError(f"precision: {asked!r} cannot be had on {device}.")
    if asked == "int8" and not (on_cpu and torch.backends.quantized.engine in ("x86", "fbgemm")):
        raise ConfigError("precision: int8 needs an x86 processor; leave it at auto.")
    if asked != "auto":
        return asked
    if on_cpu:
        native = _has_onednn() and torch.cpu._is_avx512_bf16_supported()
    else:
        native = torch.cuda.is_bf16_supported()
    return "bfloat16" if native else "float32" if on_cpu else "float16"


def made_linear(layer: Any, precision: str) -> Linear:
    """The product with a layer of transformers' `Conv1D`: weight [in, out], bias [out].

    On the CPU it is a packed copy, and the layer's own weight is freed.
    """
    weight, bias = layer.weight, layer.bias
    if weight.device.type != "cpu":
        return lambda x: torch.addmm(bias, x, weight)  # parameters: they follow rest and wake
    packed = _made_on_cpu(weight.detach().t(), bias.detach(), precision)
    weight.data = weight.data.new_empty(0)
    return packed


def _made_on_cpu(weight: torch.Tensor, bias: torch.Tensor, precision: str) -> Linear:
    if precision == "int8":
        return _int8(weight, bias.clone())
    dtype: torch.dtype = getattr(torch, precision)
    if _has_onednn():
        return _packed(weight, bias, dtype)
    plain, offset = weight.to(dtype).contiguous(), bias.to(dtype)
    return lambda x: linear(x.to(dtype), plain, offset).to(x.dtype)


def _packed(weight: torch.Tensor, bias: torch.Tensor, dtype: torch.dtype) -> Linear:
    """Blocked once for oneDNN; `linear` does so each time, and is 2.5 times slower at 8 rows."""
    offset = bias.to(dtype, copy=True)
    blocked = torch.ops.mkldnn._reorder_linear_weight(weight.to(dtype).contiguous(), _ROWS)

    def multiply(x: torch.Tensor) -> torch.Tensor:
        product = torch.ops.mkldnn._linear_pointwise(x.to(dtype), blocked, offset, "none", [], "")
        return product.to(x.dtype)  # type: ignore[no-any-return]

    return multiply


def _int8(weight: torch.Tensor, bias: torch.Tensor) -> Linear:
    """Weights to a scale for each output, inputs to one for each row, sums exact in integers.

    A row's result does not depend on its neighbours, as with one scale for all rows it would
    (LLM.int8(), Dettmers et al. 2022, quantizes by rows and outputs likewise).
    """
    scales = weight.abs().amax(1).clamp_min(1e-12).double() / 127
    zeros = torch.zeros(len(scales), dtype=torch.long)
    with warnings.catch_warnings():  # newer versions of torch deprecate it, and offer nothing yet
        warnings.simplefilter("ignore", UserWarning)
        quantized = torch.quantize_per_channel(weight.contiguous(), scales, zeros, 0, torch.qint8)
    prepacked = torch.ops.quantized.linear_prepack(quantized, None)
    multiplied = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32

    def multiply(x: torch.Tensor) -> torch.Tensor:
        loudest = x.abs().amax(-1, keepdim=True).clamp_min(1e-12)
        return torch.addcmul(bias, multiplied(x / loudest, 1 / 127, 128, prepacked), loudest)

    return multiply


def _has_onednn() -> bool:
    return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
