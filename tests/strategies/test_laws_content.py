"""Laws of what is left as it is, what is replaced, and how much there is, for every mode and any log."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from carryover.core.session import Turn
from carryover.core.strategy import Item, Mode, Strategy, settled
from carryover.core.text import estimate_tokens
from carryover.strategies.course import Move
from strategies.logs import Case, long_turn
from strategies.oracle import Looked, every_mode, steps


def protected(looked: Looked, turns: int) -> int:
    """Where the part begins that nothing touches: of so many last turns, the newest rounds of calls and the rest."""
    told, calls = looked.told, looked.case.strategy.keep_last_calls
    start = told.tail(turns)
    if calls is None:
        return start
    newest = told.rounds[-calls:] if calls else [len(looked.turns) + 1]
    return max(start, newest[0] if newest and calls < len(told.rounds) else 0)


@every_mode(modes=("trim", "summarize"), examples=50)
def test_law_06_the_last_turns_are_as_they_are(case: Case) -> None:
    looked = Looked(case)
    keep = settled(case.strategy).keep_last_turns
    cuts = [move for was, move in zip((None, *looked.plan.moves), looked.plan.moves, strict=False) if _cuts(was, move)]
    if not keep or looked.taken_back or (cuts and cuts[-1].trigger == "token_budget"):
        return
    for turn in looked.told.bulk:
        if turn.seq >= looked.told.tail(keep) and turn.seq not in looked.told.late:
            assert looked.shown[turn.seq].body == turn.body


def _cuts(was: Move | None, move: Move) -> bool:
    return move.cut > (was.cut if was else 1)


@every_mode(modes=("compact",), examples=50)
def test_law_06_results_of_the_last_turns_are_as_they_are(case: Case) -> None:
    looked = Looked(case)
    if "token_budget" in {move.trigger for move in looked.plan.moves} or looked.taken_back:
        return
    for turn in looked.told.bulk:
        if turn.seq >= protected(looked, case.strategy.compact_keep):
            assert looked.shown[turn.seq].body == turn.body


@every_mode(modes=("compact",), examples=30)
def test_law_06_only_the_budget_leaves_turns_out_where_outputs_are_cleared(case: Case) -> None:
    looked = Looked(case)
    for turn in looked.told.bulk:
        assert turn.seq in looked.shown or looked.reason[turn.seq] in ("token_budget", "orphan")


@every_mode(examples=40)
def test_law_13_budget(case: Case) -> None:
    looked = Looked(case)
    total = sum(item.tokens for item in looked.items)
    assert looked.plan.over_budget == (total > case.strategy.budget)
    if total <= case.strategy.budget or case.strategy.mode == "none" or looked.taken_back:
        return
    told = looked.told
    last = told.users[-1] if told.users else 0
    first = protected(looked, 1)
    newest = looked.told.live[-1].seq if looked.told.live else 0
    floor = min([first, newest, *told.open])
    begins = _group(looked, floor)
    asked = max((user for user in told.users if user <= begins), default=0)
    for seq in looked.shown:
        assert seq in told.leading or seq in (last, asked) or seq >= begins


@pytest.mark.parametrize("mode", ["trim", "summarize", "compact"])
def test_law_13_one_turn_of_very_many_calls_stays_within_the_budget(mode: Mode) -> None:
    turns = long_turn()
    given = Strategy(mode=mode, token_budget=4_000, keep_last_calls=3, compact_trigger_calls=20, summary_max_tokens=200)
    case = Case(turns, given, [])
    looked = Looked(case)
    assert looked.plan.moves
    assert looked.plan.tokens_after <= given.budget < looked.plan.tokens_before
    assert looked.told.users[-1] in looked.shown
    for turn in turns:
        if turn.seq >= looked.told.rounds[-3]:
            assert looked.shown[turn.seq].body == turn.body
    seen = [Looked(case, seq).plan for seq in range(100, len(turns), 100)]
    assert all(plan.tokens_after <= given.budget for plan in seen)


def _group(looked: Looked, seq: int) -> int:
    """Where the group begins in which that turn stands, as near as can be told without the pipeline."""
    told, live = looked.told, looked.told.live
    results = {result: call for call, result in told.pairs.items()}
    begins = min([call for result, call in results.items() if result >= seq and call < seq], default=seq)
    at = next((n for n, turn in enumerate(live) if turn.seq >= begins), 0)
    while at and live[at - 1].role == "assistant" and (live[at - 1].kind != "message" or live[at].kind == "tool_call"):
        at -= 1
    found = live[at].seq if live else seq
    return found if found >= seq else _group(looked, found)  # groups that overlap are one


EAGER: dict[str, Any] = {"compact_trigger_turns": 1, "compact_keep": 0, "clear_at_least_tokens": 0, "placeholder": "…"}


@every_mode(modes=("compact",), examples=60)
def test_law_14_exclusions(case: Case) -> None:
    """A result often does not say of which tool it is; its call does."""
    for include, exclude in (((), ("write",)), ((), ("look", "shell")), (("write",), ()), (("write",), ("write",))):
        given = replace(case.strategy, compact_include_tools=include, compact_exclude_tools=exclude, **EAGER)
        looked = Looked(replace(case, strategy=given))
        for seq, item in looked.shown.items():
            if item.replaced:
                tool = looked.told.tools[seq]
                assert tool in include if include else tool not in exclude


@every_mode(modes=("compact",), examples=100)
def test_law_15_placeholders(case: Case) -> None:
    looked = Looked(case)
    turns = {turn.seq: turn for turn in case.turns}
    for seq, item in looked.shown.items():
        turn = turns[seq]
        if not item.replaced:
            assert (item.body, item.tokens) == (turn.body, turn.tokens)
            continue
        assert (item.role, item.kind, item.name, item.call_id) == (turn.role, turn.kind, turn.name, turn.call_id)
        assert seq < looked.plan.cleared_seq
        assert item.tokens < turn.tokens
        assert len(item.body.encode()) < len(turn.body.encode())
        assert item.kind == "tool_result" or case.strategy.clear_tool_inputs
        _is_still_itself(turn, item)


def _is_still_itself(turn: Turn, item: Item) -> None:
    """What is left of a native item is all but its output or its arguments, which are still JSON."""
    was: Any = json.loads(turn.body)
    now: Any = json.loads(item.body)
    if item.format is not None:
        was, now = was[0], now[0]
        assert list(now) == list(was)
        changed = {key for key in was if now[key] != was[key]}
        assert changed <= ({"output"} if item.kind == "tool_result" else {"arguments", "input"})
        now = {} if "input" in changed else json.loads(now.get("arguments", "{}"))  # its input is any text
    elif item.kind == "tool_call":
        now = json.loads(now)
    assert item.kind == "tool_result" or isinstance(now, dict)


@every_mode(modes=("compact",), examples=20)
@steps
def test_law_15_what_was_replaced_stays_as_it_is(before: Looked, after: Looked) -> None:
    if after.turns[-1].kind == "retraction":
        return
    for seq, item in before.shown.items():
        if item.replaced and seq in after.shown:
            assert after.shown[seq] == item


@every_mode(examples=40)
def test_law_24_figures_agree_with_the_view(case: Case) -> None:
    looked = Looked(case)
    plan, turns = looked.plan, {turn.seq: turn for turn in case.turns}
    assert plan.tokens_before == sum(turn.tokens for turn in looked.told.live)
    assert plan.tokens_after == sum(item.tokens for item in looked.items)
    assert sorted(plan.placeholders) == [seq for seq, item in looked.shown.items() if item.replaced]
    for item in looked.items:
        if item.replaced and item.seq is not None and item.kind == "tool_result":
            assert item.tokens == estimate_tokens(plan.placeholders[item.seq])
        elif item.seq is not None and not item.replaced:
            assert item.tokens == turns[item.seq].tokens


@every_mode(examples=30)
def test_law_24_moves_say_what_they_did(case: Case) -> None:
    looked = Looked(case)
    for move in looked.plan.moves:
        after = Looked(case, move.at)
        assert after.plan.tokens_after <= move.tokens_after or after.plan.wanted is not None
