"""What is shown of each turn, and why."""

from __future__ import annotations

from dataclasses import replace

from carryover.core.strategy import Operation, Sketch, Strategy, Summary
from carryover.strategies.course import course_of
from carryover.strategies.plan import plan, planned, planned_at
from sketched import log, reasons, shown

TRIM = Strategy(mode="trim", max_user_turns=2, keep_last_turns=1)
SUMMARIZE = Strategy(mode="summarize", max_user_turns=2, keep_last_turns=1, summary_max_tokens=30)
COMPACT = Strategy(mode="compact", compact_trigger_turns=2, compact_keep=1, clear_at_least_tokens=1)


def summary(last: int, strategy: Strategy = SUMMARIZE, at: int = 0) -> Summary:
    return Summary(f"s{last}", "a", "s", last, strategy.recipe, "what was said", 4, "rules", at)


def test_a_trimmed_view_begins_with_a_users_turn() -> None:
    made = plan(log("s u a u a u a"), TRIM)
    assert shown(made) == [1, 6, 7]
    assert reasons(made) == {"trimmed": [(2, 5)]}
    assert (made.cut_seq, made.trigger, made.tokens_before, made.tokens_after) == (6, "turns", 70, 30)


def test_operations_tell_of_every_turn() -> None:
    made = plan(log("u cA u a -1-1 oX"), Strategy())
    assert made.operations == (
        Operation("omit", 1, 1, "retracted"),
        Operation("omit", 2, 2, "open_call"),
        Operation("keep", 3, 4, "as_is"),
        Operation("omit", 5, 5, "retracted"),
        Operation("omit", 6, 6, "orphan"),
    )


def test_a_summary_stands_for_what_is_cut_away() -> None:
    made = plan(log("s u a u a u a"), SUMMARIZE, [summary(3), summary(5)])
    assert shown(made) == [1, 6, 7]
    assert (made.summary, made.wanted, made.head) == (summary(5), None, 2)
    assert made.operations[1] == Operation("insert", 2, 2, "summary:s5")


def test_until_it_is_there_an_older_one_and_the_turns_stand_in() -> None:
    told = log("u a u a u a u a", tokens=40)
    older = plan(told, SUMMARIZE, [summary(2)])
    assert (shown(older), older.summary, older.wanted, older.cut_seq) == ([3, 4, 5, 6, 7, 8], summary(2), 4, 5)
    none = plan(told, SUMMARIZE)
    assert (shown(none), none.wanted, none.cut_seq) == ([1, 2, 3, 4, 5, 6, 7, 8], 4, 5)


def test_where_the_budget_has_no_room_for_them_they_are_left_out() -> None:
    made = plan(log("u a u a u a u a", tokens=40), replace(SUMMARIZE, token_budget=300, token_soft_budget=290))
    assert (shown(made), made.wanted) == ([5, 6, 7, 8], 4)
    assert reasons(made) == {"summary_pending": [(1, 4)]}


def test_turns_that_say_it_in_fewer_tokens_than_a_summary_stay() -> None:
    made = plan(log("u a u a u a", tokens=5), SUMMARIZE)
    assert (shown(made), made.wanted) == ([1, 2, 3, 4, 5, 6], None)


def test_a_summary_of_what_was_taken_back_since_is_not_used() -> None:
    told = log("u a u a u a -1-1 u a", tokens=40)
    before, after = summary(4, at=told[5].received_at), summary(4, at=told[6].received_at + 1)
    assert plan(told, SUMMARIZE, [before]).summary is None
    assert plan(told, SUMMARIZE, [after]).summary == after


def test_a_summary_made_otherwise_is_not_used() -> None:
    other = summary(4, replace(SUMMARIZE, summary_max_chars=99))
    assert plan(log("u a u a u a", tokens=40), SUMMARIZE, [other]).summary is None


def test_cleared_outputs_are_placeholders() -> None:
    made = plan(log("u cA oA u cB oB u cC oC a"), COMPACT)
    assert reasons(made) == {"context_compaction": [(3, 3), (6, 6)]}
    assert made.placeholders[6] == "⟦removed: tool output for look (call_id=B); reason=context_compaction⟧"
    assert made.tokens_before - made.tokens_after == 2 * (1_000 - 19)


def test_cleared_inputs_are_json() -> None:
    told = [replace(one, tokens=200) if one.kind == "tool_call" else one for one in log("u cA oA u cB oB u a")]
    made = plan(told, replace(COMPACT, clear_tool_inputs=True))
    text = '{"removed":"⟦removed: tool input for look (call_id=A); reason=context_compaction⟧"}'
    assert (made.placeholders[2], sorted(made.placeholders)) == (text, [2, 3, 5, 6])


def test_a_result_that_comes_after_its_call_was_cut_away_is_an_orphan() -> None:
    made = plan(log("u cA u a u a u a oA a"), TRIM)
    assert 9 not in shown(made)
    assert reasons(made)["orphan"] == [(9, 9)]


def test_inside_a_turn_the_users_message_stays() -> None:
    told = log("u a u " + " ".join(f"c{n} o{n}" for n in range(6)), outputs=100)
    made = plan(told, Strategy(mode="trim", token_budget=400, keep_last_calls=1))
    assert shown(made)[0] == 3
    assert reasons(made)["token_budget"] == [(1, 2), (4, shown(made)[1] - 1)]


def test_the_plan_as_it_was() -> None:
    told = log("u a u a u a cA u oA a u a")
    course = course_of(told, TRIM)
    for seq in range(1, len(told) + 1):
        assert planned_at(course, seq) == plan(told, TRIM, upto=seq), seq
    assert planned_at(course_of(log("u a -1-1"), TRIM), 2) is None


def test_one_turn_after_the_other_gives_the_same_as_all_at_once() -> None:
    told: list[Sketch] = log("u r cA oA a u cB cC oC oB a u a u a")
    course = course_of([], TRIM)
    for n, sketch in enumerate(told, 1):
        course.take(sketch)
        assert planned(course) == plan(told[:n], TRIM)
