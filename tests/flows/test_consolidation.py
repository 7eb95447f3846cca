"""From turns to the next session's context, by rules and by a model whose provider has its bad days."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from carryover.core.context import Wanted
from carryover.core.errors import NotFound
from carryover.core.job import subject_of
from carryover.core.scope import Scope
from carryover.core.usage import Cap
from carryover.jobs.worker import ATTEMPTS, ATTEMPTS_UNAVAILABLE, Worker
from carryover.log import lifecycle
from carryover.memory import history
from carryover.memory.extract import ModelExtractor
from carryover.memory.rules import Rules
from carryover.providers.llm import open_llm
from carryover.recall.context import context
from carryover.store import queue, usages
from carryover.store.store import Store
from clocks import FrozenClock
from fakes.messages_api import FakeMessages
from talk import consolidate, say, worker

ADA = subject_of("ada", "s1")
SAID = "Let's use PostgreSQL 16 for the ledger."
DAY_MS = 86_400_000


def notes(
    text: str = "The ledger uses PostgreSQL 16.", quote: str = "use PostgreSQL 16", **more: Any
) -> dict[str, Any]:
    found = {"kind": "decision", "text": text, "quote": quote, "first": 1, "last": 1}
    found |= {"subject": "ledger database", "pinned": False, "salience": 0.8}
    return {"found": [found], "closed": [], "summary": "Where the ledger is kept.", **more}


@dataclass
class Model:
    """A worker over a model whose provider is on this machine."""

    fake: FakeMessages
    worker: Callable[..., Worker]


@pytest.fixture
def model(store: Store) -> Iterator[Model]:
    with FakeMessages(notes()) as fake:
        llm = open_llm("anthropic:claude-haiku-5-5", api_key="k", base_url=fake.url)
        yield Model(fake, lambda cap=None: worker(store, ModelExtractor(llm), cap))
        llm.close()


def test_by_rules_what_was_agreed_reaches_the_next_session(store: Store, scope: Scope, clock: FrozenClock) -> None:
    say(store, scope, "s1", [SAID, "Agreed.", "I need to write the migration by Friday.", "Fine."])
    early = context(store, scope, Wanted("s2", agent_id="ada"))
    assert "memory reaches turn 0 of 4 of s1" in early.markdown
    assert SAID in early.markdown
    consolidate(store, scope, "s1", Rules())
    made = context(store, scope, Wanted("s2", agent_id="ada"))
    assert "PostgreSQL 16" in made.markdown
    assert "migration" in made.markdown
    assert made.notes == ()
    clock.pass_(DAY_MS)
    say(
        store, scope, "s2", ["I finished writing the migration.", "Great.", "Let's switch the ledger to MySQL instead."]
    )
    consolidate(store, scope, "s2", Rules())
    later = context(store, scope, Wanted("s3", agent_id="ada"))
    assert later.through == {"s1": 4, "s2": 3}
    for finding in later.findings:
        assert history.finding(store, scope, finding.id).finding.live


def test_by_a_model_only_what_was_said(store: Store, scope: Scope, model: Model) -> None:
    invented = notes("Ana wants Oracle.", "we take Oracle")["found"]
    model.fake.answer = notes(found=[*notes()["found"], *invented])
    say(store, scope, "s1", [SAID, "Agreed."])
    lifecycle.close(store, scope, "ada", "s1")
    model.worker().drain()
    made = history.snapshot(store, scope, "ada", "s1")
    assert [(f.text, f.by) for f in made.findings] == [("The ledger uses PostgreSQL 16.", "anthropic:claude-haiku-5-5")]
    text = context(store, scope, Wanted("s2", agent_id="ada")).markdown
    assert "The ledger uses PostgreSQL 16." in text
    assert "Where the ledger is kept." in text
    assert "Oracle" not in text
    with store.read(scope) as tx:
        (total,) = usages.totals(tx, 0, tx.now + 1, "job")
        assert usages.reserved(tx, tx.now).calls == 0
    assert (total.jobs, total.usage.calls, total.usage.turns_covered) == (1, 1, 2)
    assert total.usage.money > 0


@pytest.mark.parametrize("status", [429, 529])
def test_a_provider_that_is_away_is_waited_for(
    store: Store, scope: Scope, clock: FrozenClock, model: Model, status: int
) -> None:
    model.fake.fail_next(status, 2, retry_after=90)
    say(store, scope, "s1", [SAID, "Agreed."])
    lifecycle.close(store, scope, "ada", "s1")
    at_work = model.worker()
    assert at_work.drain() == 1
    clock.pass_(80_000)
    assert at_work.drain() == 0  # the provider asked for 90 seconds
    text = context(store, scope, Wanted("s2", agent_id="ada")).markdown
    assert "memory reaches turn 0 of 2 of s1 (consolidation is tried again)" in text
    for _ in range(3):
        clock.pass_(120_000)
        at_work.drain()
    assert history.snapshot(store, scope, "ada", "s1").version == 1
    assert "memory reaches" not in context(store, scope, Wanted("s2", agent_id="ada")).markdown


@pytest.mark.parametrize(
    ("trouble", "attempts", "reason"),
    [
        (lambda fake: fake.fail_next(529, 99), ATTEMPTS_UNAVAILABLE, "ProviderUnavailable: .*529"),
        (lambda fake: fake.fail_next(400, 99), ATTEMPTS, "ProviderError: .*400"),
        (lambda fake: setattr(fake, "answer", {"garbage": 1}), ATTEMPTS, "ProviderError: .*shape"),
        (lambda fake: fake.cut_next(99), ATTEMPTS, "ProviderError: .*cut off"),
        (lambda fake: fake.refuse_next(99), ATTEMPTS, "ProviderError: .*refused"),
    ],
)
def test_what_never_succeeds_is_dead_with_its_reason(
    store: Store,
    scope: Scope,
    clock: FrozenClock,
    model: Model,
    trouble: Callable[[FakeMessages], None],
    attempts: int,
    reason: str,
) -> None:
    say(store, scope, "s1", [SAID, "Agreed."])
    lifecycle.close(store, scope, "ada", "s1")
    trouble(model.fake)
    at_work = model.worker()
    runs = 0
    for _ in range(20):
        runs += at_work.drain()
        clock.pass_(7_200_000)
    assert runs == attempts
    with store.read(scope) as tx:
        (job,) = queue.dead(tx)
    assert job.reason is not None
    assert re.search(reason, job.reason)
    told = context(store, scope, Wanted("s2", agent_id="ada"))
    assert "memory reaches turn 0 of 2 of s1 (consolidation failed)" in told.markdown
    assert SAID in told.markdown
    with pytest.raises(NotFound):
        history.snapshot(store, scope, "ada", "s1")


def test_a_cap_keeps_the_model_from_being_called(store: Store, scope: Scope, clock: FrozenClock, model: Model) -> None:
    say(store, scope, "s1", [SAID, "Agreed."])
    lifecycle.close(store, scope, "ada", "s1")
    model.worker(Cap(tokens=1000)).drain()
    assert model.fake.requests == []
    text = context(store, scope, Wanted("s2", agent_id="ada")).markdown
    assert "memory reaches turn 0 of 2 of s1 (waits for the daily cap)" in text
    clock.pass_(DAY_MS)
    model.worker(Cap(tokens=200_000)).drain()
    with store.read(scope) as tx:
        assert 0 < usages.spent(tx, tx.now).tokens <= 200_000
    assert len(model.fake.requests) == 1


def test_no_transaction_is_open_while_a_model_thinks(store: Store, scope: Scope, model: Model) -> None:
    def answer(_: object) -> dict[str, Any]:
        say(store, scope, "s9", ["written while the model thinks"])
        return notes()

    model.fake.answer = answer
    say(store, scope, "s1", [SAID, "Agreed."])
    lifecycle.close(store, scope, "ada", "s1")
    model.worker().drain()
    assert history.snapshot(store, scope, "ada", "s1").version == 1


def test_what_was_replaced_is_told_nowhere_as_current(store: Store, scope: Scope) -> None:
    say(
        store,
        scope,
        "s1",
        ["Let's use PostgreSQL for the ledger.", "Fine.", "Let's use SQLite for the ledger instead."],
    )
    consolidate(store, scope, "s1", Rules())
    text = context(store, scope, Wanted("s2", agent_id="ada")).markdown
    assert "SQLite" in text
    assert "PostgreSQL" not in text
