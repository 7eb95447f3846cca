"""Codebooks: the newest version counts, older ones go, and none is read without the tenant's key."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from carryover.core.errors import Conflict, DataLoss
from carryover.core.scope import Scope
from carryover.store import codebooks
from carryover.store.persona_tables import codebooks as rows
from carryover.store.store import Store
from carryover.store.vault import Vault

PLANTED = b"bullet points for zebras"


def put(store: Store, vault: Vault, version: int, content: bytes = PLANTED, tenant: str = "acme") -> None:
    told = {"space": "letters@1", "strategy": "facets", "why": "fit"}
    store.transact(Scope(tenant), lambda tx: codebooks.put(tx, vault, version, content, **told))


def newest(store: Store, vault: Vault, tenant: str = "acme") -> tuple[int, bytes] | None:
    with store.read(Scope(tenant)) as tx:
        found = codebooks.newest(tx, vault)
        assert codebooks.newest_version(tx) == (found[0] if found else 0)
        return found


def test_the_newest_version_counts_in_its_tenant(store: Store, vault: Vault) -> None:
    assert newest(store, vault) is None
    put(store, vault, 1)
    put(store, vault, 2, b"second")
    put(store, vault, 7, b"other", tenant="zenith")
    assert newest(store, vault) == (2, b"second")
    assert newest(store, vault, "zenith") == (7, b"other")
    assert newest(store, vault, "nobody") is None


def test_what_was_made_of_an_older_version_is_refused(store: Store, vault: Vault) -> None:
    put(store, vault, 2)
    for version in (1, 2):
        with pytest.raises(Conflict, match="fit it again"):
            put(store, vault, version, b"late")
    assert newest(store, vault) == (2, PLANTED)


def test_only_the_last_versions_are_kept(store: Store, vault: Vault) -> None:
    for version in range(1, 6):
        put(store, vault, version)
    with store.read(Scope("acme")) as tx:
        kept = tx.conn.execute(sa.select(rows.c.version).where(rows.c.tenant == "acme")).scalars().all()
    assert sorted(kept) == [3, 4, 5]


def test_it_is_sealed_with_the_tenants_key_for_its_version(store: Store, vault: Vault) -> None:
    put(store, vault, 1)
    with store.read(Scope("acme")) as tx:
        sealed = tx.conn.execute(sa.select(rows.c.sealed).where(rows.c.tenant == "acme")).scalar_one()
    assert PLANTED not in bytes(sealed)
    with store.write(Scope("acme")) as tx:
        tx.conn.execute(rows.update().where(rows.c.tenant == "acme").values(version=4))
    with pytest.raises(DataLoss), store.read(Scope("acme")) as tx:
        codebooks.newest(tx, vault)


def test_without_the_tenants_key_there_is_none(store: Store, vault: Vault) -> None:
    put(store, vault, 3)
    vault.drop("acme", "")
    with store.read(Scope("acme")) as tx:
        assert codebooks.newest(tx, vault) is None
        assert codebooks.newest_version(tx) == 3
    put(store, vault, 4, b"anew")
    assert newest(store, vault) == (4, b"anew")
