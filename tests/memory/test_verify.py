"""Findings are checked against their turns: what was tampered with is flagged, and what is right never is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from carryover.core import telemetry
from carryover.core.chunk import Query
from carryover.core.errors import Forbidden, NotFound
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.core.session import Draft, Source, Turn, to_json
from carryover.core.snapshot import Finding, Snapshot
from carryover.core.tier import Step
from carryover.core.usage import Cap
from carryover.core.verdict import Verdict
from carryover.evals.labelled import Conversation, beam, locomo
from carryover.jobs.upkeep import upkeep
from carryover.jobs.worker import Worker
from carryover.log import lifecycle
from carryover.memory import history, verify
from carryover.memory.rules import Rules
from carryover.recall import index, search
from carryover.store import queue, snapshots, tiers, verdicts
from carryover.store.store import Store
from carryover.store.tables import bodies, findings, sources
from clocks import FrozenClock
from talk import consolidate, note, remember, say

FRIDAY = 1_780_000_000_000 - 1_780_000_000_000 % 86_400_000  # a day in May 2026, midnight
LINES = [
    Draft("user", "We agreed with Ren Solanke on a budget of $12,000 for the fair.", created_at=FRIDAY),
    Draft("assistant", "Noted.", created_at=FRIDAY),
    Draft("user", "The staging database moved to eu-west-3 yesterday.", created_at=FRIDAY),
    Draft("user", 'Use `snake_case` in src/app/main.py, and name the table "orders".', created_at=FRIDAY),
    Draft("user", "The vendor only supports TLS 1.3 and Redis 7.2, FYI.", created_at=FRIDAY),
    Draft("user", "I have to renew the certificate before June 5.", created_at=FRIDAY),
]


def worker(store: Store) -> Worker:
    return Worker(store, {verify.KIND: verify.verification()}, lambda _: Cap())


def known(store: Store, scope: Scope, session: str = "s1") -> list[Finding]:
    with store.read(scope) as tx:
        newest = snapshots.latest(tx, "ada", session)
    assert newest is not None
    return list(newest.findings)


def verdict_on(store: Store, scope: Scope, id: str) -> Verdict | None:
    return history.finding(store, scope, id).verdict


def failing(store: Store, scope: Scope, session: str = "s1") -> set[str]:
    with store.read(scope) as tx:
        return verdicts.failing(tx, [f.id for f in known(store, scope, session)])


@pytest.fixture
def talked(store: Store, scope: Scope) -> Store:
    say(store, scope, "s1", LINES)
    consolidate(store, scope, "s1", Rules())
    assert len(known(store, scope)) >= 5
    return store


def test_a_new_snapshot_is_checked_by_a_job_and_what_rules_found_holds(talked: Store, scope: Scope) -> None:
    ids = [f.id for f in known(talked, scope)]
    assert [verdict_on(talked, scope, id) for id in ids] == [None] * len(ids)
    assert worker(talked).drain() == 1
    told = [verdict_on(talked, scope, id) for id in ids]
    assert [one and (one.outcome, one.faults, one.missing) for one in told] == [("holds", (), ())] * len(ids)
    assert worker(talked).drain() == 0


Change = Callable[[dict[str, Any]], dict[str, Any]]


def swapped(old: str, new: str) -> Change:
    return lambda row: {"text": row["text"].replace(old, new)} if old in row["text"] else {}


@pytest.mark.parametrize(
    ("word", "change", "missing"),
    [
        ("12,000", swapped("12,000", "21,000"), "21000"),
        ("12,000", swapped("12,000", "2,000"), "2000"),
        ("Ren Solanke", swapped("Ren Solanke", "Bob Stone"), "bob stone"),
        ("eu-west-3", swapped("eu-west-3", "us-east-1"), "us-east-1"),
        ("eu-west-3", swapped("staging", "production"), "production"),
        ("eu-west-3", lambda row: {"valid_from": row["valid_from"] - 86_400_000}, None),
        ("snake_case", swapped("snake_case", "camelCase"), "camelcase"),
        ("snake_case", swapped("main.py", "other.py"), "src/app/other.py"),
        ("snake_case", swapped("orders", "bills"), "bills"),
        ("TLS", swapped("1.3", "1.2"), "1.2"),
        ("TLS", swapped("1.3", "3"), "3"),
        ("TLS", swapped("only supports", "never supports"), "never"),
        ("certificate", swapped("June 5", "June 6"), "6"),
        ("certificate", swapped("June 5", "July 5"), "july"),
        ("certificate", lambda row: {"text": "Somebody else walked through an empty house all evening."}, "house"),
    ],
)
def test_a_finding_whose_row_was_tampered_with_is_flagged(
    talked: Store, scope: Scope, word: str, change: Change, missing: str | None
) -> None:
    (target,) = (f for f in known(talked, scope) if word in f.text)
    with talked.write(scope) as tx:
        here = (findings.c.tenant == tx.tenant, findings.c.id == target.id)
        row = {**tx.conn.execute(sa.select(findings).where(*here)).mappings().one(), "text": target.text}
        changed = change(row)
        assert changed
        tx.conn.execute(findings.update().where(*here).values(changed))
    worker(talked).drain()
    assert failing(talked, scope) == {target.id}
    verdict = verdict_on(talked, scope, target.id)
    assert verdict is not None
    assert verdict.faults
    assert missing is None or missing in verdict.missing


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"quote": "a budget of $21,000"}, "does not say 'a budget of $21,000'"),
        ({"quote": ""}, "does not say ''"),
        ({"first": 2, "last": 2}, "turn 2 of 's1' does not say"),
        ({"first": 7, "last": 7}, "turn 7 of 's1' cannot be cited"),
        ({"first": 0, "last": 0}, "turn 0 of 's1' cannot be cited"),
        ({"first": 3, "last": 1}, "cannot be cited"),
        ({"first": 1, "last": 2**62}, "cannot be cited"),
        ({"session": "nowhere"}, "turn 1 of 'nowhere' cannot be cited"),
        ({"session": "s2"}, "turn 1 of 's2' does not say"),
    ],
)
def test_a_source_that_was_tampered_with_is_flagged(
    talked: Store, scope: Scope, change: dict[str, Any], fault: str
) -> None:
    say(talked, scope, "s2", ["Hello."])
    (target,) = (f for f in known(talked, scope) if "12,000" in f.text)
    with talked.write(scope) as tx:
        here = (sources.c.tenant == tx.tenant, sources.c.finding == target.id)
        tx.conn.execute(sources.update().where(*here).values(change))
    worker(talked).drain()
    assert failing(talked, scope) == {target.id}
    verdict = verdict_on(talked, scope, target.id)
    assert verdict is not None
    assert fault in verdict.faults[0]


def test_what_is_tampered_with_later_is_found_by_checking_again(talked: Store, scope: Scope) -> None:
    worker(talked).drain()
    target = known(talked, scope)[0]
    with talked.write(scope) as tx:
        here = (findings.c.tenant == tx.tenant, findings.c.id == target.id)
        tx.conn.execute(findings.update().where(*here).values(text="Nobody agreed on anything, said Bob Stone."))
    checked = verify.verify(talked, scope, "ada", "s1")
    assert [one.finding.id for one in checked if one.verdict.outcome == "fails"] == [target.id]
    assert failing(talked, scope) == {target.id}
    with talked.write(scope) as tx:
        tx.conn.execute(findings.update().where(*here).values(text=target.text))
    assert {one.verdict.outcome for one in verify.verify(talked, scope, "ada", "s1")} == {"holds"}
    assert failing(talked, scope) == set()


def test_a_model_may_use_other_words_but_no_other_details(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["We'd love to hold the summer party at the lake, around 40 people I guess."])
    cited = (Source("s1", 1, 1, "hold the summer party at the lake"),)
    right = note("The summer party is at the lake with 40 people.", sources=cited, by="model")
    wrong = note("The summer party is at the lake with 400 people.", sources=cited, by="model")
    vague = note("Holidays are planned beside water, attendance is moderate.", sources=cited, by="model")
    strict = note("The summer party is at the lake with 40 people.", sources=cited, by="rules")
    remember(store, scope, "s1", [right, wrong, vague, strict])
    outcomes = {one.finding.id: one.verdict for one in verify.verify(store, scope, "ada", "s1")}
    assert outcomes[right.id].outcome == "holds"
    assert outcomes[wrong.id].missing == ("400",)
    assert outcomes[vague.id].faults == ("its turns say less than half of its words",)
    assert outcomes[strict.id].missing == ("is", "with")


def test_a_turn_whose_content_is_gone_can_neither_bear_out_nor_refute(talked: Store, scope: Scope) -> None:
    (target,) = (f for f in known(talked, scope) if "12,000" in f.text)
    with talked.write(scope) as tx:
        here = (bodies.c.tenant == tx.tenant, bodies.c.session == "s1", bodies.c.seq == 1)
        tx.conn.execute(bodies.delete().where(*here))
    worker(talked).drain()
    verdict = verdict_on(talked, scope, target.id)
    assert verdict is not None
    assert (verdict.outcome, verdict.faults) == ("unknown", ("the content of turn 1 of 's1' is gone",))
    assert failing(talked, scope) == set()


def test_only_what_is_new_or_was_changed_is_checked_again(talked: Store, scope: Scope, clock: FrozenClock) -> None:
    worker(talked).drain()
    before = {f.id: verdict_on(talked, scope, f.id) for f in known(talked, scope)}
    clock.pass_(60_000)
    say(talked, scope, "s1", ["We decided to use Kafka for the events."])
    consolidate(talked, scope, "s1", Rules())
    worker(talked).drain()
    for finding in known(talked, scope):
        verdict = verdict_on(talked, scope, finding.id)
        assert verdict is not None
        assert verdict == before.get(finding.id, verdict)
        assert (verdict.checked_at == clock.at) is (finding.id not in before)


def test_many_findings_are_checked_in_batches(store: Store, scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "BATCH", 3)
    say(store, scope, "s1", ["hello"] * 3)
    made = [note("Hello.", sources=(Source("s1", n % 3 + 1, n % 3 + 1, "hello"),)) for n in range(8)]
    remember(store, scope, "s1", made, through=3)
    with store.write(scope) as tx:
        queue.arm(tx, [(verify.KIND, "ada/s1", tx.now)])
    assert worker(store).drain() == 3
    assert {one.outcome for f in made if (one := verdict_on(store, scope, f.id))} == {"holds"}
    assert len(verify.verify(store, scope, "ada", "s1")) == 8


def test_what_was_never_checked_or_by_an_older_check_is_armed_every_hour(
    talked: Store, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    with talked.write(scope) as tx:
        queue.cancel(tx, "ada/s1")
    derivations = (verify.verification(),)

    def armed() -> int:
        upkeep(talked, derivations=derivations)
        return worker(talked).drain()

    assert armed() == 1
    assert armed() == 0
    monkeypatch.setattr(verify, "CHECKER", 2)
    assert armed() == 1
    assert {v.checker for f in known(talked, scope) if (v := verdict_on(talked, scope, f.id))} == {2}
    assert armed() == 0


def test_a_sweep_reaches_every_tenant_and_no_more_sessions_than_it_should(store: Store, scope: Scope) -> None:
    for tenant in ("acme", "zeta"):
        for session in ("s1", "s2"):
            say(store, Scope(tenant), session, ["hello"])
            remember(store, Scope(tenant), session, [note("Hello.", session=session)])
    with store.read(EVERY_TENANT) as tx:
        found = verdicts.overdue(tx, 1, 10)
        assert sorted(found) == [(tenant, f"ada/{s}") for tenant in ("acme", "zeta") for s in ("s1", "s2")]
        assert len(verdicts.overdue(tx, 1, 3)) == 3


def test_a_finding_that_left_its_snapshot_and_can_still_be_told_is_checked(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["hello"])
    kept, left, gone = (note(f"{word}, 42.", sources=(Source("s1", 1, 1, "hello"),)) for word in ("Hi", "Ho", "He"))
    with store.write(scope) as tx:
        snapshots.add(tx, Snapshot("s1", "ada", 1, 1, 1, "model", "", (kept,)), user=None, left=(left, gone))
        tiers.put(tx, [Step(left.id, 1, "ada", "s1", "compressed", "Ho, 42.", 1, 0)], user=None)
        assert verdicts.overdue(tx.within(EVERY_TENANT), verify.CHECKER, 9) == [("acme", "ada/s1")]
        assert verdicts.sessions_with_findings(tx, None) == [("ada", "s1")]
    assert {one.finding.id for one in verify.verify(store, scope, "ada", "s1")} == {kept.id, left.id}
    with store.read(scope) as tx:
        assert verdicts.flagged(tx, 9) == sorted([kept.id, left.id])
        assert verdicts.failing(tx, [kept.id, left.id, gone.id]) == {kept.id, left.id}


def test_verdicts_go_with_their_session(talked: Store, scope: Scope) -> None:
    worker(talked).drain()
    ids = [f.id for f in known(talked, scope)]
    receipt = lifecycle.delete(talked, scope, "ada", "s1")
    assert receipt.counts["verdicts"] == len(ids)
    with talked.read(scope) as tx:
        assert verdicts.of(tx, ids) == {}
    with pytest.raises(NotFound):
        verify.verify(talked, scope, "ada", "s1")


def test_a_finding_that_another_session_closed_is_checked_for_the_day_that_it_opens_again(
    store: Store, scope: Scope
) -> None:
    say(store, scope, "s1", ["Let's use SQLite for the ledger."])
    consolidate(store, scope, "s1", Rules())
    say(store, scope, "s2", ["Let's use PostgreSQL for the ledger instead."])
    consolidate(store, scope, "s2", Rules())
    worker(store).drain()
    with store.read(scope) as tx:
        assert set(verdicts.of(tx, [f.id for f in known(store, scope)])) == {f.id for f in known(store, scope)}
    with store.read(EVERY_TENANT) as tx:
        assert verdicts.overdue(tx, verify.CHECKER, 10) == []


def test_the_counter_moves_only_when_something_begins_or_ceases_to_fail(talked: Store, scope: Scope) -> None:
    def moved() -> int:
        with talked.read(scope) as tx:
            return verdicts.generation(tx)

    verify.verify(talked, scope, "ada", "s1")
    assert moved() == 0
    target = known(talked, scope)[0]
    for text, expected in (("Bob Stone said no.", 1), ("Bob Stone said no.", 1), (target.text, 2)):
        with talked.write(scope) as tx:
            here = (findings.c.tenant == tx.tenant, findings.c.id == target.id)
            tx.conn.execute(findings.update().where(*here).values(text=text))
        verify.verify(talked, scope, "ada", "s1")
        assert moved() == expected


def test_a_search_puts_last_what_does_not_hold(talked: Store, scope: Scope) -> None:
    say(talked, scope, "s2", ["We decided on a party with a budget."])
    consolidate(talked, scope, "s2", Rules())
    Worker(talked, {index.INDEX: index.indexing()}, lambda _: Cap()).drain()
    query = Query("budget of $12,000 for the fair with Ren Solanke", kinds=("decision", "fact"))

    def found() -> list[str]:
        hits = search.search(talked, scope, query, embedder=None).results
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        return [hit.id for hit in hits]

    before = found()
    (target,) = (f for f in known(talked, scope) if "12,000" in f.text)
    assert before[0] == target.id
    assert len(before) > 1
    with talked.write(scope) as tx:
        here = (sources.c.tenant == tx.tenant, sources.c.finding == target.id)
        tx.conn.execute(sources.update().where(*here).values(quote="a budget of $21,000"))
    worker(talked).drain()
    assert found() == [*before[1:], before[0]]


def test_checking_needs_the_right_to_write_and_keeps_to_its_scope(talked: Store, scope: Scope) -> None:
    with pytest.raises(Forbidden):
        verify.verify(talked, Scope("acme", rights=frozenset(["read"])), "ada", "s1")
    for other in (Scope("else"), Scope("acme", agent="bob"), Scope("acme", user="zoe")):
        with pytest.raises(NotFound):
            verify.verify(talked, other, "ada", "s1")


class Counting:
    """A listener that adds up what it is told."""

    def __init__(self) -> None:
        self.counts: dict[str, float] = {}

    def count(self, name: str, by: float, labels: telemetry.Labels) -> None:
        key = f"{name} {labels.get('outcome', '')}"
        self.counts[key] = self.counts.get(key, 0) + by

    def observe(self, name: str, value: float, labels: telemetry.Labels) -> None: ...

    def span(self, name: str, attributes: dict[str, Any]) -> None: ...


def test_what_is_checked_is_counted(talked: Store, scope: Scope) -> None:
    heard = Counting()
    telemetry.install(heard)
    try:
        worker(talked).drain()
    finally:
        telemetry.remove(heard)
    assert heard.counts == {"findings_checked holds": len(known(talked, scope)), "jobs done": 1}


def turns_of(drafts: list[Draft]) -> list[Turn]:
    return [
        Turn(n, f"t{n}", d.role, to_json(d.content), d.kind, d.created_at or 0, 1, d.created_at or 0, d.name)
        for n, d in enumerate(drafts, 1)
    ]


def verdicts_of(turns: list[Turn], session: str = "s") -> list[tuple[Finding, Verdict]]:
    """What rules find in the turns, and what the check says of it."""
    made: list[tuple[Finding, Verdict]] = []
    for n, found in enumerate(Rules().extract(turns, [])[0].found):
        source = Source(session, found.first, found.last, found.quote)
        finding = Finding(
            str(n), found.kind, found.text, "active", 0, (source,), Rules.name, valid_from=found.valid_from
        )
        cited = {source: turns[found.first - 1 : found.last]}
        work = verify.Work((finding,), cited, {session: len(turns)}, 0)
        made.append((finding, verify.judge(finding, work)))
    return made


@pytest.mark.slow
def test_everything_that_rules_find_in_real_conversations_holds(shared: Path) -> None:
    talks: list[Conversation] = [*locomo(shared / "eval" / "locomo"), *beam(shared / "eval" / "beam")]
    checked = [pair for talk in talks for drafts in talk.sessions.values() for pair in verdicts_of(turns_of(drafts))]
    assert len(checked) > 1_000
    assert sum(finding.valid_from is not None for finding, _ in checked) > 100
    assert [(f.text, v.faults) for f, v in checked if v.outcome != "holds"] == []


SAID = (
    "we decided to use Redis 7.2 for the cache. I prefer `tabs` and never spaces! Ana said “no”, yesterday at 10:30; "
    "The API limit is 1,500 requests since June 5, 2026. I need to email bob@example.com by Friday… \n\n- [ ] ** > "
    'My e-mail: x_1.5/y-2 (see docs/a.md) don\'t "stop" 3.11.4 2–3 café’s and, so on'
)
WORDS = st.sampled_from(SAID.split(" "))


@given(st.lists(WORDS, min_size=4, max_size=60), st.sampled_from([None, "Ana Maria", "x" * 60]))
def test_whatever_rules_find_in_any_text_holds(words: list[str], name: str | None) -> None:
    turns = [
        Turn(1, "t1", "assistant", to_json("Shall we use Kafka 3 or not?"), "message", 0, 1, FRIDAY),
        Turn(2, "t2", "user", to_json(" ".join(words)), "message", 0, 1, FRIDAY, name),
    ]
    assert [(f.text, v.faults) for f, v in verdicts_of(turns) if v.outcome != "holds"] == []
