"""Reading a session anew: a snapshot that answers less than the one before is not kept, and says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from carryover.core.errors import Conflict, Forbidden, NotFound
from carryover.core.event import Event, Filter
from carryover.core.scope import Scope
from carryover.core.session import Turn, retraction
from carryover.core.snapshot import Extraction, Finding, Found, Snapshot
from carryover.core.usage import Cap, Usage
from carryover.jobs.worker import Worker
from carryover.log import lifecycle
from carryover.memory.again import FORCED, KIND, ask, outcome, reconsolidation
from carryover.memory.choice import Extractors
from carryover.memory.questions import probes
from carryover.store import events, extractors, queue, snapshots, turns
from carryover.store.snapshots import Link
from carryover.store.store import Store
from clocks import FrozenClock
from talk import consolidate, remember, say

LINES = [
    "The card fee of the harbour bakery is 2.9% this year.",
    "Noted.",
    "Nadia Petrova keeps the books of the bakery on Thursdays.",
    "Noted.",
    "The oven at the bakery is a Miwe ideal, bought in 2019.",
]


@dataclass
class Known:
    """An extractor that takes down the first statements, word for word and with something before them."""

    most: int = 3
    before: str = ""
    name: str = "known"
    id: str = "known/1"

    def estimate(self, turns: Sequence[Turn], live: Sequence[Finding]) -> Usage:
        return Usage("known", 1, 100)

    def extract(self, turns: Sequence[Turn], live: Sequence[Finding]) -> tuple[Extraction, Usage]:
        said = [turn for turn in turns if turn.role == "user"][: self.most]
        found = (Found("fact", self.before + t.text, t.text, t.seq, t.seq, f"line {t.seq}") for t in said)
        return Extraction(tuple(found), by=self.name), Usage("known", 1, 80)


def worker(store: Store, extractor: Known, cap: Cap | None = None) -> Worker:
    known = Extractors(extractor)
    return Worker(store, {kind: reconsolidation(known, kind) for kind in (KIND, FORCED)}, lambda _: cap or Cap())


def anew(store: Store, scope: Scope, extractor: Known, *, force: bool = False) -> Snapshot:
    asked = ask(store, scope, "ada", "s1", force=force)
    assert worker(store, extractor).run_one([asked.kind], tenant=scope.tenant, subject=asked.subject)
    return outcome(store, scope, asked)


def kept(store: Store, scope: Scope, session: str = "s1") -> list[Snapshot]:
    """All versions, the newest first."""
    with store.read(scope) as tx:
        heads = snapshots.listed(tx, "ada", session)
        return [snapshots.get(tx, "ada", session, head.version) for head in heads]


def told(store: Store, scope: Scope) -> list[Event]:
    with store.read(scope) as tx:
        return events.newest(tx, "ada", Filter(action="reconsolidate"), limit=9)


def share(store: Store, scope: Scope, most: int) -> str:
    """Of all questions about the session, the share that its first statements answer."""
    with store.read(scope) as tx:
        said = turns.after(tx, "ada", "s1", 0, 100)
    asked = probes(said, most=100, agent_id="ada", session_id="s1")
    first = [turn.seq for turn in said if turn.role == "user"][:most]
    return f"{sum(probe.seq in first for probe in asked) * 100 / len(asked):.0f} %"


def test_a_snapshot_that_answers_less_is_not_saved(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", LINES)
    consolidate(store, scope, "s1", Known(3))
    before = kept(store, scope)
    said = f"snapshot 2 answers {share(store, scope, 1)}, 1 answered {share(store, scope, 3)}: not promoted"
    with pytest.raises(Conflict) as refusal:
        anew(store, scope, Known(1))
    assert refusal.value.message == f"{said}; the one before stays, unless you ask with `force`"
    assert kept(store, scope) == before
    (event,) = told(store, scope)
    assert (event.session_id, event.detail["kept"], event.detail["version"], event.detail["reason"]) == (
        "s1",
        False,
        2,
        said,
    )
    made = anew(store, scope, Known(1), force=True)
    assert (made.version, len(made.findings)) == (2, 1)
    assert kept(store, scope) == [made, *before]
    assert told(store, scope)[0].detail["reason"].endswith(": promoted by force")


def test_one_that_answers_more_is_the_next_version(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", LINES)
    consolidate(store, scope, "s1", Known(1))
    (before,) = kept(store, scope)
    made = anew(store, scope, Known(3))
    assert (made.version, made.through, made.extractor, len(made.findings)) == (2, 5, "known/1", 3)
    assert kept(store, scope) == [made, before]
    assert made.findings[0].id == before.findings[0].id  # what was known keeps its name
    with store.read(scope) as tx:
        job = queue.get(tx, "index", "ada/s1")
    assert job is not None


def test_turns_that_came_later_are_left_to_the_next_consolidation(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", LINES[:3])
    consolidate(store, scope, "s1", Known(1))
    say(store, scope, "s1", LINES[4:])
    made = anew(store, scope, Known(9))
    assert (made.through, len(made.findings)) == (3, 2)
    consolidate(store, scope, "s1", Known(9))
    assert (kept(store, scope)[0].through, len(kept(store, scope)[0].findings)) == (4, 3)


def test_what_another_session_has_closed_stays_closed(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", LINES)
    consolidate(store, scope, "s1", Known(2))
    fee, books = kept(store, scope)[0].findings
    say(store, scope, "s2", ["The fee is gone."])
    remember(store, scope, "s2", [], links=[Link(fee.id, "superseded", None, "it is gone")])
    made = anew(store, scope, Known(3, "User: "))
    assert [f.text for f in made.findings] == [f"User: {line}" for line in LINES[::2]]
    assert [f.id for f in made.findings[:2]] == [fee.id, books.id]
    with store.read(scope) as tx:
        assert [f.text for f in snapshots.live(tx, [("ada", "s1")])] == [f"User: {line}" for line in LINES[2::2]]


def test_what_another_session_said_later_replaces_what_is_found_only_now(
    store: Store, scope: Scope, clock: FrozenClock
) -> None:
    say(store, scope, "s1", LINES)
    consolidate(store, scope, "s1", Known(1))
    clock.pass_(1000)
    say(store, scope, "s2", ["x", "x", "Ana keeps the books of the bakery now."])
    consolidate(store, scope, "s2", Known(9))
    made = anew(store, scope, Known(3))
    by_text = {f.text: f for f in made.findings}
    assert by_text[LINES[2]].status == "superseded"
    assert by_text[LINES[2]].reason == "another session says otherwise later"
    assert by_text[LINES[4]].live


def test_the_promoted_extractor_makes_it(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", LINES)
    consolidate(store, scope, "s1", Known(2))
    known = Extractors(Known(0, id="known/2"), lambda id: Known(3) if id == "known/1" else None)
    asked = ask(store, scope, "ada", "s1", force=False)
    at_work = Worker(store, {KIND: reconsolidation(known, KIND)}, lambda _: Cap())
    at_work.drain()
    assert len(outcome(store, scope, asked).findings) == 3
    with store.read(scope) as tx:
        candidate = extractors.find(tx, "known/2")
    assert candidate is not None
    assert candidate.state == "candidate"


def test_a_cap_holds(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", LINES)
    consolidate(store, scope, "s1", Known(1))
    asked = ask(store, scope, "ada", "s1", force=False)
    worker(store, Known(3), Cap(tokens=50)).drain()
    with store.read(scope) as tx:
        job = queue.get(tx, KIND, asked.subject)
    assert job is not None
    assert job.waiting
    assert len(kept(store, scope)) == 1
    worker(store, Known(3)).drain()


def test_who_may_ask_and_of_what(store: Store, scope: Scope) -> None:
    with pytest.raises(NotFound):
        ask(store, scope, "ada", "nowhere", force=False)
    say(store, scope, "s1", LINES)
    with pytest.raises(Conflict, match="has no snapshot yet"):
        ask(store, scope, "ada", "s1", force=False)
    consolidate(store, scope, "s1", Known(1))
    with pytest.raises(Forbidden):
        ask(store, Scope("acme", rights=frozenset(["read"])), "ada", "s1", force=True)
    asked = ask(store, scope, "ada", "s1", force=False)
    lifecycle.delete(store, scope, "ada", "s1")
    worker(store, Known(3)).drain()
    with pytest.raises(Conflict, match="went away"):
        outcome(store, scope, asked)


def test_what_was_taken_back_is_gone_when_the_session_is_read_anew(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", LINES)
    consolidate(store, scope, "s1", Known())
    say(store, scope, "s1", [retraction(3, 3)])  # behind what the snapshot covers
    made = anew(store, scope, Known(), force=True)
    assert [finding.text for finding in made.findings if finding.live] == [LINES[0], LINES[4]]
    assert made.through == 5
    say(store, scope, "s1", [retraction(1, 6)])
    emptied = anew(store, scope, Known(), force=True)
    assert not [finding for finding in emptied.findings if finding.live]
    assert emptied.through == 5
