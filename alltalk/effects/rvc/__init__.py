"""Voice conversion by RVC (retrieval-based voice conversion) models of version 1 and 2.

RVC: github.com/RVC-Project/Retrieval-based-Voice-Conversion-WebUI. What a voice does to speech:

    speech ── 16 kHz, high-pass ──┬── embedder ── index ── protect ──┬── text encoder ── flow ──┐
                                  └── pitch ── smooth, tune, move ───┴── sine and noise ── decoder

Importing this package needs none of the libraries that converting needs.
"""

from alltalk.effects.rvc.converter import EMBEDDERS, Converter
from alltalk.effects.rvc.pitch import METHODS, OTHER_NAMES

__all__ = ["EMBEDDERS", "METHODS", "OTHER_NAMES", "Converter"]
