"""Laws of what happens to a view as its log grows, for every mode and any log."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

from carryover.core.session import Turn
from carryover.core.strategy import FORMATS, MODES, Strategy
from carryover.core.text import canonical_json
from carryover.strategies.course import Course, course_of
from carryover.strategies.formats import catalog
from carryover.strategies.plan import plan, planned, planned_at
from strategies.logs import EVENTS, Case, summary_of, written
from strategies.oracle import Looked, Told, every_mode, steps


@every_mode()
def test_law_08_determinism(case: Case) -> None:
    looked = Looked(case)
    again = Looked(replace(case, summaries=case.summaries[::-1]))
    assert again.plan == looked.plan
    assert again.items == looked.items
    assert [item.body for item in again.items] == [item.body for item in looked.items]


def test_law_08_determinism_across_processes() -> None:
    digests = {_digest_in_a_process(seed) for seed in ("1", "4242")}
    assert digests == {f"{digest_of_views()}\n"}


_EVERY_VIEW = """
import sys
sys.path.insert(0, sys.argv[1])
from strategies.test_laws_time import digest_of_views
print(digest_of_views())
"""


def _digest_in_a_process(seed: str) -> str:
    tests = os.path.dirname(os.path.dirname(__file__))
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    ran = subprocess.run(
        [sys.executable, "-c", _EVERY_VIEW, tests], env=environment, capture_output=True, text=True, check=True
    )
    return ran.stdout


def digest_of_views() -> str:
    """One digest of views of the same log in every mode and format."""
    turns, state = written([*EVENTS, *EVENTS]), hashlib.sha256()
    for mode in MODES:
        strategy = Strategy(mode=mode, token_budget=4_000, compact_exclude_tools=("write", "look"))
        case = Case(turns, strategy, [summary_of(strategy, last, 0) for last in (4, 9, 12)])
        looked = Looked(case)
        state.update(repr(looked.plan).encode("utf-8", "surrogatepass"))
        for format in FORMATS:
            state.update(canonical_json(catalog.written(format, looked.items)).encode("utf-8", "surrogatepass"))
    return state.hexdigest()


@every_mode()
def test_law_09_idempotence(case: Case) -> None:
    course = course_of(case.sketches, case.strategy)
    first = planned(course, case.summaries)
    moves = list(course.moves)
    assert planned(course, case.summaries) == first
    assert course.moves == moves
    items = Looked(case).items
    shown = {item.seq: item for item in items}
    seen_again = [replace(turn, body=shown[turn.seq].body) if turn.seq in shown else turn for turn in case.turns]
    again = Looked(replace(case, turns=seen_again))
    assert again.items == items


@every_mode(examples=15)
@steps
def test_law_10_the_beginning_stays(before: Looked, after: Looked) -> None:
    """Unless something was cut or cleared, turns were taken back (since then), a summary became ready, or a dead call
    was answered.

    Calls that wait for results, and reasoning that nothing follows yet, may vanish where a user speaks instead.
    """
    newest = after.turns[-1]
    moved = len(after.plan.moves) != len(before.plan.moves)
    revived = bool(after.told.late - before.told.late)
    pending = "summary_pending" in (set(after.reason.values()) - set(before.reason.values()))
    summaries = before.plan.summary != after.plan.summary
    if moved or revived or newest.kind == "retraction" or after.taken_back or summaries or pending:
        return
    hidden = after.told.dead | after.told.lost
    then = [item for item in before.items if item.seq not in hidden]
    assert after.items[: len(then)] == then
    gone = [item.seq for item in before.items if item.seq in hidden]
    if gone:
        last = before.told.users[-1] if before.told.users else 0
        assert all(seq > last for seq in gone)


@every_mode(examples=15)
@steps
def test_law_10_what_is_left_out_for_a_summary_stays_out(before: Looked, after: Looked) -> None:
    if not after.taken_back and before.plan.summary == after.plan.summary:
        pending = [seq for seq, reason in before.reason.items() if reason == "summary_pending"]
        assert not [seq for seq in pending if seq in after.shown]


@every_mode(modes=("trim", "summarize"), examples=50)
def test_law_11_hysteresis_of_turns(case: Case) -> None:
    course = course_of(case.sketches, case.strategy)
    most, keep = course.strategy.max_user_turns, course.strategy.keep_last_turns
    assert most is not None
    assert keep is not None
    users = [turn.seq for turn in case.turns if turn.role == "user" and turn.kind == "message"]
    for one, other in zip(course.moves, course.moves[1:], strict=False):
        if other.trigger == "turns" and not Told(case.turns).late:
            assert len([seq for seq in users if one.at < seq <= other.at]) >= most - keep


@every_mode(modes=("trim", "summarize", "compact"), examples=50)
def test_law_11_hysteresis_of_tokens(case: Case) -> None:
    course = course_of(case.sketches, case.strategy)
    given = course.strategy
    high = given.budget if given.mode == "compact" else given.high
    for one, other in zip(course.moves, course.moves[1:], strict=False):
        between = case.turns[one.at : other.at]
        by_tokens = other.trigger in ("token_budget", "token_soft_budget") and other.cut > one.cut
        if by_tokens and one.tokens_after <= high * given.token_keep_pct and not _any_taken_back(between):
            assert sum(turn.tokens for turn in between) >= high * (1 - given.token_keep_pct) - 1


def _any_taken_back(turns: Sequence[Turn]) -> bool:
    return any(turn.kind == "retraction" for turn in turns)


@every_mode(modes=("compact",), examples=70)
def test_law_11_hysteresis_of_clearing(case: Case) -> None:
    course = course_of(case.sketches, case.strategy)
    given = course.strategy
    users = [turn.seq for turn in case.turns if turn.role == "user" and turn.kind == "message"]
    for one, other in zip(course.moves, course.moves[1:], strict=False):
        assert other.cleared > one.cleared or other.cut > one.cut
        if other.trigger == one.trigger == "turns":
            between = len([seq for seq in users if one.at < seq <= other.at])
            assert between >= given.compact_trigger_turns - max(given.compact_keep, 0)


@every_mode(examples=20)
@steps
def test_law_12_what_was_cut_stays_cut(before: Looked, after: Looked) -> None:
    assert after.plan.moves[: len(before.plan.moves)] == before.plan.moves
    assert after.plan.cleared_seq >= before.plan.cleared_seq
    for one, other in zip(after.plan.moves, after.plan.moves[1:], strict=False):
        assert other.cut >= one.cut
        assert other.cleared >= one.cleared
        assert (other.cut, other.cleared) != (one.cut, one.cleared)


@every_mode(modes=("none", "trim", "compact"), examples=20)
@steps
def test_law_12_the_first_turn_shown_never_goes_back(before: Looked, after: Looked) -> None:
    assert after.plan.cut_seq >= before.plan.cut_seq


@every_mode(examples=20)
def test_law_12_one_turn_after_the_other_is_all_at_once(case: Case) -> None:
    course = Course(case.strategy)
    for n, sketch in enumerate(case.sketches, 1):
        course.take(sketch)
        assert planned(course, case.summaries) == plan(case.sketches[:n], case.strategy, case.summaries)


@every_mode(examples=20)
def test_law_12_the_view_as_it_was(case: Case) -> None:
    course = course_of(case.sketches, case.strategy)
    for seq in range(1, len(case.turns) + 1):
        was = planned_at(course, seq)
        if was is None:
            assert any(turn.kind == "retraction" for turn in case.turns[seq:])
        else:
            then = plan(case.sketches, case.strategy, upto=seq)
            assert [*was.shown()] == [*then.shown()]
            assert was == then
