"""Finished answers, kept under all that decides their sound, for as long and as many as allowed."""

from __future__ import annotations

from alltalk.cache.hit import Hit
from alltalk.cache.key import CacheOutcome, cache_outcome, plan_key
from alltalk.cache.store import Cache, Limits

__all__ = ["Cache", "CacheOutcome", "Hit", "Limits", "cache_outcome", "plan_key"]
