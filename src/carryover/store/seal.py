"""Names and values that say nothing to whoever does not hold the key: for what is kept outside the database."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_VERSION = b"\x01"
_NONCE_BYTES = 12


class Seal:
    """Closes values under a name (AES-256-GCM) and opens them again, under that name alone.

    Each name has a key of its own, derived from the one given: however many values are closed, no two of one key
    come near to sharing a nonce. The first bytes say which form and which key, so that both can change.
    """

    def __init__(self, key: bytes) -> None:
        # Loaded by those who seal something: most commands do not.
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._aes, self._wrong = AESGCM, InvalidTag
        self._naming, self._sealing = _derived(key, b"names"), _derived(key, b"values")
        self._head = _VERSION + _derived(key, b"id")[:4]

    def name(self, kind: str, *ids: str) -> str:
        """The same ids have the same name, in which nobody can read them."""
        text = "\x00".join((kind, *ids)).encode("utf-8", "surrogatepass")
        hashed = hmac.digest(self._naming, text, hashlib.sha256)
        return f"carryover:{kind}:{base64.urlsafe_b64encode(hashed[:24]).decode()}"

    def close(self, name: str, value: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return self._head + nonce + self._cipher(name).encrypt(nonce, value, name.encode())

    def open(self, name: str, closed: bytes) -> bytes | None:
        """What was closed under this name with this key; None for anything else."""
        head, rest = closed[: len(self._head)], closed[len(self._head) :]
        if head != self._head or len(rest) < _NONCE_BYTES:
            return None
        try:
            return self._cipher(name).decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], name.encode())
        except self._wrong:
            return None

    def _cipher(self, name: str) -> AESGCM:
        return self._aes(hmac.digest(self._sealing, name.encode(), hashlib.sha256))


def encrypted(key: bytes, plain: bytes, bound: bytes) -> bytes:
    """The nonce, and what only the key opens again, bound to these bytes (AES-256-GCM)."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, bound)


def decrypted(key: bytes, closed: bytes, bound: bytes) -> bytes | None:
    """What was encrypted with this key and bound to these bytes; None for anything else."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(closed[:_NONCE_BYTES], closed[_NONCE_BYTES:], bound)
    except (InvalidTag, ValueError):  # a ValueError where it is shorter than a nonce
        return None


def binding(*names: str) -> bytes:
    """The names in bytes that no other names make: each follows its length."""
    told = (name.encode("utf-8", "surrogatepass") for name in names)
    return b"".join(len(one).to_bytes(4) + one for one in told)


def _derived(key: bytes, purpose: bytes) -> bytes:
    return hmac.digest(key, b"carryover " + purpose, hashlib.sha256)
