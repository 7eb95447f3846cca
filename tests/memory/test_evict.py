"""What eviction plans, for any memory; and what it does to one: bounded, reversible, and never a turn or a snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.core.clock import DAY_MS
from carryover.core.context import Wanted
from carryover.core.errors import Forbidden, NotFound
from carryover.core.scope import Scope
from carryover.core.session import Draft, Source, Turn
from carryover.core.snapshot import Extraction, Finding, Found, Snapshot
from carryover.core.tier import TIERS, Held, Policy, Step
from carryover.core.usage import Cap, Usage
from carryover.jobs.worker import Worker
from carryover.log import lifecycle
from carryover.memory import evict
from carryover.memory.choice import Extractors
from carryover.memory.consolidate import KIND, consolidation
from carryover.memory.evict import plan, restore, tally
from carryover.memory.rules import Rules
from carryover.recall.context import context
from carryover.recall.index import indexing
from carryover.store import check, chunks, queue, snapshots, tiers
from carryover.store.store import Store
from clocks import FrozenClock
from talk import note, remember, say

NOW = 2_000 * DAY_MS
SAID = (
    "The ledger is in PostgreSQL 17.",
    "The ledger is in PostgreSQL 17 now.",
    "Ana likes tea",
    "Rent is 900 euros",
    "kettle leaks badly",
    "office smells strange",
)


@st.composite
def memories(draw: st.DrawFn) -> list[Held]:
    made: list[Held] = []
    for n in range(draw(st.integers(0, 25))):
        kind = draw(st.sampled_from(("fact", "decision", "task")))
        text = draw(st.sampled_from(SAID)) + draw(st.sampled_from(("", " since May", ", because it is cheap and near")))
        tier = draw(st.sampled_from(TIERS))
        at = draw(st.integers(0, NOW))
        pinned, said = draw(st.booleans()), draw(st.integers(1, 5))
        period = evict._period(at, NOW) if tier == "summarised" else ""
        held = Held(
            f"f{n}", 1, "ada", f"s{n % 4}", kind, text, draw(st.floats(0, 1)), pinned, said, at, tier, text, period
        )
        made.append(held)
    return made


POLICIES = st.builds(
    Policy, st.integers(0, 12), st.integers(0, 8), st.one_of(st.none(), st.integers(DAY_MS, 1_000 * DAY_MS))
)


def carried_out(held: Sequence[Held], steps: Sequence[Step]) -> list[Held]:
    """What is held afterwards; of what is told no more, nothing is."""
    by_id = {step.id: step for step in steps}
    after = (
        replace(h, tier=by_id[h.id].tier, told=by_id[h.id].text, period=by_id[h.id].period) if h.id in by_id else h
        for h in held
    )
    return [h for h in after if h.told]


def moves(h: Held) -> bool:
    return not (h.pinned or h.kind == "task") or h.tier == "summarised"


@given(memories(), POLICIES)
def test_wishes_and_open_tasks_never_move(held: list[Held], policy: Policy) -> None:
    stay = {h.id for h in held if not moves(h)}
    assert stay.isdisjoint(step.id for step in plan(held, policy, NOW))


@given(memories(), POLICIES)
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(held: list[Held], policy: Policy) -> None:
    assert plan(carried_out(held, plan(held, policy, NOW)), policy, NOW) == ()


@given(memories(), POLICIES)
def test_the_budgets_hold_afterwards(held: list[Held], policy: Policy) -> None:
    after = carried_out(held, plan(held, policy, NOW))
    told = [h for h in after if h.tier != "summarised"]
    fixed = sum(not moves(h) for h in told)
    assert len(told) <= max(policy.findings, fixed)
    assert sum(h.tier == "full" for h in told) <= max(policy.full, fixed)
    if policy.full_ms is not None:
        assert all(h.at > NOW - policy.full_ms for h in told if h.tier == "full" and moves(h))
    lines: dict[str, int] = {}
    for h in after:
        if h.tier == "summarised":
            lines[h.period] = lines.get(h.period, 0) + len(h.told) + 2
    assert all(length <= tiers.LONGEST_GIST for length in lines.values())


@given(memories(), POLICIES)
def test_findings_only_go_down_the_weakest_first(held: list[Held], policy: Policy) -> None:
    by_id = {h.id: h for h in held}
    steps = plan(held, policy, NOW)
    assert all(TIERS.index(step.tier) >= TIERS.index(by_id[step.id].tier) for step in steps)
    left = {step.id for step in steps if step.tier == "summarised" and step.twin is None}
    gone = [evict._strength(h) for h in held if h.id in left and h.tier != "summarised"]
    moved = {step.id for step in steps if step.tier == "summarised"}
    told = [evict._strength(h) for h in held if moves(h) and h.tier != "summarised" and h.id not in moved]
    assert not gone or not told or max(gone) < min(told)


@given(memories(), POLICIES)
def test_what_is_folded_away_is_told_by_one_that_says_the_same(held: list[Held], policy: Policy) -> None:
    by_id = {h.id: h for h in held}
    steps = plan(held, policy, NOW)
    folded = {step.id for step in steps if step.twin}
    for step in steps:
        if step.twin:
            twin = by_id[step.twin]
            assert twin.kind == by_id[step.id].kind
            assert step.twin not in folded
            assert twin.text.split()[:2] == by_id[step.id].text.split()[:2]


@given(memories(), POLICIES)
def test_the_order_of_what_is_held_does_not_matter(held: list[Held], policy: Policy) -> None:
    assert sorted(plan(held, policy, NOW), key=str) == sorted(plan(held[::-1], policy, NOW), key=str)


def test_small_memories_are_left_alone() -> None:
    held = [
        Held(f"f{n}", 1, "ada", "s", "fact", f"Fact {n}.", 0.1, False, 1, n, told=f"Fact {n}.") for n in range(1000)
    ]
    assert plan(held, Policy(), NOW) == ()


def test_only_what_says_the_same_is_folded_and_only_where_it_has_to_shrink() -> None:
    said = ("kettle leaks badly", "the kettle leaks badly", "kettle never leaks badly", "office smells strange")
    said += ("kettle 4 leaks badly",)
    held = [Held(f"f{n}", 1, "ada", "s", "fact", text, 0.5, False, 1, n, told=text) for n, text in enumerate(said)]
    assert [(s.id, s.twin) for s in plan(held, Policy(full=0), NOW) if s.twin] == [("f0", "f1")]
    assert plan(held, Policy(), NOW) == ()


def test_twice_the_weight_counts_as_a_half_life() -> None:
    def held(id: str, salience: float, days: int, said: int = 1) -> Held:
        return Held(id, 1, "ada", "s", "fact", f"{id} is {days}.", salience, False, said, NOW - days * DAY_MS, told=id)

    old_but_weighty, young, repeated = held("a", 0.75, 89), held("b", 0.25, 0), held("c", 0.25, 30, said=5)
    (step,) = plan([old_but_weighty, young, repeated], Policy(findings=2, full=2), NOW)
    assert step.id == "b"


def test_gists_are_of_months_and_later_of_years() -> None:
    text = "Ana moved to Lisbon in May."
    held = [Held("f", 1, "ada", "s", "fact", text, 0.1, False, 1, 10 * 365 * DAY_MS, told=text)]
    (step,) = plan(held, Policy(0, 0), 10 * 365 * DAY_MS)
    assert (step.tier, step.text, step.period, step.freed) == ("summarised", text, "1979-12", 0)
    (step,) = plan(carried_out(held, [step]), Policy(0, 0), 13 * 365 * DAY_MS)
    assert (step.text, step.period) == (text, "1979")


# On a store

LONG = "The number {n} train to Porto leaves from platform {n}, because somebody at the station wanted it there."


def told(store: Store, scope: Scope, *sessions: str) -> list[str]:
    with store.read(scope) as tx:
        return [f.text for f in snapshots.live(tx, [("ada", session) for session in sessions])]


def indexed(store: Store, scope: Scope, session: str) -> list[str]:
    with store.read(scope) as tx:
        return sorted(chunk.text for chunk in chunks.of_session(tx, "ada", session, findings_only=True))


def fill(store: Store, scope: Scope, session: str, findings: Sequence[Finding], user: str | None = None) -> None:
    say(store, scope, session, ["Hello."], user=user)
    remember(
        store,
        scope,
        session,
        [replace(f, session_id=session, sources=(Source(session, 1, 1, "Hello."),)) for f in findings],
        user=user,
    )


def evicted(store: Store, scope: Scope, policy: Policy, *, user: str | None = None) -> None:
    with store.write(scope) as tx:
        evict.arm(tx, "ada", user, now=True)
    derivations = {evict.KIND: evict.eviction(policy), "index": indexing()}
    Worker(store, derivations, lambda _: Cap()).drain(tenant=scope.tenant)


def test_each_tier_is_told_and_indexed_as_it_says_and_restored(store: Store, scope: Scope, clock: FrozenClock) -> None:
    at = clock.now()
    notes = [note(LONG.format(n=n), id=f"f{n}", at=at + n, salience=0.5) for n in range(9)]
    wish = note("Always answer in French.", id="w", at=0, pinned=True, salience=0.0)
    fill(store, scope, "s1", [wish, *notes])
    before = [f.text for f in (wish, *notes)]
    with store.read(scope) as tx:
        version = snapshots.get(tx, "ada", "s1", 1)

    evicted(store, scope, Policy(findings=5, full=2))
    short = [f"The number {n} train to Porto leaves from platform {n}" for n in range(9)]
    expected = [before[0], *short[5:8], before[9]]
    assert told(store, scope, "s1") == expected
    assert indexed(store, scope, "s1") == sorted(expected)
    found = tally(store, scope)
    assert (found.full, found.compressed, found.summarised, found.gists) == (2, 3, 5, 1)
    assert found.freed > 0
    made = context(store, scope, Wanted("next", agent_id="ada", max_tokens=2000))
    line = "; ".join(short[:5])
    assert f"- {evict._period(at, at)}: {line}" in made.markdown
    assert "Always answer in French." in made.markdown

    with store.read(scope) as tx:
        assert snapshots.get(tx, "ada", "s1", 1) == version == snapshots.latest(tx, "ada", "s1")
    assert restore(store, scope, "ada", "s1") == 8
    evicted(store, scope, Policy())
    assert told(store, scope, "s1") == before
    assert indexed(store, scope, "s1") == sorted(before)
    assert tally(store, scope).freed == 0


def test_an_endless_session_has_a_bounded_snapshot_and_loses_nothing(store: Store, scope: Scope) -> None:
    @dataclass
    class Everything:
        """Finds every user turn; some are tasks."""

        id: str = "everything/1"

        def estimate(self, turns: Sequence[Turn], live: Sequence[Finding]) -> Usage:
            return Usage()

        def extract(self, turns: Sequence[Turn], live: Sequence[Finding]) -> tuple[Extraction, Usage]:
            found = (
                Found("task" if t.seq % 11 == 1 else "fact", t.text, t.text, t.seq, t.seq, salience=t.seq % 7 / 7)
                for t in turns
                if t.role == "user"
            )
            return Extraction(tuple(found), by="everything"), Usage()

    derivations = {
        KIND: consolidation(Extractors(Everything()), most_live=10),
        evict.KIND: evict.eviction(Policy()),
        "index": indexing(),
    }
    at_work = Worker(store, derivations, lambda _: Cap())
    made: list[Snapshot] = []
    for part in range(5):
        say(store, scope, "s1", [f"Number {part}{n} is {n}." for n in range(30)])
        lifecycle.close(store, scope, "ada", "s1")
        at_work.drain(tenant=scope.tenant)
        with store.read(scope) as tx:
            assert [snapshots.get(tx, "ada", "s1", one.version) for one in made] == made
            newest = snapshots.latest(tx, "ada", "s1")
            assert newest is not None
            made.append(newest)
            assert len(newest.findings) == len(snapshots.live(tx, [("ada", "s1")])) == 10
            assert len(chunks.of_session(tx, "ada", "s1", findings_only=True)) == 10
            assert [len(gist.text) <= tiers.LONGEST_GIST for gist in tiers.gists(tx, "ada", None)] == [True]
    assert sum(f.kind == "task" for f in made[-1].findings) == 7
    assert (tally(store, scope).full, tally(store, scope).summarised) == (10, 65)

    assert restore(store, scope, "ada", "s1") == 65
    with store.read(scope) as tx:
        assert len(snapshots.live(tx, [("ada", "s1")])) == 75
        assert check.check(store) == []
        assert [snapshots.get(tx, "ada", "s1", one.version) for one in made] == made
    evicted(store, scope, Policy(findings=20))
    assert len(told(store, scope, "s1")) == 20


def test_what_another_session_closed_leaves_the_index(store: Store, scope: Scope) -> None:
    at_work = Worker(store, {KIND: consolidation(Extractors(Rules())), "index": indexing()}, lambda _: Cap())
    for session, line in (("s1", "Let's use PostgreSQL for the ledger."), ("s2", "Let's use SQLite for the ledger.")):
        say(store, scope, session, [line])
        lifecycle.close(store, scope, "ada", session)
        at_work.drain(tenant=scope.tenant)
    assert (indexed(store, scope, "s1"), len(indexed(store, scope, "s2"))) == ([], 1)


def test_contexts_told_before_are_not_told_again(store: Store, scope: Scope, clock: FrozenClock) -> None:
    fill(store, scope, "s1", [note(LONG.format(n=n), at=clock.now() + n) for n in range(3)])
    wanted = Wanted("next", agent_id="ada")
    assert "because" in context(store, scope, wanted).markdown
    evicted(store, scope, Policy(full=0))
    assert "because" not in context(store, scope, wanted).markdown


def test_said_again_a_finding_is_told_in_full(store: Store, scope: Scope) -> None:
    once = note(LONG.format(n=1), id="f1")
    fill(store, scope, "s1", [once])
    evicted(store, scope, Policy(full=0))
    assert told(store, scope, "s1") != [once.text]
    again = replace(once, sources=(Source("s1", 1, 1, "Hello."), Source("s1", 1, 1, "Hello again.")))
    remember(store, scope, "s1", [again])
    assert told(store, scope, "s1") == [once.text]


def test_what_is_closed_leaves_its_gist(store: Store, scope: Scope) -> None:
    fill(store, scope, "s1", [note("The limit is 500.", id="f1"), note("The door is red.", id="f2")])
    evicted(store, scope, Policy(0, 0))
    with store.read(scope) as tx:
        assert [gist.text for gist in tiers.gists(tx, "ada", None)] == ["The door is red; The limit is 500"]
        assert {f.id for f in snapshots.closable(tx, [], agent="ada", user=None)} == {"f1", "f2"}
    link = snapshots.Link("f1", "superseded", None, "said otherwise")
    say(store, scope, "s2", ["Hello."])
    remember(store, scope, "s2", [], links=[link])
    with store.read(scope) as tx:
        assert [gist.text for gist in tiers.gists(tx, "ada", None)] == ["The door is red"]


def test_users_and_agents_have_their_own_budget(store: Store, scope: Scope) -> None:
    fill(store, scope, "s1", [note(LONG.format(n=1))], user="mara")
    fill(store, scope, "s2", [note(LONG.format(n=2))], user="nils")
    evicted(store, scope, Policy(0, 0), user="mara")
    assert (told(store, scope, "s1"), len(told(store, scope, "s2"))) == ([], 1)
    with store.read(scope) as tx:
        assert len(tiers.gists(tx, None, "mara")) == 1
        assert tiers.gists(tx, None, "nils") == tiers.gists(tx, "bob", "mara") == []
    assert restore(store, scope, "ada", user_id="nils") == 0
    assert restore(store, scope, "ada", user_id="mara") == 1


def test_many_steps_are_taken_in_several_runs(store: Store, scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evict, "MOST_STEPS", 4)
    fill(store, scope, "s1", [note(LONG.format(n=n), id=f"f{n}") for n in range(9)])
    evicted(store, scope, Policy(full=0))
    assert not any("because" in text for text in told(store, scope, "s1"))
    with store.read(scope) as tx:
        assert queue.get(tx, evict.KIND, "ada//") is None


def test_age_alone_arms_the_next_run(store: Store, scope: Scope, clock: FrozenClock) -> None:
    fill(store, scope, "s1", [note(LONG.format(n=1), at=clock.now())])
    evicted(store, scope, Policy(full_ms=30 * DAY_MS))
    with store.read(scope) as tx:
        job = queue.get(tx, evict.KIND, "ada//")
        assert job is not None
        assert job.due - clock.now() in range(29 * DAY_MS, 31 * DAY_MS)
    assert "because" in told(store, scope, "s1")[0]
    clock.pass_(31 * DAY_MS)
    Worker(store, {evict.KIND: evict.eviction(Policy(full_ms=30 * DAY_MS))}, lambda _: Cap()).drain(tenant="acme")
    assert "because" not in told(store, scope, "s1")[0]


def test_what_says_it_comes_from_the_future_weighs_as_if_said_now(
    store: Store, scope: Scope, clock: FrozenClock
) -> None:
    say(store, scope, "s1", [Draft("user", "Hello.", created_at=clock.now() + 9_000 * DAY_MS)])
    remember(store, scope, "s1", [note("The door is red.", id="f1", salience=0.1)])
    fill(store, scope, "s2", [note("The wall is blue.", id="f2", salience=0.9)])
    evicted(store, scope, Policy(findings=1))
    assert told(store, scope, "s1", "s2") == ["The wall is blue."]


def test_a_wish_of_long_ago_is_told_after_any_number_of_sessions(
    store: Store, scope: Scope, clock: FrozenClock
) -> None:
    fill(store, scope, "first", [note("Always answer in French.", pinned=True), note("The door is red.")])
    for n in range(60):
        clock.pass_(1000)
        fill(store, scope, f"s{n}", [note(f"Room {n} is free.")])
    made = context(store, scope, Wanted("next", agent_id="ada")).markdown
    assert "Always answer in French." in made
    assert "The door is red." not in made


def test_who_may_restore(store: Store, scope: Scope) -> None:
    fill(store, scope, "s1", [note("The door is red.")])
    with pytest.raises(Forbidden):
        restore(store, Scope("acme", rights=frozenset({"read"})), "ada", "s1")
    with pytest.raises(NotFound):
        restore(store, scope, "ada", "nowhere")
    with pytest.raises(NotFound):
        restore(store, Scope("acme", agent="bob"), "ada")
