"""The fit job: when it makes a version of a tenant's codebook, and what it never touches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from carryover.core import telemetry
from carryover.core.errors import Conflict, Forbidden
from carryover.core.persona import Fitted, PersonaStrategy, Preference
from carryover.core.scope import Scope
from carryover.core.usage import Cap
from carryover.jobs.run import run
from carryover.jobs.worker import Worker
from carryover.persona import fitting, plain
from carryover.persona.book import Codebook, assign_many, packed, starter_book, unpacked
from carryover.persona.books import Books
from carryover.persona.fitting import Means
from carryover.persona.starter import seeds
from carryover.store import codebooks, preferences, queue, subjects
from carryover.store.keyring import Keyring
from carryover.store.persona_tables import codebooks as rows
from carryover.store.store import Store
from carryover.store.vault import Vault
from clocks import FrozenClock
from worded import Worded, by_users, said

WORDS = Worded("florps glimps", "kraddles kroodles")
FLOOR = 3


@dataclass
class Tenant:
    """A tenant with its codebook, and a worker that fits it."""

    store: Store
    vault: Vault
    scope: Scope
    embedder: Worded | None = WORDS
    strategy: PersonaStrategy = "facets"
    facets: dict[str, dict[str, list[str]]] | None = None

    def __post_init__(self) -> None:
        self.books = Books(self.vault, self.facets or {}, self.strategy)
        self.means = Means(self.books, self.embedder, FLOOR)
        derivation = fitting.fitting(self.means)
        self.worker = Worker(self.store, {derivation.kind: derivation}, lambda _tenant: Cap())

    def add(self, new: list[Preference]) -> None:
        self.store.transact(self.scope, lambda tx: preferences.add(tx, self.vault, new))

    def drop(self, gone: Callable[[Preference], bool]) -> None:
        ids = [one.id for one in self.all() if gone(one)]
        self.store.transact(self.scope, lambda tx: preferences.drop(tx, ids))

    def place(self) -> None:
        """What users do when they come back: their far preferences are looked at again."""
        found = assign_many(self.book, self.all())
        new = [replace(one, label=label) for one, (_, label) in zip(self.all(), found, strict=True) if not one.label]
        self.store.transact(self.scope, lambda tx: preferences.relabel(tx, self.vault, new))

    def all(self) -> list[Preference]:
        with self.store.read(self.scope) as tx:
            return preferences.of_tenant(tx, self.vault, limit=10_000)

    def look(self) -> str | None:
        """The job is run now; why it made a version, if it did."""
        before = self.version
        self.store.transact(self.scope, lambda tx: queue.arm(tx, [(fitting.KIND, fitting.SUBJECT, tx.now)]))
        assert self.worker.run_one((fitting.KIND,), tenant=self.scope.tenant)
        with self.store.read(self.scope) as tx:
            assert queue.get(tx, fitting.KIND, fitting.SUBJECT) is None
        return self.book.why if self.version > before else None

    def refit(self) -> Fitted:
        made = fitting.refit(self.store, self.vault, self.scope, self.worker, 60)
        assert made is not None
        return made

    @property
    def version(self) -> int:
        with self.store.read(self.scope) as tx:
            return codebooks.newest_version(tx)

    @property
    def book(self) -> Codebook:
        with self.store.read(self.scope) as tx:
            found = codebooks.newest(tx, self.vault)
        assert found is not None
        return unpacked(found[1])

    @property
    def names(self) -> set[str]:
        return {label.name for label in self.book.labels.values() if not label.starter and label.retired is None}


@pytest.fixture
def tenant(store: Store, vault: Vault, scope: Scope) -> Iterator[Tenant]:
    made = Tenant(store, vault, scope)
    yield made
    made.worker.close()


def test_what_users_say_becomes_labels_of_the_next_version(tenant: Tenant) -> None:
    tenant.add(by_users(30, ["florps", "glimps", "odd huts", "kraddles"], WORDS))
    made = tenant.refit()
    assert (made.version, made.why, made.preferences, made.users, made.far) == (2, "fit", 120, 30, 0.0)
    assert (made.new, made.retired) == (len(tenant.names), 0)
    assert tenant.names >= {"florps", "odd huts", "kraddles"}
    assert made.labels == made.new + len(seeds())
    with tenant.store.read(tenant.scope) as tx:
        assert packed(tenant.books.newest(tx)) == packed(tenant.book)


def test_it_looks_by_itself_and_does_what_the_drift_asks_for(tenant: Tenant) -> None:
    tenant.add(by_users(2, ["florps"], WORDS))
    assert tenant.look() is None  # two users are fewer than the floor
    tenant.add(by_users(6, ["florps", "glimps"], WORDS, name="v"))
    assert tenant.look() == "growth"
    assert tenant.names == {"florps"}
    assert tenant.look() is None
    tenant.add(by_users(40, ["florps", "glimps", "odd huts", "kraddles", "small talk"], WORDS, name="w"))
    assert tenant.look() == "fit"
    tenant.place()
    assert tenant.look() is None


def test_preferences_stay_as_they_are(tenant: Tenant) -> None:
    tenant.add(by_users(30, ["florps", "bullet points"], WORDS))
    before = tenant.all()
    tenant.refit()
    assert tenant.all() == before


def test_labels_of_erased_users_go_with_the_next_look(tenant: Tenant) -> None:
    tenant.add(by_users(5, ["florps", "kraddles"], WORDS))
    tenant.refit()
    tenant.place()
    tenant.drop(lambda one: one.value == "florps" and one.user_id > "u1")
    assert tenant.look() == "growth"
    assert tenant.names == {"kraddles"}
    assert b"florp" not in packed(tenant.book)


@pytest.mark.parametrize("left", [2, 0])
def test_no_kept_version_tells_what_too_few_say_since_users_were_erased(tenant: Tenant, left: int) -> None:
    tenant.add(by_users(5, ["florps", "kraddles"], WORDS))
    tenant.refit()
    tenant.refit()
    names = tenant.names
    assert names
    for user in sorted({one.user_id for one in tenant.all()})[left:]:
        tenant.store.transact(tenant.scope, lambda tx, user=user: subjects.erase_user(tx, user))
    assert tenant.worker.run_one((fitting.KIND,), tenant=tenant.scope.tenant)  # at once, not within the hour
    assert tenant.names == set()
    with tenant.store.read(tenant.scope) as tx:
        kept = tx.conn.execute(rows.select().where(rows.c.tenant == tx.tenant)).all()
        told = [tenant.vault.open(tx.tenant, "", f"codebooks/{row.version}", bytes(row.sealed)) for row in kept]
    assert len(told) == 1
    assert not any(name.encode() in (content or b"") for content in told for name in names)


@pytest.mark.parametrize("vectors", [True, False])
def test_without_an_embedder_labels_of_erased_users_go_all_the_same(tenant: Tenant, vectors: bool) -> None:
    tenant.add(by_users(5, ["florps"], WORDS))
    tenant.add(by_users(3, ["kraddles"], WORDS))
    tenant.refit()
    tenant.place()
    if not vectors:
        bare = [replace(one, vector=None, space=None) for one in tenant.all()]
        tenant.store.transact(tenant.scope, lambda tx: preferences.relabel(tx, tenant.vault, bare))
    later = Tenant(tenant.store, tenant.vault, tenant.scope, embedder=None)
    assert later.look() is None  # nothing has changed
    tenant.store.transact(tenant.scope, lambda tx: subjects.erase_user(tx, "u0"))
    assert later.worker.run_one((fitting.KIND,), tenant=tenant.scope.tenant)
    assert later.names == {"florps"}
    assert b"kraddle" not in packed(later.book)


def test_a_user_whose_key_was_dropped_counts_no_more(tenant: Tenant) -> None:
    tenant.add(by_users(3, ["florps"], WORDS))
    assert tenant.refit().new == 1
    tenant.vault.drop("acme", "u0")
    made = tenant.refit()
    assert (made.retired, made.users) == (1, 2)


def test_another_embedder_makes_all_vectors_anew(tenant: Tenant) -> None:
    tenant.add(by_users(9, ["florps", "glimps", "odd huts"], WORDS))
    tenant.refit()
    ids = {label.name: id for id, label in tenant.book.labels.items()}
    other = Tenant(tenant.store, tenant.vault, tenant.scope, Worded("florps glimps", name="worded@2"))
    assert other.look() == "fit"
    assert other.book.space == other.means.embedder.name  # type: ignore[union-attr]
    assert {label.name: id for id, label in other.book.labels.items()} == ids
    assert other.embedder is not None
    assert sum(text == "odd huts" for text in other.embedder.embedded) == 1
    assert other.look() is None
    other.worker.close()


def test_without_an_embedder_the_shipped_names_are_all_there_is(tenant: Tenant) -> None:
    bare = Tenant(tenant.store, tenant.vault, tenant.scope, None)
    bare.add([replace(one, vector=None, space=None) for one in by_users(9, ["florps"], WORDS)])
    assert bare.refit() == Fitted(0, None, 0, 0, 0, 0, 0, 0.0)
    bare.worker.close()


def test_a_tenant_without_preferences_keeps_the_shipped_labels(tenant: Tenant) -> None:
    assert tenant.refit() == Fitted(0, None, 0, 0, 0, 0, 0, 0.0)
    assert tenant.look() is None


def test_tenants_learn_nothing_from_each_other(tenant: Tenant) -> None:
    other = Tenant(tenant.store, tenant.vault, Scope("zenith"))
    other.add(by_users(9, ["florps"], WORDS))
    tenant.add(by_users(9, ["kraddles"], WORDS))
    tenant.refit()
    other.refit()
    assert (tenant.names, other.names) == ({"kraddles"}, {"florps"})
    other.worker.close()


def test_facets_of_a_tenants_own_come_with_the_next_version(tenant: Tenant) -> None:
    tenant.add(by_users(5, ["kraddles"], WORDS))
    tenant.refit()
    facets = {"acme": {"units": ["metric", "imperial"]}}
    own = Tenant(tenant.store, tenant.vault, tenant.scope, WORDS, facets=facets)
    own.add(by_users(5, ["metric", "furlongs"], WORDS, facet="units"))
    own.refit()
    assert "units" in own.book.facets
    assert {label.name for label in own.book.labels.values() if label.facet == "units"} >= {"metric", "furlongs"}
    own.worker.close()


def test_a_fit_that_another_overtook_starts_again(tenant: Tenant, clock: FrozenClock) -> None:
    tenant.add(by_users(9, ["florps"], WORDS))
    fitting.ask(tenant.store, tenant.scope)
    derivation = fitting.fitting(tenant.means)
    with tenant.store.write(tenant.scope) as tx:
        job = queue.claim(tx, (fitting.KIND,), lease_ms=60_000)
    assert job is not None

    def overtaken(work: Any) -> Any:
        made = derivation.think(work)
        begun = replace(starter_book(seeds(), WORDS), version=9)
        tenant.store.transact(tenant.scope, lambda tx: fitting._put(tx, tenant.vault, begun))
        return made

    run(tenant.store, job, replace(derivation, think=overtaken), Cap())
    assert tenant.version == 9
    with tenant.store.read(tenant.scope) as tx:
        again = queue.get(tx, fitting.KIND, fitting.ASKED)
    assert again is not None
    assert again.due <= clock.now()
    assert tenant.worker.run_one((fitting.KIND,), tenant="acme")
    assert (tenant.version, tenant.names) == (10, {"florps"})


def test_it_is_armed_within_the_hour_and_not_put_off(tenant: Tenant, clock: FrozenClock) -> None:
    start = clock.now()
    for _ in range(3):
        tenant.store.transact(tenant.scope, fitting.arm)
        clock.pass_(60_000)
    with tenant.store.read(tenant.scope) as tx:
        job = queue.get(tx, fitting.KIND, fitting.SUBJECT)
    assert job is not None
    assert job.due == start + 3_600_000


def test_only_an_admin_may_ask_and_failures_are_told(tenant: Tenant, tmp_path: Path) -> None:
    with pytest.raises(Forbidden):
        fitting.refit(tenant.store, tenant.vault, replace(tenant.scope, rights=frozenset(["write"])), tenant.worker, 1)
    assert fitting.refit(tenant.store, tenant.vault, tenant.scope, tenant.worker, 0) is None
    tenant.add(by_users(3, ["florps"], WORDS))
    lost = Vault(Keyring(f"sqlite:///{tmp_path / 'another.db'}"))
    other = Tenant(tenant.store, lost, tenant.scope)
    with closing(lost), closing(other.worker), pytest.raises(Conflict, match="KeyLost"):
        fitting.refit(tenant.store, lost, tenant.scope, other.worker, 30)


def test_the_plain_strategy_makes_a_book_of_users_where_there_are_enough(tenant: Tenant) -> None:
    flat = Tenant(tenant.store, tenant.vault, tenant.scope, strategy="user-kmeans")
    flat.add([said(f"u{n}", ("florps", "kraddles")[n % 2], WORDS) for n in range(plain.CENTROIDS - 1)])
    assert flat.look() is None
    with flat.store.read(flat.scope) as tx:
        book = flat.books.newest(tx)
    assert plain.code_of(flat.all()[:1], book).votes == ()
    assert plain.nothing_because(book) is not None
    flat.add([said("last", "florps", WORDS)])
    assert flat.look() == "fit"
    with flat.store.read(flat.scope) as tx:
        book = flat.books.newest(tx)
    assert (book.strategy, book.users) == ("user-kmeans", plain.CENTROIDS)
    shown = [vote for vote in plain.code_of([said("new", "florps", WORDS)], book).votes if vote.shown]
    assert [book.labels[vote.label or 0].name for vote in shown] == ["florps"]
    assert tenant.look() == "fit"  # back to facets
    assert tenant.book.strategy == "facets"
    assert tenant.names == {"florps", "kraddles"}
    flat.worker.close()


def test_two_workers_make_one_version(tenant: Tenant) -> None:
    tenant.add(by_users(9, ["florps"], WORDS))
    made: list[Fitted] = []
    threads = [threading.Thread(target=lambda: made.append(tenant.refit())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 3
    assert tenant.names == {"florps"}
    assert tenant.version == max(one.version for one in made)


class _Heard:
    """Hears what is told."""

    def __init__(self) -> None:
        self.counts: list[tuple[str, dict[str, Any]]] = []
        self.values: list[tuple[str, float]] = []

    def count(self, name: str, by: float, labels: Any) -> None:
        self.counts.append((name, dict(labels)))

    def observe(self, name: str, value: float, labels: Any) -> None:
        self.values.append((name, value))

    def span(self, name: str, attributes: dict[str, Any]) -> None:
        return None


def test_fits_and_the_far_share_are_told(tenant: Tenant) -> None:
    heard = _Heard()
    telemetry.install(heard)
    try:
        tenant.add(by_users(9, ["florps", "bullet points"], WORDS))
        tenant.refit()
        tenant.look()
    finally:
        telemetry.remove(heard)
    assert ("persona_fits", {"why": "fit"}) in heard.counts
    assert [value for name, value in heard.values if name == "persona_far_share"] == [0.5, 0.0]
