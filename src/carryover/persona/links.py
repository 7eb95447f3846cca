"""Links: a way for one user to their own profile, signed here and good for a short time.

A link says whose profile it opens, until when, and whether it may change it. It holds a seal of that user's data key
besides: with the key, which goes when the profile is erased, the links go that were made before.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass

from carryover.core.clock import Time
from carryover.core.errors import Unauthorized
from carryover.core.scope import EVERY_TENANT, Caller, Right, Scope
from carryover.store.secrets import secret
from carryover.store.store import Store
from carryover.store.vault import Vault

PREFIX = "cl_"  # what begins so is a link, and no key
SHORTEST_S, LONGEST_S, USUAL_S = 60, 86_400, 900
_MOST_CHARS = 2_000
_SEALED = b"link"
_PURPOSE = b"carryover link "


@dataclass(frozen=True, slots=True)
class Claims:
    """What a link says."""

    tenant: str
    user: str
    until: Time
    may_write: bool

    @property
    def scope(self) -> Scope:
        """What a link's bearer may do: as a key that is narrowed to the user."""
        rights: frozenset[Right] = frozenset(("write" if self.may_write else "read",))
        return Scope(self.tenant, user=self.user, rights=rights, by=Caller(f"link {self.user}", "http"))


def secret_of(store: Store) -> bytes:
    """The key that links are signed with: the installation's."""
    return store.transact(EVERY_TENANT, lambda tx: secret(tx, "links"))


def made(vault: Vault, key: bytes, claims: Claims) -> str:
    """The token of a link."""
    sealed = vault.seal(claims.tenant, claims.user, _place(claims), _SEALED)
    told = [claims.tenant, claims.user, claims.until, claims.may_write, _text(sealed)]
    payload = _text(json.dumps(told, separators=(",", ":")).encode())
    return f"{PREFIX}{payload}.{_signature(key, payload)}"


def opened(vault: Vault, key: bytes, token: str, now: Time) -> Claims:
    """What the link says. Raises Unauthorized for one that was not signed here, has expired, or was ended."""
    payload, _, signature = token.removeprefix(PREFIX).rpartition(".")
    right = hmac.compare_digest(_signature(key, payload).encode(), signature.encode("utf-8", "surrogatepass"))
    if not right or len(token) > _MOST_CHARS:
        raise Unauthorized("this link is not one that was made here; ask for a new one")
    try:
        tenant, user, until, may_write, sealed = json.loads(_bytes(payload))
        claims, closed = Claims(str(tenant), str(user), int(until), may_write is True), _bytes(sealed)
    except (ValueError, TypeError, OverflowError, RecursionError) as cause:
        raise Unauthorized("this link is of another version; ask for a new one") from cause
    if now >= claims.until:
        raise Unauthorized("this link has expired; ask for a new one")
    if vault.open(claims.tenant, claims.user, _place(claims), closed) != _SEALED:
        raise Unauthorized("this link was made before the profile was erased; ask for a new one")
    return claims


def _place(claims: Claims) -> str:
    return f"link/{claims.until}"


def _signature(key: bytes, payload: str) -> str:
    return _text(hmac.digest(key, _PURPOSE + payload.encode("utf-8", "surrogatepass"), hashlib.sha256))


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
