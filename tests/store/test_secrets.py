"""Keys of the installation: made once, whoever asks first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from carryover.core.scope import EVERY_TENANT
from carryover.store.secrets import secret
from carryover.store.store import Store


def ask(store: Store, name: str) -> bytes:
    return store.transact(EVERY_TENANT, lambda tx: secret(tx, name))


def test_all_get_the_same_and_each_name_has_its_own(store: Store) -> None:
    with Store.open(store.url) as other, ThreadPoolExecutor(4) as threads:
        got = list(threads.map(lambda n: ask(store if n % 2 else other, "cache"), range(12)))
    assert len(set(got)) == 1
    assert len(got[0]) == 32
    assert ask(store, "another") != got[0]
