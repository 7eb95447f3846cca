"""Steps in the store: once each, in their sessions, and counted with the session that began first."""

from __future__ import annotations

from itertools import permutations

import pytest

from carryover.core.scope import Scope
from carryover.core.step import About, Spend, Step, step_of, uid
from carryover.store import cursors, marks, origins, queue, sessions, spends, steps, turns
from carryover.store.cursors import Cursor, Stamp
from carryover.store.store import Store

T = Scope("t")
AT = 1_770_000_000_000


def _steps(*texts: str, at: int = AT) -> list[Step]:
    return [Step(uid(text), "prompt", text, at + n) for n, text in enumerate(texts)]


def test_a_step_reads_back_from_its_turn(store: Store) -> None:
    given = Step(
        uid("x"), "result", "exit \u00fc \U0001f600", AT, "c1", "shell", "Bash", {"command": "ls"}, "error", 1, 9,
        "sidechain", "m", {"via": "queued"}, 7, 8,
    )  # fmt: skip
    with store.write(T) as tx:
        assert steps.append(tx, "codex", "s", [given]) == 1
    with store.read(T) as tx:
        [turn] = turns.after(tx, "codex", "s", 0, 9)
        assert step_of(turn) == given
        assert (turn.role, turn.kind, turn.created_at) == ("tool", "tool_result", AT)
        assert [step for _, step in steps.of_session(tx, "codex", "s")] == [given]


def test_appending_again_changes_nothing(store: Store) -> None:
    for expected in (3, 0):
        with store.write(T) as tx:
            assert steps.append(tx, "codex", "s", _steps("a", "b", "a", "c")) == expected
    with store.write(T) as tx:
        assert steps.append(tx, "codex", "s", _steps("c", "d")) == 1
    with store.read(T) as tx:
        assert [step.text for _, step in steps.of_session(tx, "codex", "s")] == ["a", "b", "c", "d"]
        assert sessions.get(tx, "codex", "s").version == 4
        assert queue.any_due(tx, ["digest"])
        assert queue.any_due(tx, ["index"])
        assert not queue.any_due(tx, ["consolidate"])


@pytest.mark.parametrize("order", list(permutations(("one", "two", "three"))))
def test_copies_belong_to_the_session_that_began_first_whatever_came_first(
    store: Store, order: tuple[str, ...]
) -> None:
    said = {"one": ["a", "b", "own"], "two": ["a", "b", "fork"], "three": ["other"]}
    key = "msg_1/req_1"
    for name in order:
        with store.write(T) as tx:
            begin = AT if name == "one" else AT + 5
            origins.put(tx, [("codex", name, f"/{name}", About(first_at=begin))])
            steps.append(tx, "codex", name, _steps(*said[name], at=begin))
            if name != "three":
                spends.put(tx, [("codex", name, Spend(key, AT, "m", 3, 900, 100, 631 if name == "two" else 5))])
    with store.read(T) as tx:
        assert marks.replayed(tx, "codex", "one") == set()
        assert marks.replayed(tx, "codex", "two") == {1, 2}
        assert marks.replayed(tx, "codex", "three") == set()
        assert spends.of_session(tx, "codex", "one") == [Spend(uid(key), AT, "m", 3, 900, 100, 631)]
        assert spends.of_session(tx, "codex", "two") == []


def test_a_copy_makes_the_digests_of_both_due(store: Store) -> None:
    with store.write(T) as tx:
        steps.append(tx, "codex", "two", _steps("a"))
        for subject in ("codex/two",):
            queue.cancel(tx, subject)
    with store.write(T) as tx:
        steps.append(tx, "codex", "one", _steps("a", "b"))
    with store.read(T) as tx:
        assert marks.sharers(tx, "codex", "one") == [("codex", "two")]
    with store.write(T) as tx:
        due = {job.subject for job in queue.claim_batch(tx, ["digest"], lease_ms=1000, most=9)}
    assert due == {"codex/one", "codex/two"}


def test_repeated_records_of_a_call_count_once_with_the_most_of_each_number(store: Store) -> None:
    key = "msg_1/req_1"
    for output, at in ((5, AT + 3), (631, AT), (7, None)):
        with store.write(T) as tx:
            spends.put(tx, [("codex", "s", Spend(key, at, "m", 3, 900, 100, output, cost=output or None))] * 2)
    with store.read(T) as tx:
        assert spends.of_session(tx, "codex", "s") == [Spend(uid(key), AT, "m", 3, 900, 100, 631, cost=631)]


def test_a_week_counts_each_call_once(store: Store) -> None:
    monday = 1_769_990_400_000  # 2026-02-02
    with store.write(T) as tx:
        for session in ("one", "two"):
            spends.put(tx, [("codex", session, Spend(uid("a"), monday, "m", 10, 0, 0, 5, cost=7))])
        spends.put(tx, [("codex", "one", Spend(uid("b"), monday + 6 * 86_400_000, "m", 1, 0, 0, 1))])
        spends.put(tx, [("codex", "one", Spend(uid("c"), monday - 1, "m", 2, 0, 0, 2))])
        spends.put(tx, [("codex", "one", Spend(uid("d"), None, None, 4))])
    with store.read(T) as tx:
        assert [(one.at, one.model, one.calls, one.input, one.output, one.cost) for one in spends.by_week(tx)] == [
            (0, "", 1, 4, 0, None),
            (monday - 7 * 86_400_000, "m", 1, 2, 2, None),
            (monday, "m", 2, 11, 6, 7),
        ]


def test_cursors_and_formats(store: Store) -> None:
    cursor = Cursor("/a", "codex", Stamp(1, 2, 3, 4), 3, "p", "c", '{"x":1}', 2, 1)
    with store.write(T) as tx:
        cursors.put(tx, [cursor])
        origins.put(tx, [("codex", "s", "/a", About(cwd="/w"))])
        cursors.saw(tx, "codex", {("1", "known", True): 2, ("1", "new", False): 1})
        cursors.saw(tx, "codex", {("1", "new", False): 4})
    with store.read(T) as tx:
        assert cursors.get(tx, "/a") == cursor
        assert cursors.get(tx, "/b") is None
        assert cursors.stamps(tx) == {"/a": ("/a", 1, 2, 3, 4, "codex")}
        assert [(one.type, one.records) for one in cursors.types(tx, unknown=True)] == [("new", 5)]
        assert origins.abouts(tx, "codex", "s") == [("/a", About(cwd="/w"))]
        assert origins.of_path(tx, "/a") == [("codex", "s", About(cwd="/w"))]
        hash = origins.source_hash(tx, "codex", "s")
    with store.read(Scope("other")) as tx:
        assert cursors.stamps(tx) == {}
    with store.write(T) as tx:
        cursors.put(tx, [Cursor("/a", "codex", Stamp(1, 2, 9, 9), 9, "p", "d")])
    with store.read(T) as tx:
        assert origins.source_hash(tx, "codex", "s") != hash
