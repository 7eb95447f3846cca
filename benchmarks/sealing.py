"""What sealing costs: preferences and codes sealed with their users' keys, beside the same rows unsealed.

    python -m benchmarks.sealing [--users 400] [--each 28]

On SQLite, in one process; both kinds take turns, and the time is that of the processor. The keyring lies in its own
file, with a master key that was made for this run. A rotation of the master key is timed at the end.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from carryover.core.persona import Preference, Quote
from carryover.core.scope import Scope
from carryover.store import preferences
from carryover.store.codes_kept import Codes
from carryover.store.keyring import Keyring
from carryover.store.store import Store, Tx
from carryover.store.vault import Vault

SCOPE = Scope("acme")
CODE_BYTES = 600
VECTOR_BYTES = 1536


class Open:
    """A vault that leaves everything as it is."""

    def seal(self, _tenant: str, _user: str, _place: str, plain: bytes) -> bytes:
        return plain

    def seal_all(self, _tenant: str, _user: str, records: Iterable[tuple[str, bytes]]) -> list[bytes]:
        return [plain for _, plain in records]

    def open(self, _tenant: str, _user: str, _place: str, sealed: bytes) -> bytes:
        return sealed

    def open_all(self, _tenant: str, records: Sequence[tuple[str, str, bytes]]) -> list[bytes]:
        return [sealed for *_, sealed in records]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=400)
    parser.add_argument("--each", type=int, default=28, help="preferences of each user")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        vault = Vault(Keyring(f"sqlite:///{folder}/keys.db"))
        vaults = {"sealed": vault, "unsealed": cast("Vault", Open())}
        stores = {name: Store.open(f"sqlite:///{folder}/{name}.db") for name in vaults}
        primitives(vault)
        rows(stores, vaults, given.users, given.each)
        began = time.process_time()
        vault.keyring.renew()
        while vault.keyring.rewrap():
            pass
        spent = time.process_time() - began
        print(f"rotation of the master key: {spent / given.users * 1e6:,.0f} us a data key")
        for store in stores.values():
            store.close()
        vault.close()


def primitives(vault: Vault) -> None:
    """Sealing and opening alone, with the key at hand."""
    plain = os.urandom(CODE_BYTES)
    sealed = vault.seal("acme", "mara", "p", plain)
    many = [("p", plain)] * 1000
    seal = each(lambda: vault.seal_all("acme", "mara", many)) / len(many)
    opened = each(lambda: vault.open_all("acme", [("mara", "p", sealed)] * 1000)) / len(many)
    first = each(lambda: vault.seal("acme", "mara", "p", plain))
    print(f"of {CODE_BYTES} bytes: seal {seal:.1f} us, open {opened:.1f} us, seal one by one {first:.0f} us")


def rows(stores: dict[str, Store], vaults: dict[str, Vault], users: int, count: int) -> None:
    codes = {name: Codes(vault, None, 3600) for name, vault in vaults.items()}
    spent: dict[tuple[str, str], list[float]] = {}

    def timed(what: str, name: str, do: Callable[[Tx], Any], *, writing: bool = False) -> None:
        began = time.process_time()
        with stores[name].write(SCOPE) if writing else stores[name].read(SCOPE) as tx:
            do(tx)
        spent.setdefault((what, name), []).append((time.process_time() - began) * 1e6)

    def both(what: str, do: Callable[[Tx, str], Any], *, writing: bool = False) -> None:
        for name in random.sample(sorted(stores), 2):
            timed(what, name, lambda tx, name=name: do(tx, name), writing=writing)

    for n in range(users):
        user = f"u{n}"
        said = [preference(f"{n}-{k}", user) for k in range(count)]
        both(f"add {count} preferences", lambda tx, to, said=said: preferences.add(tx, vaults[to], said), writing=True)
        both("put a code", lambda tx, to, user=user: codes[to].put(tx, user, 1, bytes(CODE_BYTES)), writing=True)
    for n in random.sample(range(users), users):
        user = f"u{n}"
        both(f"read {count} preferences", lambda tx, of, user=user: preferences.of_user(tx, vaults[of], user))
        both("get a code", lambda tx, of, user=user: codes[of].get(tx, user, 1))
    for _ in range(5):
        both(f"a page of {users} users", lambda tx, of: preferences.of_tenant(tx, vaults[of], limit=users))
    for what in dict.fromkeys(what for what, _ in spent):
        sealed, bare = (statistics.median(spent[what, name]) for name in ("sealed", "unsealed"))
        print(f"{what}: sealed {sealed:,.0f} us, unsealed {bare:,.0f} us, x{sealed / bare:.2f}")


def preference(id: str, user: str) -> Preference:
    quote = Quote("planner", "s1", 3, "please use bullet points whenever you list more than two things")
    vector = random.randbytes(VECTOR_BYTES)
    return Preference(id, user, "format", "bullet points", "like", True, False, 4.0, quote, 1, 12, vector, "minilm")


def each(do: Callable[[], Any], times: int = 30) -> float:
    """Microseconds of the processor, the median."""
    spent: list[float] = []
    for _ in range(times):
        began = time.process_time()
        do()
        spent.append((time.process_time() - began) * 1e6)
    return statistics.median(spent)


if __name__ == "__main__":
    main()
