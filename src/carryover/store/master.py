"""Master keys: they wrap the data keys of the keyring, and come from elsewhere.

Whoever runs the installation gives them in a setting or a file. Else they are made here: in a file beside the keyring,
or in the keyring's own database, where a key management service (KMS) may wrap them in turn. The first of them is the
current one, under which keys are wrapped; the others only unwrap. What was made here before somebody gave one still
unwraps, until the next rotation throws it away.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from carryover.core import files
from carryover.core.errors import Invalid, KeyLost, StoreUnavailable
from carryover.core.ports import Kms
from carryover.store.seal import KEY_BYTES
from carryover.store.store import Tx

FILE = "master.key"  # beside a keyring in SQLite


@dataclass(frozen=True, slots=True)
class MasterKey:
    """32 bytes, by an id that follows from them and does not tell them."""

    id: str
    key: bytes = field(repr=False)

    @classmethod
    def of(cls, key: bytes) -> MasterKey:
        return cls(hmac.digest(key, b"carryover master key", hashlib.sha256)[:8].hex(), key)


class Source(Protocol):
    """A place that master keys come from; `tx` is a transaction of the keyring."""

    said: str  # in words

    def read(self, tx: Tx) -> list[MasterKey]:
        """Those that it holds now, the current one first. Raises KeyLost where it cannot be read."""
        ...


class Own(Source, Protocol):
    """A place whose keys are made and thrown away here."""

    def make(self, tx: Tx) -> None:
        """A new one is the current one."""
        ...

    def trim(self, tx: Tx, keep: int) -> None:
        """Only so many are left, the newest."""
        ...


@dataclass(frozen=True, slots=True)
class Masters:
    """The master keys that there are: those that were given, and those that were made here."""

    given: Source | None  # where somebody else keeps them
    own: Own
    left: Own | None = None  # where they were made before a KMS wrapped them

    @property
    def said(self) -> str:
        return (self.given or self.own).said

    @property
    def is_beside(self) -> bool:
        """Whether they lie, readable, in the database whose keys they wrap."""
        return self.given is None and isinstance(self.own, OwnTable) and not self.own.wraps

    @property
    def _older(self) -> Own | None:
        return self.own if self.given is not None else self.left

    def read(self, tx: Tx) -> list[MasterKey]:
        """All of them, the current one first."""
        older = self._older
        return (self.given or self.own).read(tx) + (older.read(tx) if older is not None else [])

    def renew(self, tx: Tx) -> bool:
        """There is a new one, where they are made here; whether it was made now.

        One that a rotation made which did not end is not made again.
        """
        if self.given is not None or len(self.read(tx)) > 1:
            return False
        self.own.make(tx)
        return True

    def trim(self, tx: Tx) -> None:
        """Of those that were made here only the current one is left."""
        if self.given is None:
            self.own.trim(tx, 1)
        if self._older is not None:
            self._older.trim(tx, 0)


class Given:
    """Those of the setting `master_key`."""

    said = "the setting master_key"

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = [MasterKey.of(key) for key in keys]

    def read(self, tx: Tx) -> list[MasterKey]:
        return self._keys


class GivenFile:
    """Those of a file that somebody else keeps, a line each in base64; it is read anew whenever it has to be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said = f"the file {path}"

    def read(self, tx: Tx) -> list[MasterKey]:
        try:
            lines = self.path.read_text("ascii").split()
        except (OSError, UnicodeDecodeError) as cause:
            raise KeyLost(f"{self.said} of master keys cannot be read ({_why(cause)}); put it back") from cause
        return parsed(lines, self.said)


class OwnFile(GivenFile):
    """Those of a file that is made here, at first need."""

    def read(self, tx: Tx) -> list[MasterKey]:
        return super().read(tx) if self.path.exists() else []

    def make(self, tx: Tx) -> None:
        self._replace([MasterKey.of(os.urandom(KEY_BYTES)), *self.read(tx)])

    def trim(self, tx: Tx, keep: int) -> None:
        if keep == 0:
            files.remove(self.path)
        else:
            self._replace(self.read(tx)[:keep])

    def _replace(self, keys: Sequence[MasterKey]) -> None:
        """The file holds these and is its owner's alone to read; whoever reads it finds the old or the new one."""
        text = "".join(f"{base64.b64encode(one.key).decode()}\n" for one in keys)
        try:
            files.replace(self.path, text.encode(), files.PRIVATE)
        except OSError as cause:
            raise StoreUnavailable(
                f"{self.said} of master keys cannot be written ({_why(cause)}); correct that and retry"
            ) from cause


class OwnTable:
    """Those in the keyring's own database, each as it is or wrapped by the KMS."""

    def __init__(self, table: sa.Table, kms: str | None) -> None:
        self.said = "the keyring's own database" + ("" if kms is None else f", wrapped by the KMS {kms!r}")
        self._table, self._name = table, kms
        self._kms: Kms | None = None
        # What the KMS unwrapped once is not asked of it again.
        self._known: dict[bytes, MasterKey] = {}

    def read(self, tx: Tx) -> list[MasterKey]:
        rows = tx.conn.execute(sa.select(self._table.c.wrapped, self._table.c.kms).order_by(self._table.c.n.desc()))
        # One that a KMS wrapped is not to be had where no KMS is named.
        return [
            MasterKey.of(bytes(wrapped)) if kms is None else self._unwrapped(bytes(wrapped))
            for wrapped, kms in rows
            if kms is None or self._name is not None
        ]

    @property
    def wraps(self) -> bool:
        """Whether a KMS wraps them."""
        return self._name is not None

    def make(self, tx: Tx) -> None:
        key = os.urandom(KEY_BYTES)
        wrapped = key if self._name is None else self._asked("wrap", key)
        last = tx.conn.execute(sa.select(sa.func.max(self._table.c.n))).scalar() or 0
        new = sa.insert(self._table).values(n=last + 1, wrapped=wrapped, kms=self._name, created_at=tx.now)
        tx.conn.execute(new)

    def trim(self, tx: Tx, keep: int) -> None:
        newest = sa.select(self._table.c.n).order_by(self._table.c.n.desc()).limit(keep)
        left = tx.conn.execute(newest).scalars().all()
        tx.conn.execute(self._table.delete().where(self._table.c.n.not_in(left)))

    def _unwrapped(self, wrapped: bytes) -> MasterKey:
        found = self._known.get(wrapped)
        if found is None:
            key = self._asked("unwrap", wrapped)
            if len(key) != KEY_BYTES:
                raise KeyLost(
                    f"the KMS {self._name!r} unwrapped {len(key)} bytes for a master key; set kms as it was when the "
                    "key was made"
                )
            found = self._known[wrapped] = MasterKey.of(key)
        return found

    def _asked(self, verb: str, told: bytes) -> bytes:
        if self._kms is None:
            self._kms = open_kms(self._name or "")
        try:
            return self._kms.wrap(told) if verb == "wrap" else self._kms.unwrap(told)
        except Exception as cause:  # whatever the library of the service raises
            raise KeyLost(
                f"the KMS {self._name!r} with its key {self._kms.id!r} did not {verb} a master key "
                f"({type(cause).__name__}); check that it answers and that this process may use its key"
            ) from cause


def parsed(lines: Sequence[str], where: str) -> list[MasterKey]:
    """The keys of lines in base64. Raises KeyLost, without a word of theirs, where one is none."""
    keys: list[MasterKey] = []
    for n, line in enumerate(lines, 1):
        try:
            key = base64.b64decode(line, validate=True)
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise KeyLost(f"line {n} of {where} is not 32 bytes in base64; correct it, or put it back as it was")
        keys.append(MasterKey.of(key))
    return keys


def open_kms(name: str) -> Kms:
    """What the factory of that name (`package.module:factory`) makes. Raises Invalid where there is none."""
    module, _, factory = name.partition(":")
    try:
        return getattr(importlib.import_module(module), factory)()
    except (ImportError, AttributeError, ValueError) as cause:
        raise Invalid(
            f"kms {name!r} cannot be had ({cause}); write it as package.module:factory, importable here", field="kms"
        ) from cause


def _why(cause: Exception) -> str:
    return getattr(cause, "strerror", None) or type(cause).__name__
