"""Which form each tenant's text index has, and its change into another one, in steps, while everything goes on.

The words of the former form are taken out first; then every session is compared with its log, which brings its words in
the new one. Chunks keep their numbers and vectors.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, cast

import sqlalchemy as sa

from carryover.core.errors import KeyLost
from carryover.store import counters, hot
from carryover.store.hashed import GIVEN, Form, Wording
from carryover.store.seal import KEY_BYTES
from carryover.store.store import Tx
from carryover.store.tables import chunks, secrets

Index = Literal["none", "hashed", "plain"]  # as the setting says it

_NAME = "index/"  # the row of `secrets` that says a tenant's form
_PLACE = "secrets/index"
_FIND = sa.select(secrets.c.value).where(secrets.c.name == sa.bindparam("name"))


@dataclass(frozen=True, slots=True)
class _Kept:
    """A tenant's form, its secret, sealed; chunks up to the number `below` may still have words of the former one."""

    form: Form
    secret: str = ""
    below: int = 0

    def told(self) -> bytes:
        return json.dumps([self.form, self.secret, self.below]).encode()


def of(tx: Tx) -> Wording:
    """How the tenant's text index says terms. A transaction that writes decides it, where it is the first to.

    Raises KeyLost where the tenant's key should be there and is not.
    """
    kept = _find(tx)
    if kept is None and tx.writing and (form := wanted(tx)) != "tenant" and not counters.values(tx, ["chunks"])[0]:
        new = tx.insert(secrets).values(name=_NAME + tx.tenant, value=_new(tx, form).told())
        tx.conn.execute(new.on_conflict_do_nothing(index_elements=["name"]))
        kept = _find(tx)
    return _wording(tx, kept)


def wanted(tx: Tx) -> Form:
    """The form that the settings ask for. What was ever hashed with a secret stays so."""
    if tx.index != "hashed":
        return tx.index
    return "keyed" if tx.seals else "tenant"


def unlike(tx: Tx, tenants: Iterable[str]) -> set[str]:
    """In `EVERY_TENANT`, those of the tenants whose index is not in the form that the settings ask for."""
    rows = tx.conn.execute(sa.select(secrets.c.name, secrets.c.value).where(secrets.c.name.startswith(_NAME)))
    known = {row.name.removeprefix(_NAME): _kept(row.value) for row in rows}
    asked = wanted(tx)
    doubtful = {tenant for tenant in tenants if _is_amiss(known.get(tenant), asked)}
    return {tenant for tenant in doubtful if tenant in known or _has_chunks(tx, tenant)}


def is_amiss(tx: Tx) -> bool:
    """Whether the tenant's index is not, or not yet, in the form that the settings ask for."""
    kept = _find(tx)
    return _is_amiss(kept, wanted(tx)) and (kept is not None or _has_chunks(tx, tx.tenant))


def begin(tx: Tx) -> None:
    """From here on chunks get words in the form that the settings ask for, if they did not."""
    counters.bump(tx, "chunks", 0)  # nobody else adds chunks of the tenant from here on
    kept = _find(tx)
    if (Wording(tx.tenant).form if kept is None else kept.form) in _serving(wanted(tx)):
        return
    highest = sa.select(sa.func.coalesce(sa.func.max(chunks.c.n), 0)).where(chunks.c.tenant == tx.tenant)
    _put(tx, replace(_new(tx, wanted(tx)), below=tx.conn.execute(highest).scalar_one()))


def former(tx: Tx, most: int) -> list[int]:
    """The numbers of at most so many chunks that have words of the former form."""
    kept = _find(tx)
    if kept is None or not kept.below:
        return []
    left = sa.select(chunks.c.n).where(chunks.c.tenant == tx.tenant, chunks.c.n <= kept.below, chunks.c.terms != GIVEN)
    return list(tx.conn.execute(left.order_by(chunks.c.n).limit(most)).scalars())


def end(tx: Tx) -> None:
    """No chunk has words of the former form."""
    kept = _find(tx)
    if kept is not None:
        _put(tx, replace(kept, below=0))


def _serving(asked: Form) -> tuple[Form, ...]:
    return ("tenant", "keyed") if asked == "tenant" else (asked,)


def _is_amiss(kept: _Kept | None, asked: Form) -> bool:
    there = _Kept("tenant") if kept is None else kept
    return there.below > 0 or there.form not in _serving(asked)


def _has_chunks(tx: Tx, tenant: str) -> bool:
    return tx.conn.execute(sa.select(chunks.c.n).where(chunks.c.tenant == tenant).limit(1)).first() is not None


def _find(tx: Tx) -> _Kept | None:
    rows = hot.read(tx.conn, _FIND, {"name": _NAME + tx.tenant})
    return _kept(bytes(rows[0][0])) if rows else None


@lru_cache(maxsize=1024)
def _kept(value: bytes) -> _Kept:
    form, secret, below = json.loads(value)
    return _Kept(cast("Form", form), secret, below)


def _put(tx: Tx, kept: _Kept) -> None:
    new: Any = tx.insert(secrets).values(name=_NAME + tx.tenant, value=kept.told())
    tx.conn.execute(new.on_conflict_do_update(index_elements=["name"], set_={"value": new.excluded.value}))


def _new(tx: Tx, form: Form) -> _Kept:
    if form != "keyed" or tx.sealing is None:
        return _Kept(form)
    sealed = tx.sealing.vault.seal(tx.tenant, "", _PLACE, os.urandom(KEY_BYTES))
    return _Kept(form, b64encode(sealed).decode())


def _wording(tx: Tx, kept: _Kept | None) -> Wording:
    if kept is None or not kept.secret:
        return Wording(tx.tenant, "tenant" if kept is None else kept.form)
    if tx.sealing is None:
        raise KeyLost("the text index has a secret, and no keyring was opened with the store; open it by its settings")
    secret = tx.sealing.vault.open(tx.tenant, "", _PLACE, b64decode(kept.secret))
    if secret is None:
        raise KeyLost(f"the key of tenant {tx.tenant!r} was dropped; restore the keyring")
    return Wording(tx.tenant, kept.form, secret)
