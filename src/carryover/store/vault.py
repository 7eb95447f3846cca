"""The vault: what says something of a user is sealed with that user's own key, and opened again while the key lives.

A sealed record is a version, the id of its data key, a nonce and what AES-256-GCM made of it, bound to the tenant, the
user and the place that it is kept in: what is moved to another row does not open there.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from carryover.core.errors import DataLoss, KeyLost
from carryover.store.keyring import ID_BYTES, DataKey, Keyring, owner
from carryover.store.seal import binding, decrypted, encrypted

KEPT_S = 2.0  # a key that is dropped elsewhere opens nothing here after so long
_MOST = 4096  # keys that are kept so
_VERSION = b"\x01"
_HEAD_BYTES = len(_VERSION) + ID_BYTES


class Vault:
    """Seals and opens what is kept of users. Close it."""

    def __init__(self, keyring: Keyring) -> None:
        self.keyring = keyring
        self._kept: OrderedDict[bytes, tuple[DataKey | None, float]] = OrderedDict()
        self._lock = threading.Lock()
        self._drops = 0

    def close(self) -> None:
        """The keyring is closed, and no key is held any more."""
        self._forget()
        self.keyring.close()

    def seal(self, tenant: str, user: str, place: str, plain: bytes) -> bytes:
        """`plain`, readable only by way of the user's key, which is made where there is none."""
        return self.seal_all(tenant, user, [(place, plain)])[0]

    def seal_all(self, tenant: str, user: str, records: Iterable[tuple[str, bytes]]) -> list[bytes]:
        """What is to lie in these places, each sealed; the keyring is asked once."""
        # It is asked every time: what was sealed with a key that is gone by now would be lost.
        key = self.keyring.current(tenant, user)
        head = _VERSION + key.id
        return [head + encrypted(key.key, plain, _bound(head, tenant, user, place)) for place, plain in records]

    def open(self, tenant: str, user: str, place: str, sealed: bytes) -> bytes | None:
        """What was sealed for this user and place; None where the key was dropped: it is erased.

        Raises KeyLost when the key should be there and is not, DataLoss for what was never sealed so.
        """
        return self.open_all(tenant, [(user, place, sealed)])[0]

    def open_all(self, tenant: str, records: Sequence[tuple[str, str, bytes]]) -> list[bytes | None]:
        """The same for many, each with its user and place; the keyring is asked once for all keys."""
        keys = self._keys({_head(sealed)[len(_VERSION) :] for *_, sealed in records})
        return [self._opened(keys, tenant, *record) for record in records]

    def drop(self, tenant: str, user: str) -> bool:
        """Nothing that was sealed for the user opens any more, in backups neither; whether there was a key.

        In this process from now on, in others after two seconds at the latest. What is sealed later gets a new key.
        """
        try:
            return self.keyring.drop(tenant, user)
        finally:
            self._forget()

    def _opened(
        self, keys: dict[bytes, DataKey | None], tenant: str, user: str, place: str, sealed: bytes
    ) -> bytes | None:
        head = _head(sealed)
        id = head[len(_VERSION) :]
        if id not in keys:
            raise KeyLost(
                f"the keyring does not know the key {id.hex()} of {owner(user)}; restore the keyring, or check "
                f"keyring_url{', or erase the user' if user else ''}",
                user_id=user,
            )
        key = keys[id]
        if key is None:
            return None
        plain = decrypted(key.key, sealed[_HEAD_BYTES:], _bound(head, tenant, user, place))
        if plain is None:
            raise DataLoss(f"what is kept of {owner(user)} in {place!r} is damaged; restore it from a backup")
        return plain

    def _keys(self, ids: set[bytes]) -> dict[bytes, DataKey | None]:
        """The keys of these ids that there are."""
        found: dict[bytes, DataKey | None] = {}
        now = time.monotonic()
        with self._lock:
            drops = self._drops
            for id in ids:
                kept = self._kept.get(id)
                if kept is not None and kept[1] > now:
                    self._kept.move_to_end(id)
                    found[id] = kept[0]
        missing = sorted(ids - found.keys())
        if not missing:
            return found
        fetched = self.keyring.keys(missing)
        with self._lock:
            if drops == self._drops:
                self._kept.update((id, (key, now + KEPT_S)) for id, key in fetched.items())
                while len(self._kept) > _MOST:
                    self._kept.popitem(last=False)
        return found | fetched

    def _forget(self) -> None:
        with self._lock:
            self._drops += 1
            self._kept.clear()


def _head(sealed: bytes) -> bytes:
    head = sealed[:_HEAD_BYTES]
    if len(head) < _HEAD_BYTES or not head.startswith(_VERSION):
        raise DataLoss("a sealed record is damaged, or of a later version; restore it from a backup, or upgrade")
    return head


def _bound(head: bytes, tenant: str, user: str, place: str) -> bytes:
    return head + binding(tenant, user, place)
