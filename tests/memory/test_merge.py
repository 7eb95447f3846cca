"""Merging into a new snapshot: nothing twice, nothing retired without a reason, nothing without bound."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from carryover.core.session import Source, Turn, to_json
from carryover.core.snapshot import Closed, Extraction, Finding, Found, Snapshot, nothing
from carryover.memory import merge as merging
from carryover.memory.merge import MOST_LIVE, MOST_SOURCES, Merged, bounded, merge
from carryover.memory.rules import Rules

AT = 1_790_000_000_000


def counter(prefix: str = "f") -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"{prefix}{next(numbers):04d}"


def turn(seq: int, text: str = "x") -> Turn:
    return Turn(seq, f"t{seq}", "user", to_json(text), "message", AT, 1, AT + seq * 1000)


def fact(text: str, seq: int, subject: str = "", *, salience: float = 0.0, pinned: bool = False) -> Found:
    return Found("fact", text, text, seq, seq, subject, salience, pinned)


def merged(
    extraction: Extraction,
    last: Snapshot | None = None,
    others: Sequence[Finding] = (),
    ids: str = "f",
    through: int = 50,
) -> Merged:
    turns = [turn(n) for n in range(1, through)]
    return merge(last or nothing("a", "s"), others, extraction, turns, now=AT + 10_000_000, new_id=counter(ids))


def snapshot(findings: Sequence[Finding], version: int = 1) -> Snapshot:
    return Snapshot("s", "a", version, 50, AT, "rules", "", tuple(findings))


def other(text: str, subject: str = "", at: int = AT, id: str = "o1") -> Finding:
    return Finding(
        id, "fact", text, "active", at, (Source("elsewhere", 1, 1, text),), "rules", "a", "elsewhere", subject
    )


def test_a_first_snapshot_holds_what_was_found() -> None:
    (finding,) = merged(Extraction((fact("The limit is 500.", 3, "limit (number)"),))).findings
    assert (finding.id, finding.status, finding.learned_at) == ("f0001", "active", AT + 3000)
    assert finding.sources == (Source("s", 3, 3, "The limit is 500."),)
    assert (finding.agent_id, finding.session_id, finding.by) == ("a", "s", "rules")


def test_saying_it_again_adds_a_source_and_no_finding() -> None:
    first = merged(Extraction((fact("The limit is 500.", 1, "limit (number)"),)))
    again = merged(
        Extraction((fact("the limit is 500", 5), fact("Limit: 500", 6, "limit (number)"))), snapshot(first.findings)
    )
    (finding,) = again.findings
    assert [s.first for s in finding.sources] == [1, 5, 6]
    for n in range(10, 30):
        again = merged(Extraction((fact("The limit is 500.", n),)), snapshot(again.findings))
    assert len(again.findings[0].sources) == MOST_SOURCES


def test_another_value_for_the_same_subject_supersedes_and_says_why() -> None:
    first = merged(Extraction((fact("The limit is 500.", 1, "limit (number)"),)))
    second = merged(Extraction((fact("The limit is 1000.", 7, "limit (number)"),)), snapshot(first.findings), ids="g")
    old, new = second.findings
    assert (old.status, old.superseded_by, old.reason) == ("superseded", new.id, 'turn 7: "The limit is 1000."')
    assert old.valid_to == new.learned_at
    assert new.status == "active"
    third = merged(Extraction(), snapshot(second.findings, 2))
    assert [f.id for f in third.findings] == [new.id]


def test_without_the_same_subject_and_kind_nothing_is_superseded() -> None:
    first = merged(Extraction((fact("The limit is 500.", 1, "limit (number)"), fact("We sail.", 1))))
    more = Extraction(
        (
            fact("The upload limit is 1000.", 7, "limit upload (number)"),
            Found("decision", "Limit it to 9.", "Limit it to 9.", 8, 8, "limit (number)"),
            fact("We row.", 9),
        )
    )
    second = merged(more, snapshot(first.findings), ids="g")
    assert [f.status for f in second.findings] == ["active"] * 5


def test_two_statements_of_one_turn_stand_side_by_side() -> None:
    found = (fact("The limit is 500.", 1, "limit (number)"), fact("The limit is 900.", 1, "limit (number)"))
    assert [f.status for f in merged(Extraction(found)).findings] == ["active", "active"]


def test_a_statement_and_its_opposite_are_not_the_same() -> None:
    found = (
        fact("We deploy the billing service on Fridays.", 1),
        fact("We do not deploy the billing service on Fridays.", 2),
    )
    assert len(merged(Extraction(found)).findings) == 2


def test_a_task_of_the_same_run_is_done_and_leaves_afterwards() -> None:
    task = Found("task", "I need to call Ana.", "I need to call Ana.", 1, 1)
    extraction = Extraction((task,), (Closed("", "done", "called Ana", 4, 4, "turn 4: done", found=0),))
    first = merged(extraction)
    assert [(f.status, f.reason) for f in first.findings] == [("done", "turn 4: done")]
    assert merged(Extraction(), snapshot(first.findings)).findings == ()


def test_a_task_that_is_opened_again_is_new() -> None:
    task = Found("task", "I need to call Ana.", "I need to call Ana.", 1, 1)
    closed = Closed("", "done", "called", 4, 4, "turn 4: done", found=0)
    first = merged(Extraction((task, replace(task, first=8, last=8)), (closed,)))
    assert [f.status for f in first.findings] == ["done", "open"]


def test_a_decision_is_closed_by_the_one_that_replaces_it() -> None:
    found = (Found("decision", "Use A.", "Use A.", 1, 1), Found("decision", "Use B, not A.", "Use B, not A.", 4, 4))
    closed = Closed("", "superseded", "Use B, not A.", 4, 4, "turn 4: Use B, not A.", found=0, replaced_by=1)
    old, new = merged(Extraction(found, (closed,))).findings
    assert (old.status, old.superseded_by) == ("superseded", new.id)


def test_unknown_and_ended_findings_stay_as_they_are() -> None:
    closed = Closed("nowhere", "done", "x", 4, 4, "turn 4")
    beyond = Closed("", "done", "x", 4, 4, "turn 4", found=9)
    assert merged(Extraction((), (closed, beyond))) == Merged((), ())


def test_findings_of_other_sessions_are_linked_and_never_held() -> None:
    others = [
        other("The limit is 500.", "limit (number)", id="o1"),
        other("We sail to Crete every summer.", id="o2"),
        replace(other("I need to call Ana.", id="o3"), kind="task", status="open"),
        other("The port is 80.", "port (number)", id="o4"),
    ]
    found = (fact("The limit is 900.", 2, "limit (number)"), fact("We sail to Crete every summer.", 3))
    result = merged(Extraction(found, (Closed("o3", "done", "called", 4, 4, "turn 4: done"),)), others=others)
    assert [f.session_id for f in result.findings] == ["s", "s"]
    assert [(k.finding_id, k.status, k.superseded_by) for k in result.links] == [
        ("o1", "superseded", "f0001"),
        ("o2", "superseded", "f0002"),
        ("o3", "done", None),
    ]
    assert all("turn" in k.reason for k in result.links)


def test_an_older_statement_does_not_replace_a_newer_one_of_another_session() -> None:
    later = other("The limit is 900.", "limit (number)", at=AT + 9_000_000)
    result = merged(Extraction((fact("The limit is 500.", 2, "limit (number)"),)), others=[later])
    assert result.links == ()
    (finding,) = result.findings
    assert (finding.status, finding.superseded_by) == ("superseded", "o1")
    assert finding.reason == "another session says otherwise later"  # whose words are not copied: they may be erased


def test_live_findings_are_bounded_and_the_least_salient_leave_first() -> None:
    found = [fact(f"Number {n} is {n * 7}.", 1, salience=n / 1000) for n in range(MOST_LIVE + 50)]
    found.append(fact("Always answer in German.", 1, salience=0.0, pinned=True))
    found.append(Found("task", "Call Ana about the lease.", "Call Ana about the lease.", 1, 1))
    kept, left = bounded(merged(Extraction(tuple(found))).findings, MOST_LIVE)
    texts = {f.text for f in kept}
    assert (len(kept), len(left)) == (MOST_LIVE, 52)
    assert {"Always answer in German.", "Call Ana about the lease."} <= texts
    assert "Number 0 is 0." not in texts
    assert f"Number {MOST_LIVE + 49} is {(MOST_LIVE + 49) * 7}." in texts


def test_rules_and_merge_over_two_consolidations() -> None:
    def consolidated(texts: Sequence[str], last: Snapshot | None, start: int, ids: str) -> Snapshot:
        turns = [turn(start + n, text) for n, text in enumerate(texts)]
        live = [f for f in last.findings if f.live] if last else []
        extraction, _ = Rules().extract(turns, live)
        before = last or nothing("a", "s")
        result = merge(before, (), extraction, turns, now=AT + 10_000_000, new_id=counter(ids))
        return snapshot(result.findings, (last.version if last else 0) + 1)

    first = consolidated(["The API limit is 500.", "I need to renew the certificate by Friday."], None, 1, "f")
    second = consolidated(["The limit is now 1000.", "I've renewed the certificate."], first, 3, "g")
    assert {(f.text, f.status) for f in second.findings} >= {
        ("The API limit is 500.", "superseded"),
        ("The limit is now 1000.", "active"),
        ("User: I need to renew the certificate by Friday.", "done"),
    }


SUBJECT = st.sampled_from(["", "limit (number)", "owner (name)"])
FOUND = st.builds(
    Found,
    kind=st.sampled_from(["decision", "fact", "task"]),
    text=st.sampled_from(["The limit is 5.", "The limit is 6.", "Ana owns it.", "Bob owns it.", "Call Ana."]),
    quote=st.just("q"),
    first=st.integers(1, 9),
    last=st.just(9),
    subject=SUBJECT,
).map(lambda f: replace(f, last=f.first))
CLOSED = st.builds(
    Closed,
    finding_id=st.sampled_from(["", "o1", "f0001"]),
    status=st.sampled_from(["done", "superseded"]),
    quote=st.just("q"),
    first=st.just(9),
    last=st.integers(1, 9),
    reason=st.just("turn 9"),
    found=st.one_of(st.none(), st.integers(0, 6)),
    replaced_by=st.one_of(st.none(), st.integers(0, 6)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(FOUND, max_size=6), st.lists(CLOSED, max_size=3), st.lists(FOUND, max_size=6))
def test_laws(first: list[Found], closed: list[Closed], second: list[Found]) -> None:
    others = [other("The limit is 6.", "limit (number)")]
    one = merged(Extraction(tuple(first), tuple(closed)), others=others)
    assert one == merged(Extraction(tuple(first), tuple(closed)), others=others)
    two = merged(Extraction(tuple(second)), snapshot(one.findings), ids="g")
    ids = [f.id for f in two.findings]
    assert len(ids) == len(set(ids))
    assert {f.id for f in one.findings if f.live} <= set(ids)
    for f in (*one.findings, *two.findings):
        assert f.sources
        assert f.live or f.reason
        assert f.status in ("open", "done") if f.kind == "task" else f.status in ("active", "superseded")
        assert f.superseded_by != f.id
    live = [f for f in two.findings if f.live]
    assert not any(
        merging.same(Found(f.kind, f.text, "q", 1, 1, f.subject), g) for f, g in itertools.combinations(live, 2)
    )
