"""Trackers of packages that a user may have installed beside AllTalk: torchcrepe and torchfcpe.

Both bring their own weights. AllTalk does not need them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from alltalk.effects.rvc.pitch import HOP, SAMPLE_RATE
from alltalk.errors import RvcBaseMissing
from alltalk.torch_compat import prepare_transformers

_CREPE_VOICED = 0.1
"""Periodicity below which RVC takes a frame for unvoiced."""
_FCPE_VOICED = 0.006
_CREPE_BATCH = 512


class Crepe:
    """CREPE (Kim et al. 2018, arXiv:1802.06182), smoothed as RVC does."""

    memory_bytes = 89_000_000

    def __init__(self, model: str, device: str) -> None:
        """`model`: full or tiny. Raises RvcBaseMissing."""
        self._package = _imported("torchcrepe")
        self._model, self._device = model, device

    @torch.inference_mode()
    def track(
        self, samples: NDArray[np.float32], frames: int, low_hz: float, high_hz: float
    ) -> NDArray[np.float64]:
        """As the protocol of trackers says."""
        hz, periodicity = self._package.predict(
            torch.from_numpy(np.array(samples))[None],
            SAMPLE_RATE,
            HOP,
            low_hz,
            high_hz,
            self._model,
            batch_size=_CREPE_BATCH,
            device=self._device,
            return_periodicity=True,
        )
        periodicity = self._package.filter.median(periodicity, 3)
        hz = self._package.filter.mean(hz, 3)
        hz[periodicity < _CREPE_VOICED] = 0.0
        return _fitted(hz[0].double().cpu().numpy(), frames)


class Fcpe:
    """FCPE (github.com/CNChTu/FCPE), with RVC's threshold."""

    memory_bytes = 43_000_000

    def __init__(self, device: str) -> None:
        """Raises RvcBaseMissing."""
        self._model = _imported("torchfcpe").spawn_bundled_infer_model(device=device)
        self._device = device

    @torch.inference_mode()
    def track(
        self, samples: NDArray[np.float32], frames: int, low_hz: float, high_hz: float
    ) -> NDArray[np.float64]:
        """As the protocol of trackers says."""
        hz = self._model.infer(
            torch.from_numpy(np.array(samples)).to(self._device)[None, :, None],
            sr=SAMPLE_RATE,
            decoder_mode="local_argmax",
            threshold=_FCPE_VOICED,
            f0_min=low_hz,
            f0_max=high_hz,
        )
        return _fitted(hz.reshape(-1).double().cpu().numpy(), frames)


def _imported(package: str) -> Any:
    """Raises RvcBaseMissing."""
    prepare_transformers()  # both import torchaudio, too
    try:
        return __import__(package)
    except (ImportError, OSError, RuntimeError) as error:
        raise RvcBaseMissing(
            f"The package {package} cannot be used: {error}. Use the pitch method rmvpe."
        ) from error


def _fitted(hz: NDArray[np.float64], frames: int) -> NDArray[np.float64]:
    return np.pad(np.nan_to_num(hz)[:frames], (0, max(0, frames - len(hz))))
