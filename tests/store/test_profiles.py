"""Profiles: a version that grows, edits that are sealed and expected versions that are kept to, erasure."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest
import sqlalchemy as sa

from carryover.core.errors import VersionConflict
from carryover.core.persona import Edits
from carryover.core.scope import Scope
from carryover.store import personas_shown, preferences, profiles
from carryover.store.codes_kept import Codes
from carryover.store.keyring import Keyring, default_url
from carryover.store.personas_shown import Shown
from carryover.store.profiles import Head
from carryover.store.store import Store
from carryover.store.vault import Vault
from clocks import FrozenClock
from preferred import preference

EDITS = Edits({"12+": 0.5, "p0123456789ab-": 4.0}, ("12+", "7-"), ("9+",), ("call me zebra",))


def edit(store: Store, vault: Vault, edits: Edits, expected: int | None = None, user: str = "mara") -> Head:
    return store.transact(Scope("acme"), lambda tx: profiles.edit(tx, vault, user, edits, expected))


def get(store: Store, vault: Vault, user: str = "mara", tenant: str = "acme") -> Head:
    with store.read(Scope(tenant)) as tx:
        return profiles.get(tx, vault, user)


def touch(store: Store, user: str = "mara") -> int:
    return store.transact(Scope("acme"), lambda tx: profiles.touch(tx, user))


def test_a_profile_grows_with_what_becomes_known(store: Store, vault: Vault, clock: FrozenClock) -> None:
    assert get(store, vault) == Head("mara", 0, 0, Edits(), 0)
    assert (touch(store), touch(store), touch(store, "noor")) == (1, 2, 1)
    assert get(store, vault) == Head("mara", 2, 0, Edits(), clock.now())
    edited = edit(store, vault, EDITS)
    assert edited == get(store, vault) == Head("mara", 3, 3, EDITS, clock.now())
    assert touch(store) == 4
    assert get(store, vault) == Head("mara", 4, 3, EDITS, clock.now())
    assert get(store, vault, tenant="zenith").version == 0


def test_the_same_edits_change_nothing(store: Store, vault: Vault) -> None:
    assert edit(store, vault, Edits()).version == 0
    first = edit(store, vault, EDITS)
    assert edit(store, vault, EDITS, first.version) == first == get(store, vault)
    assert edit(store, vault, Edits()) == Head("mara", 2, 2, Edits(), first.updated_at)


def test_an_edit_of_another_version_is_refused(store: Store, vault: Vault) -> None:
    with pytest.raises(VersionConflict, match="at version 0, not 3; read it again"):
        edit(store, vault, EDITS, 3)
    assert edit(store, vault, EDITS, 0).version == 1
    with pytest.raises(VersionConflict) as refused:
        edit(store, vault, EDITS, 0)  # even where nothing would change
    assert refused.value.facts == {"current_version": 1}
    assert get(store, vault).version == 1


def test_of_edits_at_once_that_expect_one_version_one_is_made(store: Store, vault: Vault) -> None:
    touch(store)
    done, refused = list[Head](), list[VersionConflict]()
    together = threading.Barrier(4)

    def one(n: int) -> None:
        together.wait()
        try:
            done.append(edit(store, vault, Edits(pins=(f"{n}+",)), 1))
        except VersionConflict as conflict:
            refused.append(conflict)

    threads = [threading.Thread(target=one, args=[n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(done), len(refused)) == (1, 3)
    assert get(store, vault) == done[0]


def test_edits_go_with_the_key(store: Store, vault: Vault) -> None:
    edit(store, vault, EDITS)
    assert vault.drop("acme", "mara")
    assert get(store, vault).edits == Edits()
    assert edit(store, vault, Edits(pins=("1+",))).edits == get(store, vault).edits == Edits(pins=("1+",))


def test_an_erased_user_is_in_no_table(store: Store, vault: Vault) -> None:
    codes = Codes(vault, None, 60)
    with store.write(Scope("acme")) as tx:
        for user in ("mara", "noor"):
            preferences.add(tx, vault, [preference(f"{user}{n}", user) for n in range(3)])
            version = profiles.touch(tx, user)
            codes.put(tx, user, version, b"code")
            personas_shown.put(tx, vault, "planner", f"of-{user}", Shown(user, "text", version, 0, 0))
    with store.write(Scope("acme")) as tx:
        gone = profiles.erase(tx, "mara")
        assert gone == {"preferences": 3, "profiles": 1, "persona_codes": 1, "personas_shown": 1}
        assert set(profiles.erase(tx, "mara").values()) == {0}
    with store.read(Scope("acme")) as tx:
        for table in sa.inspect(tx.conn).get_table_names():
            if "user" in {column["name"] for column in sa.inspect(tx.conn).get_columns(table)}:
                found = f"SELECT count(*) FROM \"{table}\" WHERE tenant = 'acme' AND \"user\" = 'mara'"
                assert tx.conn.execute(sa.text(found)).scalar() == 0, table
        assert len(preferences.of_user(tx, vault, "noor")) == 3
        assert codes.get(tx, "noor", 1) == b"code"


def test_another_process_reads_them_with_the_same_keyring(store: Store, vault: Vault) -> None:
    edit(store, vault, EDITS)
    with closing(Vault(Keyring(default_url(store.url)))) as other:
        assert get(store, other).edits == EDITS
