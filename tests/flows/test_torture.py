"""The judge refuses every history that it should refuse, and some scenarios of `make torture` run briefly."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from torture import children, history
from torture.all import SCENARIOS
from torture.found import Cited, Found, Row, Snap
from torture.history import Op, Recorder
from torture.judge import judge
from torture.run import Run

Past = tuple[list[Op], Found]


def append(n: int, *, at: int, **told: object) -> Op:
    op = Op(f"a.{n}", "a", "append", "s", at, turns=[(f"k{n}", f"said {n}")])
    return dataclasses.replace(op, **told)  # type: ignore[arg-type]


def done(n: int, *, seq: int | None = None, expected: int | None = None) -> Op:
    seq = seq or n
    told = {"outcome": "ok", "ended": 10 * n + 5, "places": [(seq, f"t{seq}")], "version": seq, "saved": True}
    return append(n, at=10 * n, expected=expected, **told)


def read(at: int, through: int) -> Op:
    rows = [(n, f"t{n}", f"said {n}") for n in range(1, through + 1)]
    told = {"version": through, "rows": rows, "mark": 40}
    return Op(f"r.{at}", "r", "read", "s", at, ended=at + 1, outcome="ok", **told)  # type: ignore[arg-type]


@pytest.fixture
def past() -> Past:
    """Three turns were acknowledged, two of them by version, and read; two of them were consolidated."""
    ops = [done(1), done(2, expected=1), read(26, 2), done(3, expected=2), read(40, 3)]
    ops.append(dataclasses.replace(read(50, 0), id="s.1", kind="snapshots", snapshots=[(1, 2)]))
    ops.append(dataclasses.replace(read(60, 0), id="c.1", kind="context", told=["k1"]))
    found = Found(
        rows={"s": [Row(n, f"t{n}", f"k{n}", f"said {n}") for n in (1, 2, 3)]},
        versions={"s": 3},
        snapshots={"s": [Snap(1, 2, (Cited("s", 2, 2, "said 2"),))]},
        events={
            "s": [
                ("open", {}),
                ("append", {"version": 1, "turns": 1}),
                ("append", {"version": 2, "turns": 1}),
                ("consolidate", {"version": 1, "through": 2}),
                ("append", {"version": 3, "turns": 1}),
            ]
        },
        stored=3,
    )
    return ops, found


def broken(past: Past) -> set[str]:
    return {violation.kind for violation in judge(*past)}


def also_there(found: Found, row: Row) -> None:
    """The turn lies at the end of the log, and all that goes with it says so."""
    found.rows["s"].append(row)
    found.versions["s"] = found.stored = row.seq
    found.events["s"].append(("append", {"version": row.seq, "turns": 1}))


def test_what_is_as_it_was_told_is_accepted(past: Past) -> None:
    assert judge(*past) == []


def test_what_nobody_heard_of_may_be_there_or_not(past: Past) -> None:
    ops, found = past
    ops.append(append(4, at=70))
    assert judge(*past) == []
    also_there(found, Row(4, "t4", "k4", "said 4"))
    assert judge(*past) == []


def test_what_was_told_by_a_second_try_may_be_of_the_first(past: Past) -> None:
    ops, found = past
    also_there(found, Row(4, "t4", "k4", "said 4"))
    again = append(4, at=80, outcome="ok", ended=85, places=[(4, "t4")], version=4, saved=False)
    ops += [append(4, at=70), dataclasses.replace(again, id="a.4b")]
    assert judge(*past) == []


def lost(ops: list[Op], found: Found) -> None:
    found.rows["s"].pop()
    found.versions["s"] = found.stored = 2
    found.events["s"].pop()


def shown_and_lost(ops: list[Op], found: Found) -> None:
    lost(ops, found)
    ops[3] = append(3, at=30, expected=2)


def doubled(ops: list[Op], found: Found) -> None:
    also_there(found, Row(4, "t4", "k3", "said 3"))


def told_twice_to_be_new(ops: list[Op], found: Found) -> None:
    ops.append(dataclasses.replace(done(3), id="a.3b", began=90, ended=91))


def reordered(ops: list[Op], found: Found) -> None:
    found.rows["s"][:2] = [Row(1, "t1", "k2", "said 2"), Row(2, "t2", "k1", "said 1")]


def against_time(ops: list[Op], found: Found) -> None:
    """The third was acknowledged before the first was sent."""
    ops[3] = dataclasses.replace(ops[3], began=1, ended=2)


def both_from_one_version(ops: list[Op], found: Found) -> None:
    ops[3] = dataclasses.replace(ops[3], expected=1)


def half_a_batch(ops: list[Op], found: Found) -> None:
    ops.append(dataclasses.replace(append(4, at=70), turns=[("k4", "said 4"), ("k5", "said 5")]))
    also_there(found, Row(4, "t4", "k4", "said 4"))


def invented(ops: list[Op], found: Found) -> None:
    also_there(found, Row(4, "t4", None, "nobody said this"))


def refused_and_saved(ops: list[Op], found: Found) -> None:
    ops.append(append(4, at=70, outcome="failed", ended=71, conflict=3, expected=1))
    also_there(found, Row(4, "t4", "k4", "said 4"))


def changed(ops: list[Op], found: Found) -> None:
    found.rows["s"][2] = Row(3, "t3", "k3", "said otherwise")


def shown_too_early(ops: list[Op], found: Found) -> None:
    ops[3] = dataclasses.replace(ops[3], began=42, ended=45)


def stale(ops: list[Op], found: Found) -> None:
    ops.append(read(70, 2))


def not_whole(ops: list[Op], found: Found) -> None:
    ops[4] = dataclasses.replace(ops[4], rows=ops[4].rows[:1])


def untrue_conflict(ops: list[Op], found: Found) -> None:
    ops.append(append(4, at=70, outcome="failed", ended=71, conflict=9, expected=1))


def covers_the_unseen(ops: list[Op], found: Found) -> None:
    found.snapshots["s"] = [Snap(1, 3)]
    found.events["s"][3] = ("consolidate", {"version": 1, "through": 3})


def cites_the_unseen(ops: list[Op], found: Found) -> None:
    found.snapshots["s"] = [Snap(1, 2, (Cited("s", 3, 3, "said 3"),))]


def misquotes(ops: list[Op], found: Found) -> None:
    found.snapshots["s"] = [Snap(1, 2, (Cited("s", 2, 2, "said 3"),))]


def snapshot_gone(ops: list[Op], found: Found) -> None:
    found.snapshots["s"].clear()
    del found.events["s"][3]


def consolidated_twice(ops: list[Op], found: Found) -> None:
    found.snapshots["s"].append(Snap(2, 2))
    found.events["s"].append(("consolidate", {"version": 2, "through": 2}))


def told_of_nothing(ops: list[Op], found: Found) -> None:
    ops[-1].told.append("k9")


def left_undone(ops: list[Op], found: Found) -> None:
    found.events["s"].append(("close", {"version": 3}))


def half_erased(ops: list[Op], found: Found) -> None:
    ops.append(Op("e.1", "e", "erase", "s", 70, ended=71, outcome="ok"))


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (lost, "lost"),
        (shown_and_lost, "lost"),
        (half_a_batch, "lost"),
        (not_whole, "lost"),
        (doubled, "duplicated"),
        (told_twice_to_be_new, "duplicated"),
        (reordered, "reordered"),
        (against_time, "reordered"),
        (both_from_one_version, "reordered"),
        (invented, "invented"),
        (refused_and_saved, "invented"),
        (changed, "invented"),
        (shown_too_early, "invented"),
        (stale, "stale"),
        (untrue_conflict, "untrue"),
        (covers_the_unseen, "phantom"),
        (cites_the_unseen, "phantom"),
        (misquotes, "phantom"),
        (snapshot_gone, "phantom"),
        (consolidated_twice, "phantom"),
        (told_of_nothing, "phantom"),
        (left_undone, "not consolidated"),
        (half_erased, "not erased"),
    ],
)
def test_what_is_not_as_it_was_told_is_refused(past: Past, spoil: Callable[[list[Op], Found], None], kind: str) -> None:
    spoil(*past)
    assert kind in broken(past)


def test_a_record_survives_its_process(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "a")
    first = recorder.began("append", "s", turns=[("k1", "said 1")], expected=0)
    recorder.ended(first, "ok", places=[(1, "t1")], version=1, saved=True)
    recorder.began("read", "s")
    recorder.close()
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write('{"id": "a.2", "ended"')  # it was killed while it wrote this
    heard, unheard = history.read(*history.files(tmp_path), tmp_path / "never.jsonl")
    assert (heard.outcome, heard.turns, heard.places) == ("ok", [("k1", "said 1")], [(1, "t1")])
    assert (unheard.kind, unheard.outcome, unheard.ended) == ("read", "unknown", None)


def test_the_same_seed_makes_the_same_choices(tmp_path: Path) -> None:
    first, again, other = (Run(name, 7, tmp_path).chance.random() for name in ("line", "line", "redis"))
    assert first == again != other


@pytest.fixture
def brief(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    yield Run(request.param, 1, tmp_path, short=True)
    children.end()


@pytest.mark.slow
@pytest.mark.parametrize("brief", ["appenders-sqlite", "torn-wal", "line"], indirect=True)
def test_a_short_torture_breaks_nothing(brief: Run) -> None:
    """The others, and all of them for long, are `make torture`."""
    SCENARIOS[brief.name](brief)
    assert brief.violations == []
    assert brief.acknowledged > 0
