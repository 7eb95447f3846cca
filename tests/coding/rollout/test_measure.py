"""From digests in the store to verdicts in the catalog, and simulated roll-outs whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import rollout
from carryover.coding.patterns import curate
from carryover.coding.rollout import distribute, measure, observe, targets
from carryover.coding.rollout.compare import Goal
from carryover.coding.rollout.distribute import Wish
from carryover.core.clock import DAY_MS
from carryover.core.digest import Digest, Signal, ToolUse
from carryover.core.errors import Conflict, Forbidden, NotFound
from carryover.core.pattern import Pattern, Share
from carryover.core.scope import Scope
from carryover.core.step import Spend
from carryover.store import digests, exposures, patterns
from carryover.store.store import Store
from clocks import FrozenClock

ACME = Scope("acme")
KIND, KEY = "edit_before_read", "edit: not read"
SEEN = Share(40, 200)
UNREAD = Pattern("p1", 1, "candidate", KIND, KEY, "unread", "Read first.", total=SEEN, flavors={"codex": SEEN})
BIG = {"edit": ToolUse(20, 1, 0), "read": ToolUse(30, 2, 0), "shell": ToolUse(18, 3, 0)}


def session(name: str, at: int, *keys: str, count: int = 1, **more: object) -> Digest:
    signals = tuple(Signal(KIND, key, key, count, 20) for key in keys)
    one = Digest(
        "codex", name, "codex", 1, "", started_at=at, ended_at=at + 60_000, signals=signals, tools=BIG, steps=9
    )
    return replace(one, **more)  # type: ignore[arg-type]


def days(start: int, end: int, shows: int, of: int, clock: FrozenClock, repo: str) -> list[Digest]:
    """So many sessions between so many days ago and so many, of which so many show it."""
    found: list[Digest] = []
    for n in range(of):
        at = clock.now() - int((start - (start - end) * n / of) * DAY_MS)
        keys = (KEY,) if n * shows // of != (n + 1) * shows // of else ()
        found.append(session(f"{repo[-4:]}-{start}-{n}", at, *keys, repo=repo))
    return found


def kept(store: Store, *found: Digest) -> None:
    with store.write(ACME) as tx:
        for one in found:
            digests.put(tx, one)


def test_what_a_session_says_of_a_pattern() -> None:
    at = 5 * DAY_MS
    spent = Spend("", input=10, cache_read=20, cache_write=30, output=40, reasoning=39)
    told = session("a", at, KEY, count=3, versions=("1.2.3", "1.10.0-rc1"), models=("m1", "m2"))
    told = replace(told, tokens=spent, active_s=60, interrupts=2, outcome="errored")
    seen = observe.observed(
        [
            told,
            session("b", at - 1, "edit: changed since it was read"),
            session("nearly", at + 1, "edit: read not"),
            session("sub", at, KEY, kind="subagent"),
            session("headless", at, KEY, kind="headless"),
            session("timeless", at, KEY, started_at=None),
            session("no edits", at + 2, tools={"read": ToolUse(9, 0, 0)}),
            session("cannot tell", at + 3, tools={"edit": ToolUse(9, None, None)}),
            session("shows it all the same", at + 4, KEY, tools={}),
        ],
        UNREAD,
    )
    assert [(one.at - at, one.events, one.chances) for one in seen] == [(-1, 0, 20), (0, 3, 20), (1, 1, 20), (4, 1, 1)]
    rich = seen[1]
    assert (rich.tokens, rich.active_s, rich.interrupts, rich.failed) == (100, 60, 2, True)
    assert rich.written_by == ("1.10", "m2")
    assert (seen[0].tokens, seen[0].failed, seen[0].written_by) == (None, None, ("", ""))


@pytest.mark.parametrize(
    ("kind", "key", "chances"),
    [
        ("tool_errors", "read", 30),
        ("error", "edit: File does not exist", 20),
        ("error", "git push: rejected", 0),
        ("reread", "file", 30),
        ("wrong_path", "file", 30),
        ("interrupt", "turn", 0),
    ],
)
def test_what_is_counted_per_call(kind: str, key: str, chances: int) -> None:
    said = "read: src/*.py" if key == "file" else key
    shown = session("a", DAY_MS, signals=(Signal(kind, said, said, 1),))
    (seen,) = observe.observed([shown], replace(UNREAD, signal=kind, key=key))
    assert seen.chances == chances


def test_a_habit_is_had_or_not() -> None:
    habit = replace(UNREAD, signal="habit", key="ran make test", good=True)
    tidy, other = session("a", 0, commands=("make test",)), session("b", 1, commands=("make",))
    assert [(one.events, one.chances) for one in observe.observed([tidy, other], habit)] == [(1, 0), (0, 0)]


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    return folder


@pytest.fixture
def rolled_out(store: Store, clock: FrozenClock, repo: Path) -> Store:
    """A pattern that was detected 60 days ago, and told 40 days ago in one repository."""
    now = clock.now()
    kept(store, *days(160, 61, 60, 200, clock, str(repo)), *days(160, 61, 60, 200, clock, "github.com/acme/desk"))
    clock.at = now - 60 * DAY_MS
    with store.write(ACME) as tx:
        patterns.put(tx, replace(UNREAD, at=tx.now))
        patterns.put(tx, replace(UNREAD, version=2, at=tx.now + DAY_MS, total=Share(41, 201)))
    clock.at = now - 40 * DAY_MS
    curate.decide(store, ACME, "p1", "approve", "mara")
    changes = distribute.plan(store, ACME, targets.of_repo(repo, ("AGENTS.md",)), Wish())
    distribute.carry_out(store, ACME, changes, Goal(), by="mara")
    clock.at = now
    return store


def test_a_pattern_that_helped(rolled_out: Store, clock: FrozenClock, repo: Path) -> None:
    with rolled_out.read(ACME) as tx:
        (told,) = exposures.listed(tx)
    assert told.detail["registered"]["detected"] == clock.now() - 60 * DAY_MS
    kept(rolled_out, *days(39, 1, 10, 200, clock, str(repo)), *days(39, 1, 60, 200, clock, "github.com/acme/desk"))
    (effect,) = measure.measure(rolled_out, ACME)
    assert (effect.verdict, effect.design) == ("helped", "difference in differences")
    assert effect.measure == "rate"
    assert effect.high < 0
    with rolled_out.read(ACME) as tx:
        pattern = curate.known(tx, "p1")
        versions = patterns.versions(tx, "p1")
        assert exposures.latest(tx, "p1") == effect
    assert pattern.state == "measured"
    assert pattern.reason.startswith("helped: ")
    # Looked at again, nothing is new: no further effect, and no further version.
    clock.pass_(DAY_MS)
    assert [one.verdict for one in measure.measure(rolled_out, ACME, "p1")] == ["helped"]
    with rolled_out.read(ACME) as tx:
        assert patterns.versions(tx, "p1") == versions
        assert exposures.history(tx, "p1") == [effect]


def test_a_pattern_about_which_too_little_is_known(rolled_out: Store, clock: FrozenClock, repo: Path) -> None:
    kept(rolled_out, *days(39, 1, 1, 6, clock, str(repo)))
    (effect,) = measure.measure(rolled_out, ACME)
    assert effect.verdict == "underpowered"
    assert effect.missing > 0
    assert (effect.after.of, effect.before.of) == (6, 200)
    with rolled_out.read(ACME) as tx:
        assert curate.known(tx, "p1").reason.endswith(f"{effect.missing:,} more sessions would tell")


def test_a_withdrawn_pattern_is_measured_no_longer(rolled_out: Store) -> None:
    changes = distribute.withdrawing(rolled_out, ACME, "p1")
    distribute.withdraw(rolled_out, ACME, "p1", changes, "mara")
    assert measure.measure(rolled_out, ACME) == []
    with pytest.raises(Conflict, match="told to nobody; distribute it first"):
        measure.measure(rolled_out, ACME, "p1")
    with pytest.raises(NotFound):
        measure.measure(rolled_out, ACME, "nobody")
    with pytest.raises(Forbidden):
        measure.measure(rolled_out, Scope("acme", rights=frozenset(("read",))))


ROLL_OUTS = {scene.name: scene for scene in rollout.SCENES}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "looks", "simulations", "helped", "harmful"),
    [
        ("per call, nothing changed", "daily", 60, (0, 4), (0, 7)),
        ("per call, halved", "daily", 40, (27, 40), (0, 2)),
        ("per call, picked of 40 alike, nothing changed", "once", 30, (0, 3), (0, 4)),
        ("per session 32 %, control, all drift down a third", "once", 40, (0, 4), (0, 5)),
        ("per session 32 %, halved", "once", 40, (28, 40), (0, 1)),
    ],
)
def test_verdicts_are_wrong_as_rarely_as_they_may_be(
    name: str, looks: str, simulations: int, helped: tuple[int, int], harmful: tuple[int, int]
) -> None:
    """How wide these bounds are is chance: what `benchmarks.rollout` says is of many more roll-outs."""
    draw = np.random.default_rng(20)
    found = [rollout.verdicts(replace(ROLL_OUTS[name], looks=looks), draw)[0] for _ in range(simulations)]
    assert helped[0] <= found.count("helped") <= helped[1]
    assert harmful[0] <= found.count("harmful") <= harmful[1]
