"""Short-lived tokens for clients that cannot send a key: `<audio>`, downloads, a page's cookie.

A token is `<expiry>.<key name>.<signature>`: it says until when (Unix seconds) and on whose behalf,
and the signature binds both to one path and to that very key. Whoever removes the key ends its
tokens, and another one of the same name does not bring them back.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from alltalk.draft import storage_error
from alltalk.errors import StorageError
from alltalk.keys import ApiKey

logger = logging.getLogger(__name__)

_SECRET_BYTES = 32


class TokenSigner:
    """Makes and checks tokens of one home."""

    def __init__(self, secret: bytes, *, clock: Callable[[], float] = time.time) -> None:
        """`secret`: at least 32 bytes that nobody else has."""
        assert len(secret) >= _SECRET_BYTES, "too short to be safe"
        self._secret, self._clock = secret, clock

    def sign(self, path: str, key: ApiKey, ttl_s: float) -> str:
        """A token for `path` on behalf of `key`, good for `ttl_s` seconds."""
        expiry = str(int(self._clock() + ttl_s))
        return f"{expiry}.{key.name}.{self._signature(path, expiry, key)}"

    def check(self, path: str, token: str, keys: Iterable[ApiKey]) -> ApiKey | None:
        """The one of `keys` that `token` stands for; None when it is not good for `path`."""
        expiry, _, rest = token.partition(".")
        name, _, signature = rest.partition(".")
        key = next((each for each in keys if each.name == name), None)
        if key is None:
            return None
        expected = self._signature(path, expiry, key)
        if not hmac.compare_digest(signature.encode(), expected.encode()):
            return None
        return key if int(expiry) >= self._clock() else None

    def _signature(self, path: str, expiry: str, key: ApiKey) -> str:
        """Lines cannot be mixed up: an expiry, a name and a hash of ours have no line break."""
        parts = f"{expiry}\n{key.name}\n{key.hash}\n{path}"
        message = parts.encode(errors="surrogatepass")
        digest = hmac.digest(self._secret, message, hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def home_secret(root: Path) -> bytes:
    """The secret in `<root>/.secret`, made at the first call, which only its owner may read.

    Two servers that start at once agree on one. Where it cannot be kept, tokens end with the
    process.
    """
    try:
        return _kept_secret(root / ".secret")
    except StorageError as error:
        logger.warning("%s Links and sign-ins end when the server stops.", error)
        return secrets.token_bytes(_SECRET_BYTES)


def _kept_secret(path: Path) -> bytes:
    try:
        if not path.exists():
            _create(path)
        secret = path.read_bytes()
    except OSError as error:
        raise storage_error("read", path, error) from error
    if len(secret) < _SECRET_BYTES:
        raise StorageError(f"{path} is too short to be a secret. Delete it.")
    return secret


def _create(path: Path) -> None:
    """Put a secret at `path`, whole, unless one is there by then: a link does not replace."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # another server was first
        except OSError:  # a file system without links
            os.replace(draft, path)
            return
        draft.unlink()
    except OSError:
        draft.unlink(missing_ok=True)
        raise
