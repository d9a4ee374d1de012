"""Under what an answer is kept: all that decides its sound. And whether it may be kept at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from alltalk.engine import Voice
from alltalk.speech import AudioFormat, Conversion, Plan, Segment

SCHEMA = 1
"""Counted up when an unchanged plan is to sound otherwise: no answer from before is found then."""

_NO_SOUND: Mapping[type, frozenset[str]] = MappingProxyType(
    {
        Segment: frozenset({"index", "role", "source"}),
        Voice: frozenset({"clips"}),  # the digest says what is in them
        AudioFormat: frozenset({"suffix", "content_type"}),
    }
)
"""Fields of a plan that nobody can hear. One that is new counts as heard: at worst, a miss."""


def plan_key(plan: Plan, revisions: Mapping[tuple[str, str], str]) -> str:
    """SHA-256, 64 hex digits, over all that decides how `plan` sounds; the same in every process.

    `revisions` has that of each (engine, model) in the plan. One that is missing is a KeyError:
    without it a replaced model would go unheard. A converting voice is in the plan with a digest of
    its files. Costs tens of microseconds a segment.

    A streamed and a whole encoding share the key, but not their bytes: keep whole ones only.
    """
    engines = {(segment.engine, segment.model) for segment in plan.segments}
    heard = {
        "schema": SCHEMA,
        "plan": _heard(plan),
        "revisions": [[*each, revisions[each]] for each in sorted(engines)],
    }
    return hashlib.sha256(json.dumps(heard, sort_keys=True).encode("ascii")).hexdigest()


class CacheOutcome(StrEnum):
    """What the cache had to do with an answer."""

    HIT = "HIT"
    MISS = "MISS"
    BYPASS = "BYPASS"
    """The caller wanted none of it."""
    DISABLED = "DISABLED"
    ADHOC = "ADHOC"
    """Spoken with a clip of this request alone; nothing of it is kept."""


def cache_outcome(*, adhoc: bool, opted_out: bool, ttl_s: float | None) -> CacheOutcome:
    """What is known before the cache is asked; only after MISS it is asked, and may say HIT.

    A one-off clip outranks opting out, and opting out outranks a cache that is off.
    """
    if adhoc:
        return CacheOutcome.ADHOC
    if opted_out:
        return CacheOutcome.BYPASS
    return CacheOutcome.MISS if ttl_s is None or ttl_s > 0 else CacheOutcome.DISABLED


def _heard(value: Any) -> Any:
    """`value` as JSON can hold it, without what nobody can hear."""
    if isinstance(value, Voice):
        assert value.digest or not value.clips, f"{value.name} has clips, and no digest of them"
    if isinstance(value, Conversion):
        assert value.digest, f"{value.voice} has no digest of its files"
    if is_dataclass(value):
        silent = _NO_SOUND.get(type(value), frozenset())
        return {
            field.name: _heard(getattr(value, field.name))
            for field in fields(value)
            if field.name not in silent
        }
    return [_heard(each) for each in value] if isinstance(value, tuple) else value
