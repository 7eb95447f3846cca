"""Preferences: sealed user by user, found by user, by tenant and by session, gone with the user's key."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from carryover.core.errors import DataLoss, KeyLost
from carryover.core.persona import Preference
from carryover.core.scope import Scope
from carryover.store import preferences
from carryover.store.keyring import Keyring
from carryover.store.persona_tables import preferences as rows
from carryover.store.store import Store
from carryover.store.vault import Vault
from preferred import preference

PLANTED = "tell it in rhymes about zebras"


def add(store: Store, vault: Vault, *new: Preference, tenant: str = "acme") -> None:
    store.transact(Scope(tenant), lambda tx: preferences.add(tx, vault, new))


def of_user(store: Store, vault: Vault, user: str, tenant: str = "acme") -> list[Preference]:
    with store.read(Scope(tenant)) as tx:
        return preferences.of_user(tx, vault, user)


def test_what_is_added_is_found_as_it_was(store: Store, vault: Vault) -> None:
    bare = preference("p1", "mara")
    full = preference(
        "p2", "mara", facet="", value="ünïcode 🦓", polarity="avoid", explicit=False, correction=True, weight=0.1,
        text=PLANTED + "\x00", label=1203, vector=bytes(range(256)) * 6, space="minilm/1", said_at=2_000,
    )  # fmt: skip
    add(store, vault, bare, full, preference("p1", "noor"), tenant="zenith")
    add(store, vault, bare, full, preference("p3", "noor"))
    assert of_user(store, vault, "mara") == [bare, full]
    assert of_user(store, vault, "noor") == [preference("p3", "noor")]
    assert of_user(store, vault, "nobody") == []
    add(store, vault)


def test_what_is_there_already_is_not_added_again(store: Store, vault: Vault) -> None:
    add(store, vault, preference("p1", "mara"))
    add(store, vault, preference("p1", "mara", value="other"), preference("p2", "mara"))
    assert [one.value for one in of_user(store, vault, "mara")] == ["bullet points", "bullet points"]


def test_they_come_in_the_order_in_which_they_were_said(store: Store, vault: Vault) -> None:
    said = [
        preference("p9", "mara", said_at=1),
        preference("p8", "mara", said_at=2, agent="A"),
        preference("p7", "mara", said_at=2, agent="a", session="S"),
        preference("p6", "mara", said_at=2, agent="a", session="s", seq=2),
        preference("P5", "mara", said_at=2, agent="a", session="s", seq=10),
        preference("p5", "mara", said_at=2, agent="a", session="s", seq=10),
    ]
    add(store, vault, *reversed(said))
    assert of_user(store, vault, "mara") == said


def test_a_tenants_come_in_pages_of_whole_users_in_one_order_on_every_engine(store: Store, vault: Vault) -> None:
    users = sorted(["Zoe", "ada", "a.b", "a-b", "a_b", "a:b", "mara", "noor", "Ada"])
    add(store, vault, *(preference(f"{user}{n}", user, said_at=n) for user in users for n in range(3)))
    add(store, vault, preference("x", "other"), tenant="zenith")
    pages, after = list[list[Preference]](), ""
    while True:
        with store.read(Scope("acme")) as tx:
            page = preferences.of_tenant(tx, vault, after=after, limit=2)
        if not page:
            break
        pages.append(page)
        after = page[-1].user_id
    assert [len(page) for page in pages] == [6, 6, 6, 6, 3]
    assert [one.user_id for page in pages for one in page] == [user for user in users for _ in range(3)]


def test_a_page_asks_the_keyring_once(store: Store, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    add(store, vault, *(preference(f"p{n}", f"u{n:04}") for n in range(700)))
    asked: list[int] = []
    keys = Keyring.keys
    monkeypatch.setattr(Keyring, "keys", lambda self, ids: asked.append(len(ids)) or keys(self, ids))
    with store.read(Scope("acme")) as tx:
        assert len(preferences.of_tenant(tx, vault)) == 700
        assert len(preferences.of_tenant(tx, vault, limit=10)) == 10
    assert asked == [700]


def test_a_page_of_erased_users_is_passed_over(store: Store, vault: Vault) -> None:
    add(store, vault, *(preference(f"p{n}", f"u{n}") for n in range(6)))
    for n in (0, 1, 2, 4):
        assert vault.drop("acme", f"u{n}")
    with store.read(Scope("acme")) as tx:
        assert [one.user_id for one in preferences.of_tenant(tx, vault, limit=2)] == ["u3"]
        assert [one.user_id for one in preferences.of_tenant(tx, vault, after="u3", limit=1)] == ["u5"]
        assert preferences.of_tenant(tx, vault, after="u5") == []
    assert of_user(store, vault, "u0") == []


def test_labels_are_assigned_anew_without_another_word_changed(store: Store, vault: Vault) -> None:
    old = [preference(f"p{n}", user, said_at=n) for n, user in enumerate(("mara", "noor", "mara"))]
    add(store, vault, *old)
    new = [replace(one, label=7 + n, vector=b"v" * n, space="s") for n, one in enumerate(old)]
    gone = preference("p9", "mara", label=1)
    foreign = replace(new[1], user_id="mara")
    store.transact(Scope("acme"), lambda tx: preferences.relabel(tx, vault, [*new, gone, foreign]))
    store.transact(Scope("acme"), lambda tx: preferences.relabel(tx, vault, []))
    assert of_user(store, vault, "mara") == [new[0], new[2]]
    assert of_user(store, vault, "noor") == [new[1]]


def test_a_session_takes_its_own_along(store: Store, vault: Vault) -> None:
    add(
        store, vault, preference("p1", "mara"), preference("p2", "noor"), preference("p3", "mara", session="s2"),
        preference("p4", "mara", agent="coder"),
    )  # fmt: skip
    add(store, vault, preference("p1", "mara"), tenant="zenith")
    with store.write(Scope("acme")) as tx:
        assert preferences.users_of(tx, "planner", "s1") == ["mara", "noor"]
        assert preferences.erase_session(tx, "planner", "s1") == 2
        assert preferences.users_of(tx, "planner", "s1") == []
        assert preferences.erase_session(tx, "planner", "s1") == 0
    assert [one.id for one in of_user(store, vault, "mara")] == ["p4", "p3"]
    assert len(of_user(store, vault, "mara", "zenith")) == 1


def test_a_row_opens_nowhere_but_in_its_place(store: Store, vault: Vault) -> None:
    add(store, vault, preference("p1", "mara"), preference("p2", "noor"), preference("p3", "mara"))
    with store.write(Scope("acme")) as tx:
        sealed = dict(tx.conn.execute(sa.select(rows.c.id, rows.c.sealed).where(rows.c.tenant == "acme")).all())
        moved = rows.update().where(rows.c.tenant == "acme", rows.c.id == "p1")
        for other in ("p2", "p3"):
            tx.conn.execute(moved.values(sealed=sealed[other]))
            with pytest.raises(DataLoss, match="mara"):
                preferences.of_user(tx, vault, "mara")


def test_a_key_that_is_missing_shows_nothing_and_says_so(store: Store, vault: Vault) -> None:
    add(store, vault, preference("p1", "mara"), preference("p2", "noor"))
    vault.close()
    with vault.keyring._opened().write(Scope("*")) as tx:
        table = vault.keyring._keys
        tx.conn.execute(table.delete().where(table.c.user == "mara"))
    with pytest.raises(KeyLost, match=r"key \w{16} of user 'mara'; restore the keyring"):
        of_user(store, vault, "mara")
    with store.read(Scope("acme")) as tx, pytest.raises(KeyLost, match="mara"):
        preferences.of_tenant(tx, vault)
    assert of_user(store, vault, "noor")
