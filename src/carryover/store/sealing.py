"""Sealing: what is kept of a session is readable with the key of that session alone.

A session draws its key from a stock in the keyring when it begins; `sessions.key` names it. Dropping the key erases
what was sealed with it, in backups too. Sealed text is kept as text: a mark, and base64 of a version, the key's id, a
nonce and what AES-256-GCM made of it, bound to the tenant and the place that it is kept in.
"""

from __future__ import annotations

import hmac
import os
import threading
import time
from base64 import b64decode, b64encode
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from carryover.core.errors import DataLoss, KeyLost
from carryover.store.keyring import ID_BYTES, DataKey
from carryover.store.marked import MARK, is_sealed
from carryover.store.seal import binding
from carryover.store.vault import Vault

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEPT_S = 600.0  # a key that is dropped elsewhere may lie in the memory of this process for so long
_MOST = 16_384  # keys that are kept so
_STOCK = 256  # keys that are drawn at once at most, by whoever begins that many sessions
_VERSION = b"\x02"
_HEAD_BYTES = len(_VERSION) + ID_BYTES
_NONCE_BYTES = 12


class _Key(NamedTuple):
    cipher: AESGCM
    raw: bytes
    until: float
    wrong: type[Exception]  # what the cipher raises for anything that was not sealed so


class Sealing:
    """Seals and opens what is kept of sessions. Close it."""

    def __init__(self, vault: Vault, *, wanted: bool = True) -> None:
        """New sessions are sealed where the database says so and `wanted`."""
        self.vault = vault
        self.wanted = wanted
        self.begun = False  # the database says so: once it does, it always will
        self._keys: OrderedDict[bytes, _Key | None] = OrderedDict()
        self._spare: defaultdict[str, list[DataKey]] = defaultdict(list)
        self._drawn: defaultdict[str, int] = defaultdict(lambda: 1)
        self._lock, self._drawing = threading.Lock(), threading.Lock()

    def close(self) -> None:
        """No key is held any more, and the vault is closed."""
        with self._drawing, self._lock:
            self._keys.clear()
            self._spare.clear()
        self.vault.close()

    def own(self, tenant: str) -> bytes:
        """The id of the tenant's own key, for text that is of no session; it is made where there is none."""
        return self.vault.keyring.current(tenant, "").id

    def draw(self, tenant: str) -> bytes:
        """The id of a key that nothing was sealed with yet. Raises KeyLost when none can be made."""
        with self._drawing:
            spare = self._spare[tenant]
            if not spare:
                n = self._drawn[tenant]
                self._drawn[tenant] = min(2 * n, _STOCK)
                spare += self.vault.keyring.stock(tenant, n)
            key = spare.pop()
        with self._lock:
            self._keep(key.id, _opened(key))
        return key.id

    def drop(self, ids: Iterable[bytes]) -> int:
        """Nothing that was sealed with these keys opens any more, in backups neither; how many there were."""
        doomed = sorted(set(ids))
        try:
            return self.vault.keyring.drop_ids(doomed)
        finally:
            with self._lock:
                self._keys.update(dict.fromkeys(doomed))

    def sealed(self, tenant: str, key: bytes, place: str, plain: bytes) -> str:
        """`plain` as it is kept in this place."""
        cipher = self._live(key).cipher
        head, nonce = _VERSION + key, os.urandom(_NONCE_BYTES)
        return MARK + b64encode(head + nonce + cipher.encrypt(nonce, plain, _bound(head, tenant, place))).decode()

    def opened(self, tenant: str, records: Sequence[tuple[str, str]]) -> list[bytes | None]:
        """What was sealed, of each place and what is kept there; None where the key was dropped: it is erased.

        Raises KeyLost when a key should be there and is not, DataLoss for what was never sealed so.
        """
        raw = [_decoded(place, kept) for place, kept in records]
        keys = self._known({one[len(_VERSION) : _HEAD_BYTES] for one in raw})
        return [_plain(keys, tenant, place, one) for (place, _), one in zip(records, raw, strict=True)]

    def hashed(self, key: bytes, text: str) -> str:
        """A hash of the text that nobody can test without the key."""
        hashing = hmac.digest(self._live(key).raw, b"carryover hashes", "sha256")
        made = hmac.digest(hashing, text.encode("utf-8", "surrogatepass"), "sha256")
        return "k:" + b64encode(made[:18]).decode()

    def _live(self, id: bytes) -> _Key:
        """The key of this id. Raises KeyLost when it is not there, whatever the reason."""
        kept = self._keys.get(id)
        if kept is not None and kept.until > time.monotonic():
            return kept
        found = self._known({id}).get(id)
        if found is None:
            raise _lost(id)
        return found

    def _known(self, ids: set[bytes]) -> dict[bytes, _Key | None]:
        """Those of the ids that the keyring knows: None for a key that was dropped."""
        now = time.monotonic()
        with self._lock:
            kept = {id: self._keys[id] for id in ids if id in self._keys}
        found = {id: key for id, key in kept.items() if key is None or key.until > now}
        missing = sorted(ids - found.keys())
        if missing:
            fetched = {id: key and _opened(key) for id, key in self.vault.keyring.keys(missing).items()}
            found |= fetched
            with self._lock:
                for id, key in fetched.items():
                    if self._keys.get(id, key) is not None:  # else it was dropped meanwhile
                        self._keep(id, key)
        return found

    def _keep(self, id: bytes, key: _Key | None) -> None:
        self._keys[id] = key
        while len(self._keys) > _MOST:
            self._keys.popitem(last=False)


def key_of(kept: str) -> bytes | None:
    """The id of the key that it is sealed with, None for readable text. Raises DataLoss for what is damaged."""
    return _decoded("", kept)[len(_VERSION) : _HEAD_BYTES] if is_sealed(kept) else None


def _opened(key: DataKey) -> _Key:
    aes, wrong = _cipher()
    return _Key(aes(key.key), key.key, time.monotonic() + KEPT_S, wrong)


@cache
def _cipher() -> tuple[type[AESGCM], type[Exception]]:
    # Loaded by those who seal something: most commands do not.
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM, InvalidTag


def _bound(head: bytes, tenant: str, place: str) -> bytes:
    return head + binding(tenant, place)


def _decoded(place: str, kept: str) -> bytes:
    try:
        raw = b64decode(kept[1:], validate=True)
    except ValueError:
        raw = b""
    if len(raw) < _HEAD_BYTES + _NONCE_BYTES or not raw.startswith(_VERSION):
        raise DataLoss(f"what is sealed in {place!r} is damaged, or of a later version; restore it, or upgrade")
    return raw


def _plain(keys: dict[bytes, _Key | None], tenant: str, place: str, raw: bytes) -> bytes | None:
    head = raw[:_HEAD_BYTES]
    id = head[len(_VERSION) :]
    if id not in keys:
        raise _lost(id)
    key = keys[id]
    if key is None:
        return None
    nonce, rest = raw[_HEAD_BYTES : _HEAD_BYTES + _NONCE_BYTES], raw[_HEAD_BYTES + _NONCE_BYTES :]
    try:
        return key.cipher.decrypt(nonce, rest, _bound(head, tenant, place))
    except (key.wrong, ValueError) as cause:
        raise DataLoss(f"what is kept in {place!r} is damaged; restore it from a backup") from cause


def _lost(id: bytes) -> KeyLost:
    return KeyLost(
        f"the keyring does not know the key {id.hex()} that a session is sealed with; restore the keyring, check "
        "keyring_url, or erase the session"
    )
