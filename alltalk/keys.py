"""API keys: who may use the server, kept as hashes only."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from alltalk.errors import BadInput, NotFound

RoleName = Literal["admin", "power", "user"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")


class Role(IntEnum):
    """What a caller may do; a higher one may do all that a lower one may."""

    USER = 1
    """Speak, list, fetch files."""
    POWER = 2
    """Also see and restart backends."""
    ADMIN = 3
    """Also add, change and remove them, and change settings."""

    @classmethod
    def named(cls, name: RoleName) -> Role:
        """The role of that name."""
        return cls[name.upper()]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as the settings hold it. Raises ValueError for fields that cannot be."""

    name: str
    """Whose it is: 1 to 40 of A-Z a-z 0-9 _ -; shown in listings and metrics."""
    hash: str
    """`sha256:` and 64 hexadecimal digits."""
    role: RoleName = "user"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name[:50]!r} cannot name a key: use A-Z a-z 0-9 _ -")
        if not _HASH.fullmatch(self.hash):
            raise ValueError("a key's hash must be sha256: and 64 digits; `alltalk keys add` does")


def new_key() -> str:
    """A key of 256 random bits: `at-` and 43 characters."""
    return "at-" + secrets.token_urlsafe(32)


def hashed(key: str) -> str:
    """`key` as it is kept.

    Without salt or stretching: `new_key` leaves nothing to guess. A key that somebody made up
    is only ever hashed in memory (see `keys_in`).
    """
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def find_key(keys: Iterable[ApiKey], presented: str) -> ApiKey | None:
    """The one of `keys` that `presented` is. Takes the same time whichever it is, or none."""
    given, found = hashed(presented), None
    for key in keys:
        if hmac.compare_digest(key.hash, given):
            found = key
    return found


def with_key(
    keys: Sequence[ApiKey], name: str, key: str, role: RoleName = "user"
) -> tuple[ApiKey, ...]:
    """`keys` and one more. Raises BadInput for a name that is taken or cannot be."""
    if any(each.name == name for each in keys):
        raise BadInput(f"There is a key of {name!r} already; remove that first.")
    try:
        return (*keys, ApiKey(name, hashed(key), role))
    except ValueError as error:
        raise BadInput(f"{error}.") from None


def without_key(keys: Sequence[ApiKey], name: str) -> tuple[ApiKey, ...]:
    """`keys` without that of `name`. Raises NotFound."""
    rest = tuple(each for each in keys if each.name != name)
    if len(rest) == len(keys):
        raise NotFound(f"There is no key of {name!r}.")
    return rest


def keys_in(text: str) -> tuple[ApiKey, ...]:
    """The keys of `$ALLTALK_API_KEYS`: plain ones with commas between, each an admin's.

    `name=key` names one; the others are `key-1`, `key-2`, …
    """
    plain = [part.strip() for part in text.split(",") if part.strip()]
    return tuple(_named(part, number) for number, part in enumerate(plain, 1))


def duplicates(keys: Sequence[ApiKey]) -> list[str]:
    """Names that two of `keys` share."""
    names = [key.name for key in keys]
    return sorted({name for name in names if names.count(name) > 1})


def _named(part: str, number: int) -> ApiKey:
    name, found, key = part.partition("=")
    if found and key and _NAME.fullmatch(name):
        return ApiKey(name, hashed(key), "admin")
    return ApiKey(f"key-{number}", hashed(part), "admin")
