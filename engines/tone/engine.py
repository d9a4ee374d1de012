"""Loads Tone: a plain engine, or one whose utterances share their steps. Its README tells all."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alltalk.engine import BatchEngine, Engine, Place

from .batch import ToneBatch
from .plain import Settings, Tone


def load(
    folder: Path, model: str, place: Place, settings: Mapping[str, Any]
) -> Engine | BatchEngine:
    """`tone-a` or `tone-b`; a BatchEngine when the settings ask for more than one slot."""
    chosen = Settings.of(settings)
    time.sleep(chosen.load_s)
    tone = Tone(model, chosen)
    return ToneBatch(tone) if chosen.slots > 1 else tone
